"""What the Admin API has answered is what all workers do."""

from __future__ import annotations

import asyncio
import time

import aiohttp
import pytest

from tests.integration.conftest import Gateway

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
