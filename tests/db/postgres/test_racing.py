"""Several nodes that use one database at once."""

from __future__ import annotations

from contextlib import closing

import attrs
import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import DeferredList, ensureDeferred, gatherResults
from twisted.internet.task import deferLater

from kongtx.db import errors, migrations
from kongtx.db.postgres import Endpoint, PostgresConnector, bookkeeping, link
from kongtx.db.writes import Delete, Increment, Insert, Upsert, Write
from tests.db.conformance import (
    CATALOGUE,
    CHILDREN,
    COUNTS,
    PARENTS,
    RaceConformance,
    child,
    numbers,
    parent,
    uid,
)
from tests.db.postgres.conftest import Open
from tests.postgres_server import Database

CORE = [migrations.Migration("core", "000_base"), migrations.Migration("core", "001_next")]


@pytest_twisted.ensureDeferred
async def test_two_nodes_may_migrate_at_once(endpoint: Endpoint) -> None:
    nodes = [PostgresConnector(endpoint, reactor) for _ in range(3)]
    ran: list[str] = []

    async def migrate(node: PostgresConnector) -> None:
        await node.start(CATALOGUE)
        async with migrations.locked(node, reactor, 30):
            ran.extend(step.name for step in await migrations.up(node, CATALOGUE, CORE))

    await gatherResults([ensureDeferred(migrate(node)) for node in nodes])
    assert ran == ["000_base", "001_next"]
    for node in nodes:
        await migrations.prepare(node, CATALOGUE, reactor, CORE)
        await node.stop()


@pytest_twisted.ensureDeferred
async def test_two_nodes_may_make_tables_at_once(endpoint: Endpoint) -> None:
    nodes = [PostgresConnector(endpoint, reactor) for _ in range(4)]
    await gatherResults([node.start(CATALOGUE) for node in nodes])
    await gatherResults([node.create(CATALOGUE) for node in nodes])
    assert await numbers(nodes[0], PARENTS) == []
    for node in nodes:
        await node.stop()


@pytest_twisted.ensureDeferred
async def test_a_node_waits_for_another_that_makes_tables_for_long(
    endpoint: Endpoint, postgres_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link, "GRACE_SECONDS", 0.1)
    hasty = PostgresConnector(attrs.evolve(endpoint, timeout=0.2), reactor)
    await hasty.start(CATALOGUE)
    with closing(postgres_database.server.connect(postgres_database.name)) as other:
        cursor = other.cursor()
        cursor.execute(f"BEGIN; {bookkeeping.ALONE}")
        making = hasty.create(CATALOGUE)
        await deferLater(reactor, 0.5)
        assert not making.called
    await making
    assert await numbers(hasty, PARENTS) == []
    await hasty.stop()


class TestRaces(RaceConformance):
    """See L{RaceConformance}."""


@pytest_twisted.ensureDeferred
async def test_a_child_and_the_end_of_its_parent_never_pass_each_other(opened: Open) -> None:
    one, other = await opened(), await opened()
    for number in range(20):
        await one.apply([Insert(PARENTS, parent(number))])
        (came, added), (went, removed) = await DeferredList(
            [
                one.apply([Insert(CHILDREN, child(number, number))]),
                other.apply([Delete(PARENTS, {"id": uid(number)})]),
            ],
            consumeErrors=True,
        )
        assert came != went
        lost = removed if came else added
        assert lost.check(errors.ForeignKeyViolationError), lost
        field = {"@referenced_by": "children"} if came else {"parent": {"id": uid(number)}}
        assert lost.value.fields == field


@pytest_twisted.ensureDeferred
async def test_additions_of_several_nodes_all_count(opened: Open) -> None:
    nodes = [await opened(), await opened()]
    row = {"period": "a", "number": 1, "value": 1}
    await gatherResults(
        [nodes[turn % 2].apply([Increment(COUNTS, row, "value")]) for turn in range(60)]
    )
    found = await nodes[0].select(COUNTS, {"period": "a", "number": 1})
    assert found == {**row, "value": 60}


@pytest_twisted.ensureDeferred
async def test_nodes_that_lock_each_other_out_both_finish(opened: Open) -> None:
    one, other = await opened(), await opened()
    await one.apply([Insert(PARENTS, parent(number)) for number in (1, 2)])
    there: list[Write] = [Upsert(PARENTS, parent(number, tags=["one"])) for number in (1, 2)]
    # A delete makes it go row by row, so that the order of the rows is that of the locks.
    back: list[Write] = [Upsert(PARENTS, parent(number, tags=["two"])) for number in (2, 1)]
    back.append(Delete(PARENTS, {"id": uid(9)}))
    there.append(Delete(PARENTS, {"id": uid(9)}))
    await gatherResults([one.apply(there), other.apply(back)])
    rows = [await one.select(PARENTS, {"id": uid(number)}) for number in (1, 2)]
    assert rows[0]["tags"] == rows[1]["tags"]
