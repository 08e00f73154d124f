"""Nodes that start while their database is away, and what happens when it returns."""

from __future__ import annotations

import os
import stat
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.defer import ensureDeferred
from twisted.internet.task import Clock
from twisted.internet.threads import deferToThread

from kongtx.db.errors import DatabaseError, DatabaseUnavailableError
from kongtx.runtime.errors import DatabaseAwayError
from kongtx.runtime.node.outage import open_store
from kongtx.testing.gateway import GatewayUnderTest
from kongtx.testing.upstream import Upstream
from tests.postgres_server import Database
from tests.runtime.fleets import asked, set_up, status, until

Make = Callable[..., Awaitable[GatewayUnderTest]]


class AwayStore:
    """A store whose database is away for some attempts. @ivar attempts: how many there were."""

    def __init__(self, away: int, error: Exception) -> None:
        self.attempts = 0
        self._away = away
        self._error = error

    async def start(self) -> None:
        self.attempts += 1
        if self.attempts <= self._away:
            raise self._error


def opening(store: AwayStore, clock: Clock, timeout: float) -> list[Any]:
    """Open it; the outcome, once there is one."""
    outcome: list[Any] = []
    store_: Any = store
    ensureDeferred(open_store(store_, timeout, clock)).addBoth(outcome.append)
    return outcome


def test_a_start_waits_for_the_database(clock: Clock) -> None:
    store = AwayStore(3, DatabaseUnavailableError("refused"))
    outcome = opening(store, clock, 60.0)
    clock.pump([1.0, 1.0])
    assert outcome == []
    clock.advance(1.0)
    assert outcome == [None]
    assert store.attempts == 4


def test_a_start_waits_no_longer_than_it_may(clock: Clock) -> None:
    outcome = opening(AwayStore(99, DatabaseUnavailableError("refused")), clock, 2.5)
    clock.pump([1.0, 1.0])
    assert outcome == []
    clock.advance(0.5)
    [failure] = outcome
    assert failure.check(DatabaseAwayError)
    assert failure.getErrorMessage() == (
        "the database did not answer within 2.5 seconds (db_start_timeout): refused"
    )


def test_a_start_tells_every_five_seconds_for_how_long_it_will_wait(clock: Clock) -> None:
    store: Any = AwayStore(99, DatabaseUnavailableError("refused"))
    told: list[str] = []
    ensureDeferred(open_store(store, 60.0, clock, told.append))
    clock.pump([1.0] * 9)
    assert told == [
        "waiting for the database, for 60 s more at most: refused",
        "waiting for the database, for 55 s more at most: refused",
    ]


def test_a_start_does_not_wait_for_what_will_not_pass(clock: Clock) -> None:
    outcome = opening(AwayStore(99, DatabaseError("broken")), clock, 60.0)
    assert outcome[0].check(DatabaseError)


@pytest.fixture
def stopped_database(postgres_database: Database) -> Iterator[Database]:
    """A database whose server a test may stop; it runs again afterwards.

    Stop it in a thread: it waits for clients that have connected and said nothing yet, as those in
    a reactor that stands still do.
    """
    yield postgres_database
    pytest_twisted.blockon(deferToThread(postgres_database.server.restart))


async def copying(database: Database, tmp_path: Path) -> dict[str, Any]:
    """The properties of a node that keeps a copy of a database, which is set up."""
    await set_up(database.properties())
    return {
        **database.properties(),
        "prefix": str(tmp_path / "node"),
        "db_offline_start": "on",
    }


async def configured(make_gateway: Make, upstream: Upstream, properties: dict[str, str]) -> Any:
    """A node with a route that asks for a key, whose copy is made."""
    gateway = await make_gateway(**properties)
    await gateway.add(
        {
            "services": [{"name": "s", "url": upstream.url, "routes": [{"paths": ["/r"]}]}],
            "plugins": [{"name": "key-auth"}],
            "consumers": [{"username": "bob", "keyauth_credentials": [{"key": "k1"}]}],
        }
    )

    async def is_copied() -> bool:
        copy = gateway.node.access.copy
        if copy is None:
            return True
        for folder in (copy.connector.path, os.path.dirname(copy.connector.path)):
            assert stat.S_IMODE(os.stat(folder).st_mode) == 0o700
        table = gateway.store["consumers"].table
        return await copy.connector.select_by(table, "username", "bob") is not None

    await until(is_copied)
    return gateway


@pytest_twisted.ensureDeferred
async def test_a_restart_during_an_outage_serves_by_the_copy_until_the_database_returns(
    make_gateway: Make, upstream: Upstream, stopped_database: Database, tmp_path: Path
) -> None:
    properties = await copying(stopped_database, tmp_path)
    first = await configured(make_gateway, upstream, properties)
    files = os.listdir(first.node.access.copy.connector.path)
    for name in files:
        path = os.path.join(first.node.access.copy.connector.path, name)
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    await first.stop(keep_prefix=True)
    await deferToThread(stopped_database.server.stop)

    second = await make_gateway(**properties)
    assert second.node.access.is_offline
    assert await status(second, "/r", apikey="k1") == 200
    assert await status(second, "/r", apikey="other") == 401
    assert second.node.plugin_node.cluster_id == first.node.plugin_node.cluster_id
    code, body = await asked(f"{second.admin_url}/services")
    assert (code, body["name"]) == (503, "database error")
    code, body = await asked(f"{second.admin_url}/services", "POST", {"url": upstream.url})
    assert code == 503

    await deferToThread(stopped_database.server.start)

    async def is_online() -> bool:
        return not second.node.access.is_offline

    await until(is_online)
    route = {"name": "new", "paths": ["/new"]}
    assert (await asked(f"{second.admin_url}/services/s/routes", "POST", route))[0] == 201
    assert await status(second, "/new", apikey="k1") == 200


@pytest_twisted.ensureDeferred
async def test_the_database_replaces_the_copy_when_it_returns_with_something_else(
    make_gateway: Make, upstream: Upstream, stopped_database: Database, tmp_path: Path
) -> None:
    properties = await copying(stopped_database, tmp_path)
    first = await configured(make_gateway, upstream, properties)
    await first.stop(keep_prefix=True)
    other = await make_gateway(**stopped_database.properties())
    await other.store["keyauth_credentials"].update_by("key", "k1", {"key": "k2"})
    await other.stop()
    await deferToThread(stopped_database.server.stop)
    second = await make_gateway(**properties)
    assert await status(second, "/r", apikey="k1") == 200
    await deferToThread(stopped_database.server.start)

    async def is_replaced() -> bool:
        return await status(second, "/r", apikey="k1") == 401

    await until(is_replaced)
    assert await status(second, "/r", apikey="k2") == 200


@pytest_twisted.ensureDeferred
async def test_without_leave_a_restart_during_an_outage_fails_and_leaves_no_copy(
    make_gateway: Make, upstream: Upstream, stopped_database: Database, tmp_path: Path
) -> None:
    properties = await copying(stopped_database, tmp_path)
    first = await make_gateway(**properties)
    copy = first.node.access.copy
    await first.stop(keep_prefix=True)
    await deferToThread(stopped_database.server.stop)
    with pytest.raises(DatabaseAwayError, match=r"did not answer within 0\.2 seconds"):
        await make_gateway(**properties | {"db_offline_start": "off", "db_start_timeout": "0.2"})
    assert not os.path.exists(os.path.dirname(copy.connector.path))


@pytest_twisted.ensureDeferred
async def test_the_copy_of_another_database_is_not_served_by_and_goes(
    make_gateway: Make, upstream: Upstream, stopped_database: Database, tmp_path: Path
) -> None:
    properties = await copying(stopped_database, tmp_path)
    first = await configured(make_gateway, upstream, properties)
    path = first.node.access.copy.connector.path
    await first.stop(keep_prefix=True)
    await deferToThread(stopped_database.server.stop)
    properties |= {"pg_database": "other", "db_start_timeout": "0.2"}
    with pytest.raises(DatabaseAwayError):
        await make_gateway(**properties)
    assert not os.path.exists(path)


@pytest_twisted.ensureDeferred
async def test_a_broken_copy_keeps_no_node_from_starting(
    make_gateway: Make, postgres_database: Database, tmp_path: Path
) -> None:
    properties = await copying(postgres_database, tmp_path)
    first = await make_gateway(**properties)
    path = first.node.access.copy.connector.path
    await first.stop(keep_prefix=True)
    Path(path, "data.mdb").write_bytes(b"\xff" * 10000)
    second = await make_gateway(**properties)
    assert second.node.access.copy is None
    assert (await asked(f"{second.admin_url}/services"))[0] == 200


@pytest_twisted.ensureDeferred
async def test_a_running_node_serves_on_and_tells_why_it_cannot_be_changed(
    make_gateway: Make, upstream: Upstream, stopped_database: Database
) -> None:
    await set_up(stopped_database.properties())
    gateway = await configured(make_gateway, upstream, stopped_database.properties())
    assert await status(gateway, "/r", apikey="k1") == 200
    await deferToThread(stopped_database.server.stop)
    for _ in range(20):
        assert await status(gateway, "/r", apikey="k1") == 200
    assert await status(gateway, "/r", apikey="never asked for") == 500
    code, body = await asked(f"{gateway.admin_url}/routes")
    assert (code, body["code"], body["name"]) == (503, 8, "database error")
    assert "PostgreSQL at" in body["message"]
