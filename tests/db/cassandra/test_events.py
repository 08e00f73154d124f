"""What nodes leave for each other comes with the change that it is about, in order."""

from __future__ import annotations

import time
import uuid

import pytest
import pytest_twisted

from kongtx.db import errors
from kongtx.db.cassandra import clusterlog, layout, parcels
from kongtx.db.clusterlog import Broadcast
from kongtx.db.writes import Change, Increment, Insert
from tests.db.cassandra.conftest import Open
from tests.db.conformance import COUNTS, PARENTS, parent

pytestmark = pytest.mark.long


def named(changes: list[Change]) -> list[Broadcast]:
    return [
        Broadcast(f"c:{each.table.name}", str((each.new or {}).get("name"))) for each in changes
    ]


@pytest_twisted.ensureDeferred
async def test_changes_are_announced_with_them(opened: Open) -> None:
    writer, reader = await opened(), await opened()
    begin = await reader.events_after(None)
    assert (begin.events, abs(begin.now - time.time()) < 5) == ([], True)
    writer.announce_with(named, "node-1", 60)
    await writer.apply([Insert(PARENTS, parent(1, "a")), Insert(PARENTS, parent(2, "b"))])
    with pytest.raises(errors.UniqueViolationError):
        await writer.apply([Insert(PARENTS, parent(3, "a"))])
    await writer.apply([Insert(PARENTS, parent(3, "c"))])
    page = await reader.events_after(begin.now - 1)
    assert [(each.channel, each.data) for each in page.events] == [
        ("c:parents", "a"),
        ("c:parents", "b"),
        ("c:parents", "c"),
    ]
    assert {each.node_id for each in page.events} == {"node-1"}
    assert len({uuid.UUID(each.id) for each in page.events}) == 3
    first, second, third = page.events
    assert first.at == second.at == second.not_before < third.at
    assert begin.now - 1 < first.at < page.now + 1
    later = await reader.events_after(first.at)
    assert later.events == [third]
    assert (await reader.events_after(third.at)).events == []


@pytest_twisted.ensureDeferred
async def test_events_may_be_left_without_a_change_and_be_late(opened: Open) -> None:
    node = await opened()
    at = (await node.events_after(None)).now - 1
    left = [Broadcast("x", "1", 2.5), Broadcast("y", "\u00e9" * 100_000)]
    await node.append_events(left, "node-2", 60)
    first, second = (await node.events_after(at)).events
    assert (first.channel, first.data, first.not_before) == ("x", "1", first.at + 2.5)
    assert (second.channel, second.data, second.node_id) == ("y", "\u00e9" * 100_000, "node-2")
    assert await node.purge_events() == 0
    node.watch_events(lambda: None)()


@pytest_twisted.ensureDeferred
async def test_changes_of_rows_that_stand_alone_are_announced(opened: Open) -> None:
    node = await opened()
    at = (await node.events_after(None)).now - 1
    node.announce_with(named, "n", 60)
    await node.apply([Increment(COUNTS, {"period": "a", "number": 1, "value": 1}, "value")])
    assert [each.channel for each in (await node.events_after(at)).events] == ["c:counts"]


@pytest_twisted.ensureDeferred
async def test_the_log_is_read_back_as_far_as_asked(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clusterlog, "_AT_ONCE", 3)
    node = await opened()
    at = (await node.events_after(None)).now - 1
    for number in range(10):
        await node.append_events([Broadcast("c", str(number))], "n", 60)
        await node.apply([Insert(PARENTS, parent(number))])  # announces nothing
    events = (await node.events_after(at)).events
    assert [each.data for each in events] == [str(number) for number in range(10)]
    for position in range(10):
        assert (await node.events_after(events[position].at)).events == events[position + 1 :]


@pytest_twisted.ensureDeferred
async def test_the_log_begins_again_when_it_is_full(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layout, "RING", 5)
    node = await opened()
    at = (await node.events_after(None)).now - 1
    for number in range(12):
        await node.append_events([Broadcast("c", str(number))], "n", 60)
    assert [each.data for each in (await node.events_after(at)).events] == [
        "7",
        "8",
        "9",
        "10",
        "11",
    ]


@pytest_twisted.ensureDeferred
async def test_many_events_are_kept_in_several_rows(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parcels, "EVENTS_BYTES", 100)
    node = await opened()
    at = (await node.events_after(None)).now - 1
    await node.append_events([Broadcast("c", f"{number:030}") for number in range(50)], "n", 60)
    await node.append_events([Broadcast("c", "last")], "n", 60)
    events = (await node.events_after(at)).events
    assert [each.data for each in events] == [*(f"{number:030}" for number in range(50)), "last"]
    assert len({each.id for each in events}) == 51
