"""A gateway on Cassandra, used by other programs: what holds with SQLite holds with it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cassandra_server import CassandraServer
from tests.integration.conftest import Gateway
from tests.integration.test_aio_kong import (  # noqa: F401 - run here, too
    test_a_whole_configuration_is_applied,
    test_lists_are_followed_over_pages,
    test_refusals_are_told,
)
from tests.integration.test_deck import (  # noqa: F401 - run here, too
    deck,
    deck_program,
    test_other_teams_entities_are_left_alone,
    test_what_is_synced_is_found_again,
)
from tests.integration.test_postgres import ask, bootstrapped

pytestmark = pytest.mark.long


@pytest.fixture
def gateway(cassandra_properties: dict[str, str], tmp_path: Path) -> Iterator[Gateway]:
    """A gateway with two workers on a keyspace of its own."""
    with bootstrapped(cassandra_properties, tmp_path) as urls:
        yield urls


def test_entities_are_made_used_changed_and_removed(gateway: Gateway) -> None:
    admin = gateway.admin
    assert ask(f"{admin}/services", {"name": "s", "url": f"{gateway.status}/status"})[0] == 201
    assert ask(f"{admin}/services", {"name": "s", "host": "h"})[0] == 409
    route = {"name": "r", "paths": ["/s"], "tags": ["t"]}
    assert ask(f"{admin}/services/s/routes", route)[0] == 201
    assert ask(f"{admin}/services/s/plugins", {"name": "key-auth"})[0] == 201
    counting = {"name": "rate-limiting", "config": {"minute": 3, "policy": "cluster"}}
    assert ask(f"{admin}/services/s/plugins", counting)[0] == 201
    assert ask(f"{admin}/consumers", {"username": "bob"})[0] == 201
    assert ask(f"{admin}/consumers/bob/key-auth", {"key": "k1", "ttl": 3600})[0] == 201
    assert ask(f"{gateway.proxy}/s")[0] == 401
    # Counters are the database's, so both workers count together.
    statuses = [ask(f"{gateway.proxy}/s?apikey=k1")[0] for _ in range(5)]
    assert statuses == [200, 200, 200, 429, 429]
    assert [each["entity_name"] for each in ask(f"{admin}/tags/t")[1]["data"]] == ["routes"]
    assert ask(f"{admin}/routes?tags=t")[1]["data"][0]["name"] == "r"
    assert ask(f"{admin}/routes/r", {"paths": ["/other"]}, "PATCH")[0] == 200
    assert ask(f"{admin}/services/s", method="DELETE")[0] == 400
    assert ask(f"{admin}/routes/r", method="DELETE")[0] == 204
    assert ask(f"{admin}/services/s", method="DELETE")[0] == 204
    assert ask(f"{admin}/plugins")[1]["data"] == []
    assert ask(f"{admin}/consumers/bob", method="DELETE")[0] == 204
    assert ask(f"{admin}/key-auths")[1]["data"] == []


def test_an_outage_of_the_database_is_told_and_not_felt_by_traffic(
    gateway: Gateway, cassandra_server: CassandraServer
) -> None:
    service = {"name": "status", "url": f"{gateway.status}/status"}
    assert ask(f"{gateway.admin}/services", service)[0] == 201
    assert ask(f"{gateway.admin}/services/status/routes", {"paths": ["/s"]})[0] == 201
    served, give_up = 0, time.monotonic() + 30
    while served < 20:  # by either worker
        assert time.monotonic() < give_up
        status, body = ask(f"{gateway.proxy}/s")
        served = served + 1 if status == 200 else 0
    assert body["database"] == {"reachable": True}
    cassandra_server.stop()
    try:
        for _ in range(20):
            status, body = ask(f"{gateway.proxy}/s")
            assert (status, body["database"]) == (200, {"reachable": False})
        assert ask(f"{gateway.admin}/services", {"name": "lost", "host": "h"})[0] == 503
    finally:
        cassandra_server.start()
    give_up = time.monotonic() + 60
    status = 0
    while status not in (201, 409):
        assert time.monotonic() < give_up
        # A server that has just started may take longer for a write than a client waits.
        with contextlib.suppress(OSError):
            status = ask(f"{gateway.admin}/services", {"name": "kept", "host": "h"})[0]
        time.sleep(0.2)
    names = [row["name"] for row in ask(f"{gateway.admin}/services")[1]["data"]]
    assert sorted(names) == ["kept", "status"]


def test_the_root_shows_the_database_and_not_its_password(gateway: Gateway) -> None:
    configuration = ask(gateway.admin)[1]["configuration"]
    assert configuration["database"] == "cassandra"
    assert configuration["cassandra_contact_points"] == ["127.0.0.1"]
    assert configuration.get("cassandra_password") in (None, "******")
