"""The Cassandra connector does what every connector has to."""

from __future__ import annotations

import time

import attrs
import pytest
import pytest_twisted
from twisted.internet.defer import gatherResults
from zope.interface.verify import verifyObject

from kongtx.db import errors, migrations
from kongtx.db.cassandra import CassandraConnector
from kongtx.db.interfaces import IClusterLog, IMigratable
from kongtx.db.paging import Query
from kongtx.db.tables import Catalogue, Table
from kongtx.db.writes import Delete, Increment, Insert, Update
from tests.db.cassandra.conftest import Open
from tests.db.conformance import (
    CATALOGUE,
    CHILDREN,
    COUNTS,
    PARENTS,
    Fill,
    WriteConformance,
    child,
    extra,
    filling,
    numbers,
    parent,
    uid,
)

pytestmark = pytest.mark.long


@pytest.fixture
def fill(connector: CassandraConnector) -> Fill:
    return filling(connector)


class TestConformance(WriteConformance):
    """See L{WriteConformance}."""


def test_it_keeps_migrations_and_events(connector: CassandraConnector) -> None:
    assert verifyObject(IMigratable, connector)
    assert verifyObject(IClusterLog, connector)


@pytest_twisted.ensureDeferred
async def test_rows_that_stand_alone_are_written_replaced_and_removed(
    connector: CassandraConnector,
) -> None:
    first = {"period": "a", "number": 1, "value": 1}
    await connector.apply([Insert(COUNTS, first), Insert(PARENTS, parent(1))])
    with pytest.raises(errors.PrimaryKeyViolationError):
        await connector.apply([Insert(PARENTS, parent(2)), Insert(COUNTS, first)])
    with pytest.raises(errors.ConflictError):
        await connector.apply([Update(COUNTS, {**first, "value": 2}, was={**first, "value": 9})])
    assert await numbers(connector, PARENTS) == [1]
    await connector.apply([Update(COUNTS, {**first, "value": 2}, was=first)])
    second = {"period": "a", "number": 2, "value": 5}
    await connector.apply([Increment(COUNTS, second, "value")])
    page = await connector.page(COUNTS, Query(1))
    assert page.rows == [{**first, "value": 2}]
    page = await connector.page(COUNTS, Query(1, page.offset))
    assert (page.rows, page.offset) == ([second], None)
    [[change]] = await connector.apply([Delete(COUNTS, {"period": "a", "number": 1})])
    assert (change.old, change.new) == ({**first, "value": 2}, None)
    assert await connector.apply([Delete(COUNTS, {"period": "a", "number": 1})]) == [[]]
    assert (await connector.page(COUNTS, Query(9))).rows == [second]


@pytest_twisted.ensureDeferred
async def test_stopping_waits_for_writes_and_may_be_repeated(opened: Open) -> None:
    first, second = await opened(), await opened()
    writes = [first.apply([Insert(PARENTS, parent(number))]) for number in range(20)]
    row = {"period": "a", "number": 1, "value": 1}
    writes.append(first.apply([Increment(COUNTS, row, "value")]))
    await first.stop()
    await first.stop()
    assert len(await gatherResults(writes)) == 21
    with pytest.raises(errors.DatabaseError, match="closed"):
        await first.select(PARENTS, {"id": uid(1)})
    with pytest.raises(errors.DatabaseError, match="closed"):
        await first.apply([Insert(PARENTS, parent(99))])
    assert len(await numbers(second, PARENTS)) == 20
    await first.start(CATALOGUE)
    assert await first.select(COUNTS, row) == row


@pytest_twisted.ensureDeferred
async def test_new_search_fields_are_filled_from_the_rows_that_exist(opened: Open) -> None:
    before = Catalogue.of([Table("parents"), Table("children")])
    first = await opened(before)
    await first.apply(
        [
            Insert(before["parents"], parent(1, "a", ["t"])),
            Insert(before["children"], child(1, of=1, name='it\'s "x"')),
        ]
    )
    second = await opened()
    assert (await second.select_by(PARENTS, "name", "a"))["id"] == uid(1)
    assert (await second.select_by(CHILDREN, "name", 'it\'s "x"'))["id"] == uid(1)
    page = await second.page(CHILDREN, Query(10, reference=("parent", uid(1))))
    assert len(page.rows) == 1
    with pytest.raises(errors.ForeignKeyViolationError):
        await second.apply([Delete(PARENTS, {"id": uid(1)})])
    # The node that still runs with its own idea of the tables keeps the new indexes, too.
    await first.apply([Insert(before["parents"], parent(2, "b"))])
    assert (await second.select_by(PARENTS, "name", "b"))["id"] == uid(2)


@pytest_twisted.ensureDeferred
async def test_rows_of_a_plugin_that_is_off_still_go_with_their_parent(opened: Open) -> None:
    first = await opened()
    await first.apply([Insert(PARENTS, parent(1)), Insert(CATALOGUE["extras"], extra(1, "x", 1))])
    without = await opened(Catalogue.of([PARENTS]))
    await without.apply([Delete(PARENTS, {"id": uid(1)})])
    assert await numbers(first, CATALOGUE["extras"]) == []


@pytest_twisted.ensureDeferred
async def test_what_the_database_refuses_leaves_what_waited_with_it(opened: Open) -> None:
    node = await opened()
    huge = {**parent(2), "note": "x" * 20_000_000}
    outcomes = await gatherResults(
        [
            node.apply([Insert(PARENTS, row)]).addCallbacks(
                lambda _: "kept", lambda failure: failure.type
            )
            for row in (parent(1, "a"), huge, parent(3, "b"))
        ]
    )
    assert outcomes == ["kept", errors.DatabaseError, "kept"]
    assert await numbers(node, PARENTS) == [1, 3]


@pytest_twisted.ensureDeferred
async def test_locks_are_held_renewed_released_and_run_out(opened: Open) -> None:
    node = await opened()
    assert await node.acquire("l", "one", 60)
    assert not await node.acquire("l", "two", 60)
    assert await node.acquire("other", "two", 60)
    assert await node.acquire("l", "one", 60)
    await node.release("l", "two")
    assert not await node.acquire("l", "two", 60)
    await node.release("l", "one")
    assert await node.acquire("l", "two", 1)
    give_up = time.monotonic() + 10
    while not await node.acquire("l", "three", 60):  # by the database's clock alone
        assert time.monotonic() < give_up
    assert not await node.acquire("l", "two", 60)


@pytest_twisted.ensureDeferred
async def test_a_reset_removes_everything(opened: Open) -> None:
    node = await opened(keyspace="kongtx_reset")
    await node.record("core", "000_base", False)
    await node.record("core", "001_next", True)
    assert await node.executed() == {"core": [("000_base", False), ("001_next", True)]}
    await node.apply([Insert(PARENTS, parent(1)), Insert(CHILDREN, child(1, of=1))])
    await node.reset()
    assert await node.executed() is None
    with pytest.raises(errors.DatabaseError, match="configuration"):
        await node.apply([Insert(PARENTS, parent(1))])
    await node.create(CATALOGUE)
    assert await numbers(node, PARENTS) == []
    await node.apply([Insert(PARENTS, parent(1, "a"))])
    assert (await node.select_by(PARENTS, "name", "a"))["id"] == uid(1)


@pytest_twisted.ensureDeferred
async def test_a_keyspace_is_made_with_its_replication(opened: Open) -> None:
    node = await opened(
        keyspace="Mixed_Case",
        replication={"class": "NetworkTopologyStrategy", "datacenter1": "1"},
    )
    rows = await node._session.in_thread(
        lambda: node._session.run(
            "SELECT replication FROM system_schema.keyspaces WHERE keyspace_name = 'Mixed_Case'"
        )
    )
    [(found,)] = rows
    assert dict(found) == {
        "class": "org.apache.cassandra.locator.NetworkTopologyStrategy",
        "datacenter1": "1",
    }
    await node.apply([Insert(PARENTS, parent(1))])
    assert await numbers(node, PARENTS) == [1]


@pytest_twisted.ensureDeferred
async def test_a_database_that_is_not_set_up_says_so(opened: Open) -> None:
    node = await opened(keyspace="kongtx_fresh")
    fresh = CassandraConnector(attrs.evolve(node.settings, keyspace="kongtx_none"), node._reactor)
    await fresh.start(CATALOGUE)
    assert await fresh.executed() is None
    state = await migrations.read_state(fresh)
    assert state.needs_bootstrap
    with pytest.raises(errors.DatabaseError, match="kongtx_none"):
        await fresh.select(PARENTS, {"id": uid(1)})
    await fresh.ping()
    await fresh.stop()
