"""A read-only copy answers what it can, and nobody sees less than they know."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import succeed
from twisted.internet.task import deferLater
from zope.interface.verify import verifyObject

from kongtx.db import migrations
from kongtx.db.clusterlog import Broadcast
from kongtx.db.errors import DatabaseError
from kongtx.db.interfaces import IConnector, IReplicated
from kongtx.db.paging import Query
from kongtx.db.postgres import Endpoint, PostgresConnector
from kongtx.db.postgres.failures import Contended, NoAnswer
from kongtx.db.postgres.position import KnownPosition, number_of, text_of
from kongtx.db.postgres.replica import Replica
from kongtx.db.store import Store
from kongtx.db.writes import Insert, Update
from kongtx.plugins.schemas import full_registry
from tests.db.conformance import CATALOGUE, PARENTS, parent, uid
from tests.postgres_server import Database, Lag, PostgresServer


@pytest.fixture
def copied(endpoint: Endpoint, postgres_copy: PostgresServer) -> Endpoint:
    return attrs.evolve(endpoint, port=postgres_copy.port)


@pytest_twisted.async_yield_fixture
async def node(endpoint: Endpoint, copied: Endpoint, lag: Lag) -> AsyncIterator[PostgresConnector]:
    """A connector whose copy has the tables already."""
    made = PostgresConnector(endpoint, reactor, replica=copied)
    await made.start(CATALOGUE)
    await made.create(CATALOGUE)
    lag.catch_up()
    yield made
    await made.stop()


@pytest_twisted.async_yield_fixture
async def elsewhere(endpoint: Endpoint, node: PostgresConnector) -> AsyncIterator[Any]:
    """Another node, without a copy."""
    made = PostgresConnector(endpoint, reactor)
    await made.start(CATALOGUE)
    yield made
    await made.stop()


async def name_of(connector: Any) -> str | None:
    found = await connector.select(PARENTS, {"id": uid(1)})
    return found and found["name"]


def test_it_provides_the_interfaces(node: PostgresConnector) -> None:
    assert verifyObject(IReplicated, node)
    assert verifyObject(IConnector, node.replica())


@pytest_twisted.ensureDeferred
async def test_reads_are_answered_by_the_copy(
    node: PostgresConnector, elsewhere: PostgresConnector, lag: Lag
) -> None:
    copy: Any = node.replica()
    lag.begin()
    await elsewhere.apply([Insert(PARENTS, parent(1, "a", ["t"]))])
    assert await name_of(node) == "a"
    assert await name_of(copy) is None
    assert await copy.select_by(PARENTS, "name", "a") is None
    assert (await copy.page(PARENTS, Query(10))).rows == []
    assert (await copy.page_tags("t", 10, None)).rows == []
    lag.catch_up()
    assert await name_of(copy) == "a"
    assert len((await copy.page_tags("t", 10, None)).rows) == 1


@pytest_twisted.ensureDeferred
async def test_what_was_written_here_is_read_here(node: PostgresConnector, lag: Lag) -> None:
    copy: Any = node.replica()
    lag.begin()
    await copy.apply([Insert(PARENTS, parent(1, "a"))])
    assert await name_of(copy) == "a"
    await node.apply([Update(PARENTS, parent(1, "b"))])
    assert await name_of(copy) == "b"
    lag.catch_up()
    assert await name_of(copy) == "b"


@pytest_twisted.ensureDeferred
async def test_what_an_event_told_of_is_read(
    node: PostgresConnector, elsewhere: PostgresConnector, lag: Lag
) -> None:
    copy: Any = node.replica()
    elsewhere.announce_with(lambda changes: [Broadcast("changed", "1")], "other", 60)
    begin = (await node.events_after(None)).now
    lag.begin()
    await elsewhere.apply([Insert(PARENTS, parent(1, "a"))])
    assert await name_of(copy) is None
    assert len((await node.events_after(begin)).events) == 1
    assert await name_of(copy) == "a"


@pytest_twisted.ensureDeferred
async def test_what_another_worker_wrote_is_read(
    node: PostgresConnector, endpoint: Endpoint, copied: Endpoint, lag: Lag, tmp_path: Path
) -> None:
    colleague = PostgresConnector(endpoint, reactor, replica=copied)
    await colleague.start(CATALOGUE)
    copy: Any = node.replica()
    lag.begin()
    await colleague.apply([Insert(PARENTS, parent(1, "a"))])
    assert await name_of(copy) is None
    for connector in (node, colleague):
        connector.share_knowledge(str(tmp_path / "position"))
    assert await name_of(copy) == "a"
    await colleague.apply([Update(PARENTS, parent(1, "b"))])
    assert await name_of(copy) == "b"
    await colleague.stop()


class TestKnownPosition:
    def test_it_only_rises(self) -> None:
        known = KnownPosition()
        seen = []
        for position in (5, 9, 7):
            known.reach(position)
            seen.append(known.number)
        assert seen == [5, 9, 9]

    def test_it_is_shared_from_both_sides_and_kept_at_the_end(self, tmp_path: Path) -> None:
        one, other = KnownPosition(), KnownPosition()
        one.reach(5)
        other.reach(9)
        for each in (one, other):
            each.share(str(tmp_path / "position"))
        assert (one.number, other.number) == (9, 9)
        one.reach(7)
        one.reach(11)
        assert other.number == 11
        for each in (one, other, one):
            each.close()
        one.reach(13)
        assert (one.number, other.number) == (13, 11)

    @pytest.mark.parametrize("text", ["0/0", "0/1A2B", "1/A0", "FFFFFFFF/FFFFFFFF"])
    def test_positions_are_written_as_they_were(self, text: str) -> None:
        assert text_of(number_of(text)) == text
        assert number_of("1/A0") == (1 << 32) + 0xA0


@pytest_twisted.ensureDeferred
async def test_without_the_copy_the_main_server_answers(
    node: PostgresConnector, postgres_copy: PostgresServer
) -> None:
    reads: Any = node.replica()
    await node.apply([Insert(PARENTS, parent(1, "a"))])
    assert await name_of(reads) == "a"
    postgres_copy.stop()
    try:
        assert await name_of(reads) == "a"
    finally:
        postgres_copy.start()
    await deferLater(reactor, 0.1)
    assert await name_of(reads) == "a"


class _FailingCopy:
    """Connections to a copy that takes questions and does not answer them."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    @asynccontextmanager
    async def link(self) -> AsyncIterator[Any]:
        yield self

    @property
    def position(self) -> int:
        raise self._error


@pytest.mark.parametrize(
    "error",
    [
        Contended("canceling statement due to conflict with recovery"),
        NoAnswer("no answer within 5 seconds"),
        DatabaseError("canceling statement due to statement timeout"),
    ],
    ids=lambda error: type(error).__name__,
)
@pytest_twisted.ensureDeferred
async def test_the_main_server_answers_what_the_copy_does_not(error: DatabaseError) -> None:
    class Main:
        async def with_link(self, work: Any) -> str:
            return "main"

    main: Any = Main()
    copy: Any = _FailingCopy(error)
    assert await Replica(main, copy).read(lambda link: succeed("copy")) == "main"


@pytest_twisted.ensureDeferred
async def test_a_second_server_that_follows_none_is_read_as_it_is(
    endpoint: Endpoint, postgres_database: Database
) -> None:
    node = PostgresConnector(endpoint, reactor, replica=endpoint)
    await node.start(CATALOGUE)
    await node.create(CATALOGUE)
    await node.apply([Insert(PARENTS, parent(1, "a"))])
    assert await name_of(node.replica()) == "a"
    await node.stop()


@pytest_twisted.ensureDeferred
async def test_a_store_writes_by_what_the_main_server_has(
    endpoint: Endpoint, copied: Endpoint, lag: Lag
) -> None:
    connector = PostgresConnector(endpoint, reactor, replica=copied)
    store = Store(full_registry(), connector, reactor)
    await connector.start(store.catalogue)
    await migrations.up(connector, store.catalogue)
    await store.start()
    reads = store.at_replica()
    other = Store(store.registry, PostgresConnector(endpoint, reactor), reactor)
    await other.start()
    seen: list[str] = []
    store.subscribe(lambda changes: seen.extend(change.operation for change in changes))
    lag.begin()
    service = await other["services"].insert({"name": "s", "host": "h"})
    assert await reads["services"].select(service["id"]) is None
    assert await store["services"].select(service["id"]) == service
    await reads["services"].update_by("name", "s", {"port": 1})
    await reads["routes"].insert({"paths": ["/"], "service": {"name": "s"}})
    await reads["services"].upsert_by("name", "s", {"host": "i"})
    assert seen == ["update", "create", "update"]
    assert (await reads["services"].select_by("name", "s"))["host"] == "i"
    assert await reads["services"].delete_by("name", "none") is False
    await store.stop()
    await other.stop()


@pytest_twisted.ensureDeferred
async def test_without_a_copy_a_store_reads_where_it_writes(endpoint: Endpoint) -> None:
    store = Store(full_registry(), PostgresConnector(endpoint, reactor), reactor)
    assert store.at_replica() is store
