"""A gateway on PostgreSQL, used by other programs: what holds with SQLite holds with it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.integration.conftest import Gateway, running
from tests.integration.test_aio_kong import (  # noqa: F401 - run here, too
    test_a_whole_configuration_is_applied,
    test_lists_are_followed_over_pages,
    test_refusals_are_told,
)
from tests.integration.test_consistency import (  # noqa: F401 - run here, too
    test_a_change_reaches_every_worker_within_100_ms,
)
from tests.integration.test_deck import (  # noqa: F401 - run here, too
    deck,
    deck_program,
    test_other_teams_entities_are_left_alone,
    test_what_is_synced_is_found_again,
)
from tests.postgres_server import Database, Lag

pytestmark = pytest.mark.long


@pytest.fixture
def gateway(postgres_database: Database, tmp_path: Path) -> Iterator[Gateway]:
    """A gateway with two workers on a database of its own."""
    with bootstrapped(postgres_database.properties(), tmp_path) as urls:
        yield urls


@contextmanager
def bootstrapped(properties: dict[str, str], folder: Path) -> Iterator[Gateway]:
    """A gateway on a database that is set up first."""
    environment = {f"KONG_{name.upper()}": value for name, value in properties.items()}
    subprocess.run(
        [sys.executable, "-m", "kongtx.cli.main", "migrations", "bootstrap"],
        env={
            **os.environ,
            **environment,
            "KONG_PREFIX": str(folder / "prefix"),
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        },
        check=True,
        stdout=subprocess.DEVNULL,
    )
    with running(folder, **properties) as (urls, _):
        yield urls


def ask(url: str, data: Any = None, method: str | None = None) -> tuple[int, Any]:
    """Status and body of an answer."""
    body = None if data is None else json.dumps(data).encode()
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(url, body, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, json.loads(answer.read() or b"null")
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def test_an_outage_of_the_database_is_told_and_not_felt_by_traffic(
    gateway: Gateway, postgres_database: Database
) -> None:
    server = postgres_database.server
    service = {"name": "status", "url": f"{gateway.status}/status"}
    assert ask(f"{gateway.admin}/services", service)[0] == 201
    assert ask(f"{gateway.admin}/services/status/routes", {"paths": ["/s"]})[0] == 201
    assert ask(f"{gateway.proxy}/s")[1]["database"] == {"reachable": True}
    server.stop()
    try:
        for _ in range(20):
            status, body = ask(f"{gateway.proxy}/s")
            assert (status, body["database"]) == (200, {"reachable": False})
        assert ask(f"{gateway.status}/status/ready")[0] == 503
        assert ask(f"{gateway.admin}/services", {"name": "lost", "host": "h"})[0] >= 500
    finally:
        server.start()
    # Each worker tries again for itself.
    give_up = time.monotonic() + 10
    ready = 0
    while ready < 40:
        assert time.monotonic() < give_up
        ready = ready + 1 if ask(f"{gateway.status}/status/ready")[0] == 200 else 0
    assert ask(f"{gateway.admin}/services", {"name": "kept", "host": "h"})[0] == 201
    names = [row["name"] for row in ask(f"{gateway.admin}/services")[1]["data"]]
    assert sorted(names) == ["kept", "status"]


def test_credentials_that_are_cached_outlive_an_outage(
    postgres_database: Database, tmp_path: Path
) -> None:
    properties = postgres_database.properties()
    with bootstrapped(properties, tmp_path) as urls:
        assert ask(f"{urls.admin}/routes", {"name": "r", "paths": ["/k"]})[0] == 201
        answer = {"name": "request-termination", "config": {"status_code": 200}}
        for plugin in ({"name": "key-auth"}, answer):
            assert ask(f"{urls.admin}/routes/r/plugins", plugin)[0] == 201
        assert ask(f"{urls.admin}/consumers", {"username": "bob"})[0] == 201
        for key in ("asked-for", "never-asked-for"):
            assert ask(f"{urls.admin}/consumers/bob/key-auth", {"key": key})[0] == 201

    # Started anew, no event of these writes is on its way, which would drop what is cached.
    with running(tmp_path, **properties) as (urls, _):

        def status(key: str) -> int:
            return ask(f"{urls.proxy}/k?apikey={key}")[0]

        asked = time.monotonic()
        while time.monotonic() < asked + 1:
            assert (status("asked-for"), status("unknown")) == (200, 401)
        postgres_database.server.stop()
        try:
            # Of any worker: what one has looked up, the others find in the memory that they share.
            assert {status("asked-for") for _ in range(20)} == {200}
            assert {status("unknown") for _ in range(20)} == {401}
            assert status("never-asked-for") == 500
        finally:
            postgres_database.server.start()


def test_the_root_shows_the_database_and_not_its_password(gateway: Gateway) -> None:
    configuration = ask(gateway.admin)[1]["configuration"]
    assert configuration["database"] == "postgres"
    assert configuration["pg_host"] == "127.0.0.1"
    assert configuration.get("pg_password") in (None, "******")


def test_a_copy_that_lags_gives_nobody_what_was_taken_back(
    postgres_database: Database, lag: Lag, tmp_path: Path
) -> None:
    properties = postgres_database.properties()
    copy = {"pg_ro_host": lag.copy.host, "pg_ro_port": str(lag.copy.port)}
    with bootstrapped({**properties, **copy}, tmp_path) as gateway:
        admin = gateway.admin

        def statuses(key: str) -> set[int]:
            # Each request by a connection of its own, so that all workers are asked.
            return {ask(f"{gateway.proxy}/s?apikey={key}")[0] for _ in range(40)}

        assert ask(f"{admin}/services", {"name": "s", "url": f"{gateway.status}/status"})[0] == 201
        assert ask(f"{admin}/services/s/routes", {"paths": ["/s"]})[0] == 201
        assert ask(f"{admin}/services/s/plugins", {"name": "key-auth"})[0] == 201
        assert ask(f"{admin}/consumers", {"username": "bob"})[0] == 201
        assert ask(f"{admin}/consumers/bob/key-auth", {"key": "old"})[0] == 201
        lag.catch_up()
        assert statuses("old") == {200}
        read = "SELECT sum(xact_commit) FROM pg_stat_database WHERE datname = '{}'"
        assert lag.copy.run(read.format(postgres_database.name))[0][0] > 0
        lag.begin()
        [credential] = ask(f"{admin}/consumers/bob/key-auth")[1]["data"]
        gone = ask(f"{admin}/consumers/bob/key-auth/{credential['id']}", method="DELETE")
        assert gone == (204, None)
        assert ask(f"{admin}/consumers/bob/key-auth", {"key": "new"})[0] == 201
        assert statuses("old") == {401}
        assert statuses("new") == {200}
        lag.catch_up()
        assert (statuses("old"), statuses("new")) == ({401}, {200})
