"""Commits that are large, that nobody answers, or that somebody else has to finish."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import pytest_twisted

from kongtx.db import errors
from kongtx.db.cassandra import CassandraConnector, parcels
from kongtx.db.cassandra.partition import QUORUM, SERIAL
from kongtx.db.cassandra.session import OutcomeUnknownError
from kongtx.db.clusterlog import Broadcast
from kongtx.db.writes import Change, Delete, Increment, Insert, Update
from tests.db.cassandra.conftest import Open
from tests.db.conformance import COUNTS, PARENTS, numbers, parent, uid

pytestmark = pytest.mark.long


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything over ten rows is a large commit."""
    monkeypatch.setattr(parcels, "BATCH_ROWS", 10)
    monkeypatch.setattr(parcels, "PART_BYTES", 1000)


def inserts(first: int, count: int) -> list[Insert]:
    rows = range(first, first + count)
    return [Insert(PARENTS, parent(number, f"n{number}", ["t"])) for number in rows]


async def intents(node: CassandraConnector) -> int:
    """How many parts of large commits lie about."""
    rows = await node._session.in_thread(
        lambda: node._session.run(f"SELECT id FROM {node.settings.keyspace}.intents")
    )
    return len(rows)


def losing(method: Callable[..., Any], when: Sequence[bool]) -> Callable[..., Any]:
    """A method whose answers are lost.

    @param when: for each call whether it is lost before it is made; later calls are answered.
    """
    left = list(when)

    async def lossy(*arguments: Any, **named: Any) -> Any:
        if not left:
            return await method(*arguments, **named)
        if not left.pop(0):
            await method(*arguments, **named)
        raise OutcomeUnknownError("cassandra: lost")

    return lossy


@pytest_twisted.ensureDeferred
async def test_thousands_of_rows_are_written_replaced_and_removed_at_once(opened: Open) -> None:
    node, other = await opened(), await opened()
    await node.apply(inserts(1, 3000))
    assert await numbers(other, PARENTS, size=1000) == list(range(1, 3001))
    with pytest.raises(errors.UniqueViolationError):
        await other.apply([*inserts(4000, 3000), Insert(PARENTS, parent(1000000, "n1"))])
    await other.apply([Update(PARENTS, parent(number, f"m{number}")) for number in range(1, 3001)])
    assert (await node.select_by(PARENTS, "name", "m3000"))["id"] == uid(3000)
    assert await node.select_by(PARENTS, "name", "n3000") is None
    assert (await node.page_tags("t", 10, None)).rows == []
    await node.apply([Delete(PARENTS, {"id": uid(number)}) for number in range(1, 3001)])
    assert await numbers(other, PARENTS) == []
    assert await intents(node) == 0


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("reads", ["page", "select", "select_by", "page_tags", "events", "write"])
@pytest_twisted.ensureDeferred
async def test_whoever_comes_by_finishes_what_a_writer_left(opened: Open, reads: str) -> None:
    writer, reader = await opened(), await opened()
    at = (await reader.events_after(None)).now - 60
    await writer.apply([Insert(PARENTS, parent(number, None, ["old"])) for number in range(40)])

    async def dies(*_: Any) -> None:
        raise errors.DatabaseError("dead")

    writer._partition._apply = dies  # type: ignore[method-assign]
    writer.announce_with(lambda changes: [Broadcast("c", str(len(changes)))], "w", 60)
    changes = [*inserts(100, 40), *(Delete(PARENTS, {"id": uid(number)}) for number in range(40))]
    with pytest.raises(errors.DatabaseError, match="dead"):
        await writer.apply(changes)
    if reads == "select":
        assert await reader.select(PARENTS, {"id": uid(1)}) is None
    elif reads == "select_by":
        # Nothing is there as yet that could say that something is to come.
        assert await reader.select_by(PARENTS, "name", "n100") is None
        assert await reader.select(PARENTS, {"id": uid(1)}) is None
        assert (await reader.select_by(PARENTS, "name", "n100"))["id"] == uid(100)
    elif reads == "page_tags":
        assert (await reader.page_tags("old", 10, None)).rows == []
    elif reads == "events":
        assert [event.data for event in (await reader.events_after(at)).events] == ["80"]
    elif reads == "write":
        with pytest.raises(errors.UniqueViolationError):
            await reader.apply([Insert(PARENTS, parent(1, "n139"))])
    assert await numbers(reader, PARENTS) == list(range(100, 140))
    assert len((await reader.page_tags("t", 100, None)).rows) == 40
    assert await intents(reader) == 0


@pytest.mark.usefixtures("small")
@pytest_twisted.ensureDeferred
async def test_what_was_not_decided_is_seen_by_nobody(opened: Open) -> None:
    writer, reader = await opened(), await opened()
    writer._session.execute_batch = losing(  # type: ignore[method-assign]
        writer._session.execute_batch, [True] * 1000
    )
    writer._commits._patience = 0
    with pytest.raises(errors.DatabaseError, match="lost"):
        await writer.apply(inserts(1, 40))
    assert await intents(reader) > 1
    assert await numbers(reader, PARENTS) == []
    await reader.apply(inserts(1, 1))
    assert await numbers(reader, PARENTS) == [1]


@pytest.mark.usefixtures("small")
@pytest_twisted.ensureDeferred
async def test_finishing_too_late_undoes_nothing(opened: Open) -> None:
    node, late = await opened(), await opened()
    await node.apply(inserts(1, 3))
    seen: list[tuple[str, int | None, int]] = []
    apply = node._partition._apply

    async def watched(pending: str, timestamp: int | None) -> None:
        identity, _, count = pending.partition(" ")
        contents = [
            await node._session.execute(node._statements.get_intent, [identity, part], QUORUM)
            for part in range(int(count))
        ]
        await apply(pending, timestamp)
        for part, [(content,)] in enumerate(contents):  # so that they are there once more
            await node._session.execute(
                node._statements.put_intent, [identity, part, content], QUORUM
            )
        seen.append((identity, timestamp, int(count)))

    node._partition._apply = watched  # type: ignore[method-assign]
    await node.apply(
        [*inserts(10, 40), *(Delete(PARENTS, {"id": uid(number)}) for number in (1, 2, 3))]
    )
    await node.apply([Update(PARENTS, parent(10, "new")), Delete(PARENTS, {"id": uid(11)})])
    await node.apply(inserts(2, 1))
    [(identity, timestamp, count)] = seen
    for part in range(count):
        await late._partition._apply_part(identity, part, timestamp)
    assert await late.select(PARENTS, {"id": uid(10)}) == parent(10, "new")
    assert await late.select_by(PARENTS, "name", "n10") is None
    assert await numbers(late, PARENTS) == [2, 10, *range(12, 50)]


@pytest.mark.parametrize("when", [[False], [True], [True, False], [False, False], [True, True]])
@pytest_twisted.ensureDeferred
async def test_a_commit_that_is_not_answered_is_made_once(opened: Open, when: list[bool]) -> None:
    node, other = await opened(), await opened()
    await node.apply([Insert(PARENTS, parent(1, "a"))])
    before = (await node._partition.moment(SERIAL)).state.version or 0
    node._session.execute_batch = losing(  # type: ignore[method-assign]
        node._session.execute_batch, when
    )
    changes = await node.apply([Insert(PARENTS, parent(2, "b"))])
    assert changes == [[Change(PARENTS, parent(2, "b"), None)]]
    assert (await node._partition.moment(SERIAL)).state.version == before + 1
    assert await numbers(other, PARENTS) == [1, 2]


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("when", [[False], [True]])
@pytest_twisted.ensureDeferred
async def test_a_large_commit_that_is_not_answered_is_made_once(
    opened: Open, when: list[bool]
) -> None:
    node = await opened()
    node._session.execute_batch = losing(  # type: ignore[method-assign]
        node._session.execute_batch, when
    )
    assert len(await node.apply(inserts(1, 40))) == 40
    assert await numbers(node, PARENTS) == list(range(1, 41))


@pytest_twisted.ensureDeferred
async def test_an_answer_that_was_lost_is_found_behind_other_commits(opened: Open) -> None:
    node, other = await opened(), await opened()
    send = node._session.execute_batch

    async def overtaken(*arguments: Any) -> Any:
        await send(*arguments)
        node._session.execute_batch = send  # type: ignore[method-assign]
        await other.apply([Delete(PARENTS, {"id": uid(1)})])
        raise OutcomeUnknownError("cassandra: lost")

    node._session.execute_batch = overtaken  # type: ignore[method-assign]
    changes = await node.apply([Insert(PARENTS, parent(1, "a"))])
    assert changes == [[Change(PARENTS, parent(1, "a"), None)]]
    assert await numbers(node, PARENTS) == []  # not made a second time


@pytest.mark.parametrize("when", [[False], [True]])
@pytest_twisted.ensureDeferred
async def test_an_addition_that_is_not_answered_is_made_once(
    opened: Open, when: list[bool]
) -> None:
    node = await opened()
    row = {"period": "a", "number": 1, "value": 2}
    await node.apply([Increment(COUNTS, row, "value")])
    execute = node._session.execute
    lossy = losing(execute, when)

    async def chosen(statement: str, *arguments: Any, **named: Any) -> Any:
        send = lossy if statement == node._statements.set_count else execute
        return await send(statement, *arguments, **named)

    node._session.execute = chosen  # type: ignore[method-assign]
    [[change]] = await node.apply([Increment(COUNTS, row, "value")])
    assert (change.old, change.new) == (row, {**row, "value": 4})
    assert await node.select(COUNTS, row) == {**row, "value": 4}


@pytest_twisted.ensureDeferred
async def test_a_commit_whose_fate_stays_unknown_says_so(opened: Open) -> None:
    node = await opened()
    node._commits._patience = 0.2
    node._session.execute_batch = losing(  # type: ignore[method-assign]
        node._session.execute_batch, [True] * 1000
    )
    with pytest.raises(OutcomeUnknownError, match="lost"):
        await node.apply([Insert(PARENTS, parent(1))])
