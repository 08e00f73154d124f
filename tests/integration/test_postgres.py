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
from tests.postgres_server import Database

pytestmark = pytest.mark.long


@pytest.fixture
def gateway(postgres_database: Database, tmp_path: Path) -> Iterator[Gateway]:
    """A gateway with two workers on a database of its own."""
    properties = postgres_database.properties()
    environment = {f"KONG_{name.upper()}": value for name, value in properties.items()}
    subprocess.run(
        [sys.executable, "-m", "kongtx.cli.main", "migrations", "bootstrap"],
        env={
            **os.environ,
            **environment,
            "KONG_PREFIX": str(tmp_path / "prefix"),
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        },
        check=True,
        stdout=subprocess.DEVNULL,
    )
    with running(tmp_path, **properties) as (urls, _):
        yield urls


def ask(url: str, data: Any = None) -> tuple[int, Any]:
    """Status and body of an answer."""
    body = None if data is None else json.dumps(data).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, json.load(answer)
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
    give_up = time.monotonic() + 10
    while ask(f"{gateway.status}/status/ready")[0] != 200:
        assert time.monotonic() < give_up
        time.sleep(0.05)
    assert ask(f"{gateway.admin}/services", {"name": "kept", "host": "h"})[0] == 201
    names = [row["name"] for row in ask(f"{gateway.admin}/services")[1]["data"]]
    assert sorted(names) == ["kept", "status"]


def test_the_root_shows_the_database_and_not_its_password(gateway: Gateway) -> None:
    configuration = ask(gateway.admin)[1]["configuration"]
    assert configuration["database"] == "postgres"
    assert configuration["pg_host"] == "127.0.0.1"
    assert configuration.get("pg_password") in (None, "******")
