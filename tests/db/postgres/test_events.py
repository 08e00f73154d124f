"""What nodes leave for each other is kept with what they wrote, and wakes the others."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.task import Clock, deferLater

from kongtx.db import errors
from kongtx.db.clusterlog import Broadcast
from kongtx.db.postgres import Endpoint, PostgresConnector
from kongtx.db.writes import Change, Delete, Insert, Upsert
from tests.db.conformance import CHILDREN, NOW, PARENTS, child, parent, uid
from tests.db.postgres.conftest import Open
from tests.postgres_server import Database, PostgresServer


def announce(changes: Sequence[Change]) -> list[Broadcast]:
    """One event for each change."""
    return [
        Broadcast("changes", f"{change.table.name} {(change.new or change.old or {})['id'][-1]}")
        for change in changes
    ]


async def wakes(connector: PostgresConnector) -> list[float]:
    """The moments of wake-ups from now on, after the one for having connected."""
    moments: list[float] = []
    connector.watch_events(lambda: moments.append(reactor.seconds()))
    while not moments:
        await deferLater(reactor, 0.01)
    moments.clear()
    return moments


async def some(moments: list[float]) -> float:
    """The first moment, once there is one."""
    for _ in range(500):
        if moments:
            return moments[0]
        await deferLater(reactor, 0.01)
    raise AssertionError("not woken within 5 seconds")


@pytest_twisted.ensureDeferred
async def test_events_are_read_as_they_were_left(
    connector: PostgresConnector, clock: Clock
) -> None:
    await connector.append_events([Broadcast("a", "1"), Broadcast("b", "2", 1.5)], "node-1", 60)
    clock.advance(1)
    await connector.append_events([Broadcast("c", "\u00e9 {}")], "node-2", 60)
    page = await connector.events_after(NOW - 1)
    assert page.now == NOW + 1
    assert [(event.channel, event.data) for event in page.events] == [
        ("a", "1"),
        ("b", "2"),
        ("c", "\u00e9 {}"),
    ]
    assert [event.node_id for event in page.events] == ["node-1", "node-1", "node-2"]
    assert [(event.at, event.not_before) for event in page.events] == [
        (NOW, NOW),
        (NOW, NOW + 1.5),
        (NOW + 1, NOW + 1),
    ]
    assert len({event.id for event in page.events}) == 3
    assert [event.channel for event in (await connector.events_after(NOW)).events] == ["c"]
    assert (await connector.events_after(None)).events == ()


@pytest_twisted.ensureDeferred
async def test_no_events_are_an_empty_page(connector: PostgresConnector, clock: Clock) -> None:
    page = await connector.events_after(0.0)
    assert (page.now, list(page.events)) == (NOW, [])
    await connector.append_events([], "node-1", 60)
    assert list((await connector.events_after(0.0)).events) == []


@pytest_twisted.ensureDeferred
async def test_the_time_is_the_databases_and_before_what_was_read(opened: Open) -> None:
    connector = await opened()
    begin = (await connector.events_after(None)).now
    await connector.append_events([Broadcast("a", "1", 5)], "node-1", 60)
    page = await connector.events_after(begin)
    [event] = page.events
    assert begin < event.at < page.now
    assert event.not_before == pytest.approx(event.at + 5, abs=0.001)
    assert list((await connector.events_after(event.at)).events) == []


@pytest_twisted.ensureDeferred
async def test_events_are_purged_when_their_life_is_over(
    connector: PostgresConnector, clock: Clock
) -> None:
    await connector.append_events([Broadcast("a", "1"), Broadcast("b", "2", 10)], "node-1", 60)
    clock.advance(59)
    assert await connector.purge_events() == 0
    clock.advance(1)
    assert await connector.purge_events() == 1
    assert [event.channel for event in (await connector.events_after(0.0)).events] == ["b"]
    clock.advance(10)
    assert await connector.purge_events() == 1


@pytest_twisted.ensureDeferred
async def test_changes_are_announced_with_their_transaction_and_refused_ones_are_not(
    connector: PostgresConnector,
) -> None:
    connector.announce_with(announce, "node-1", 60)
    await connector.apply([Insert(PARENTS, parent(1, "a")), Insert(CHILDREN, child(2, of=1))])
    with pytest.raises(errors.UniqueViolationError):
        await connector.apply([Insert(PARENTS, parent(3)), Insert(PARENTS, parent(4, "a"))])
    with pytest.raises(errors.ForeignKeyViolationError):
        await connector.apply([Upsert(PARENTS, parent(5)), Delete(PARENTS, {"id": uid(1)})])
    await connector.apply([Delete(CHILDREN, {"id": uid(2)}), Delete(PARENTS, {"id": uid(9)})])
    await connector.apply([Delete(PARENTS, {"id": uid(9)})])
    left = [event.data for event in (await connector.events_after(0.0)).events]
    assert left == ["parents 1", "children 2", "children 2"]


@pytest_twisted.ensureDeferred
async def test_a_failing_announcement_keeps_nothing(connector: PostgresConnector) -> None:
    def refuse(changes: Sequence[Change]) -> list[Broadcast]:
        raise ZeroDivisionError

    connector.announce_with(refuse, "node-1", 60)
    with pytest.raises(ZeroDivisionError):
        await connector.apply([Insert(PARENTS, parent(1, "a"))])
    assert await connector.select(PARENTS, {"id": uid(1)}) is None


@pytest_twisted.ensureDeferred
async def test_another_nodes_events_wake_at_once(opened: Open) -> None:
    one, other = await opened(), await opened()
    one.announce_with(announce, "node-1", 60)
    moments = await wakes(other)
    begin = reactor.seconds()
    await one.apply([Insert(PARENTS, parent(1, "a"))])
    assert await some(moments) - begin < 1
    moments.clear()
    begin = reactor.seconds()
    await one.append_events([Broadcast("a", "1")], "node-1", 60)
    assert await some(moments) - begin < 1


@pytest_twisted.ensureDeferred
async def test_after_a_restart_of_the_server_one_is_woken_again(
    opened: Open, postgres_server: PostgresServer
) -> None:
    one, other = await opened(), await opened()
    moments = await wakes(other)
    postgres_server.restart()
    await some(moments)  # for what may have been missed
    moments.clear()
    await one.append_events([Broadcast("a", "1")], "node-1", 60)
    await some(moments)


@pytest_twisted.ensureDeferred
async def test_who_fails_to_wake_is_woken_the_next_time(opened: Open) -> None:
    connector = await opened()
    moments: list[float] = []

    def fail() -> None:
        moments.append(reactor.seconds())
        raise ZeroDivisionError

    connector.watch_events(fail)
    await some(moments)
    moments.clear()
    await connector.append_events([Broadcast("a", "1")], "node-1", 60)
    await some(moments)


@pytest_twisted.ensureDeferred
async def test_a_watch_can_be_ended_at_any_moment(
    endpoint: Endpoint, postgres_database: Database
) -> None:
    connector = PostgresConnector(endpoint, reactor)
    ends = [connector.watch_events(lambda: None)]
    await wakes(connector)
    ends.append(connector.watch_events(lambda: None))
    for end in ends + ends:
        end()
    await connector.stop()
    for _ in range(100):
        left = postgres_database.server.run(
            f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{postgres_database.name}'"
        )
        if left == [(0,)]:
            return
        await deferLater(reactor, 0.02)
    raise AssertionError(f"{left} connections are left")
