"""What the Admin API has answered is what all workers do."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import aiohttp
import pytest

from tests.integration.conftest import Gateway, running
from tests.runtime.running import children_of

pytestmark = pytest.mark.long

ROUNDS = 10


async def statuses(url: str, count: int = 6) -> list[int]:
    """What comes back over as many new connections, which the workers share."""
    found = []
    for _ in range(count):
        async with aiohttp.ClientSession() as session, session.get(url) as reply:
            found.append(reply.status)
    return found


async def write(gateway: Gateway, method: str, path: str, data: object = None) -> None:
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, f"{gateway.admin}{path}", json=data) as reply,
    ):
        assert reply.status in (200, 201, 204), await reply.text()


async def late(url: str, expected: int) -> bool:
    """Whether a worker is behind 100 ms after a write; none may be for two seconds."""
    await asyncio.sleep(0.1)
    if set(await statuses(url)) == {expected}:
        return False
    give_up = time.monotonic() + 2
    while set(await statuses(url)) != {expected}:
        assert time.monotonic() < give_up, f"{url} is not {expected} everywhere"
    return True


def test_a_change_reaches_every_worker_within_100_ms(gateway: Gateway) -> None:
    async def work() -> int:
        behind = 0
        await write(gateway, "PUT", "/services/s", {"url": gateway.status})
        for number in range(ROUNDS):
            url = f"{gateway.proxy}/p{number}/status/ready"
            route = f"/routes/r{number}"
            await write(gateway, "PUT", route, {"paths": [f"/p{number}"], "service": {"name": "s"}})
            behind += await late(url, 200)
            await write(gateway, "DELETE", route)
            behind += await late(url, 404)
        return behind

    # The machine may have other things to do now and then.
    assert asyncio.run(work()) <= ROUNDS // 3


def test_the_status_is_that_of_all_workers(gateway: Gateway) -> None:
    async def work() -> None:
        assert await statuses(f"{gateway.proxy}/none", 20) == [404] * 20
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{gateway.admin}/status") as reply,
        ):
            status = await reply.json()
        assert len({each["pid"] for each in status["memory"]["workers_lua_vms"]}) == 2
        assert status["server"]["total_requests"] == 20
        assert status["server"]["connections_accepted"] == 20

    asyncio.run(work())


def test_what_a_killed_worker_could_not_tell_is_in_force_at_the_others(tmp_path: Path) -> None:
    # As a worker would leave it that was killed right after its commit: nobody is told.
    file = tmp_path / "kong.json"
    route = {"name": "r", "paths": ["/r"]}
    service = {"name": "s", "url": "http://127.0.0.1:1", "retries": 0, "routes": [route]}
    file.write_text(json.dumps({"_format_version": "3.0", "services": [service]}))
    with running(tmp_path) as (gateway, process):
        subprocess.run(
            [sys.executable, "-m", "kongtx.cli.main", "config", "db_import", str(file)],
            env={
                **os.environ,
                "KONG_PREFIX": str(tmp_path / "prefix"),
                "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
            },
            check=True,
            stdout=subprocess.DEVNULL,
        )
        assert set(asyncio.run(statuses(f"{gateway.proxy}/r"))) == {404}
        os.kill(children_of(process.pid)[0], signal.SIGKILL)
        give_up = time.monotonic() + 20
        while set(asyncio.run(statuses(f"{gateway.proxy}/r", 150))) != {502}:
            assert time.monotonic() < give_up


def test_what_was_answered_is_there_after_the_gateway_was_killed(tmp_path: Path) -> None:
    answered: list[int] = []

    async def write_until_it_ends(gateway: Gateway, process: subprocess.Popen[bytes]) -> None:
        async with aiohttp.ClientSession() as session:

            async def put(number: int) -> None:
                url = f"{gateway.admin}/services/s{number}"
                async with session.put(url, json={"host": "h.test", "port": number}) as reply:
                    assert reply.status == 200
                    answered.append(number)
                    if len(answered) == 150:
                        os.killpg(process.pid, signal.SIGKILL)

            for start in range(1, 10_000, 5):
                numbers = range(start, start + 5)
                done = await asyncio.gather(*map(put, numbers), return_exceptions=True)
                if any(isinstance(error, aiohttp.ClientError) for error in done):
                    return

    with running(tmp_path) as (gateway, process):
        asyncio.run(write_until_it_ends(gateway, process))
    assert len(answered) >= 150

    async def read(gateway: Gateway) -> set[int]:
        found: set[int] = set()
        path = "/services?size=100"
        async with aiohttp.ClientSession() as session:
            while path:
                async with session.get(f"{gateway.admin}{path}") as reply:
                    page = await reply.json()
                found |= {row["port"] for row in page["data"] if row["name"] == f"s{row['port']}"}
                path = page["next"]
        return found

    with running(tmp_path) as (gateway, _):
        found = asyncio.run(read(gateway))
    assert set(answered) <= found
    assert len(found) <= len(answered) + 5
