"""Rows that are kept each by itself, changed by compare-and-set."""

from __future__ import annotations

import heapq
import json
import math
from collections.abc import Callable, Sequence
from typing import Any

import attrs
from twisted.internet.defer import Deferred, ensureDeferred

from kongtx.db import errors
from kongtx.db.cassandra.layout import dump
from kongtx.db.cassandra.partition import SERIAL, Partition
from kongtx.db.cassandra.planning import resulting
from kongtx.db.cassandra.session import Consistency, OutcomeUnknownError, Row, together
from kongtx.db.paging import Page, Query, decode_offset, encode_offset
from kongtx.db.tables import Entity, Table, key_text
from kongtx.db.writes import Change, Delete, Write
from kongtx.lib import ids

_SPARE_SECONDS = 3600.0  # the database's own expiry is for tidiness, ours decides
_LONGEST_TTL = 20 * 365 * 86400  # the database takes no more

#: The primary key of a row, in its table.
_At = tuple[Table, str]


@attrs.define(eq=False)
class _Waiting:
    write: Write
    done: Deferred[list[Change]] = attrs.field(factory=Deferred)


class Counts:
    """The table of rows by themselves.

    @param now: seconds since the epoch, for rows that expire.
    @param reactor: for how long to try.
    """

    def __init__(
        self, partition: Partition, now: Callable[[], float], reactor: Any, patience: float
    ) -> None:
        self._session = partition.session
        self._statements = partition.statements
        self._writing = partition.writing()
        self._now = now
        self._reactor = reactor
        self._patience = patience
        self._reading = Consistency(partition.session.settings.read_consistency)
        self._waiting: dict[_At, list[_Waiting]] = {}
        self._busy: set[Deferred[None]] = set()

    async def select(self, table: Table, key: str) -> Entity | None:
        """The row with a primary key."""
        return self._alive(table, await self._text(table, key, self._reading))

    async def page(self, table: Table, query: Query) -> Page:
        """Some rows in the order of their keys; reads all of them."""
        after = "" if query.offset is None else decode_offset(query.offset, 1)[0]
        smallest: list[tuple[str, str]] = []

        def take(rows: list[Row]) -> None:
            new = [(key, text) for key, text in rows if key > after and self._alive(table, text)]
            smallest[:] = heapq.nsmallest(query.size + 1, [*smallest, *new])

        await self._session.execute(self._statements.counts, [table.name], self._reading, each=take)
        rows = [json.loads(text)["row"] for _, text in smallest[: query.size]]
        more = len(smallest) > query.size
        return Page(rows, encode_offset([smallest[query.size - 1][0]]) if more else None)

    async def check(self, writes: Sequence[Write]) -> None:
        """See that some writes can be done, as far as one can tell before.

        @raise StoreError: one cannot.
        """
        for write in writes:
            key = key_of(write)
            old = self._alive(write.table, await self._text(write.table, key, SERIAL))
            if not isinstance(write, Delete):
                resulting(write, old)

    async def apply(self, writes: Sequence[Write]) -> list[list[Change]]:
        """Do some writes, each by itself; those to one row in their order."""
        submitted = [self._submit(write) for write in writes]
        return await together(_awaited(each) for each in submitted)

    async def drained(self) -> None:
        """Wait until nothing is under way."""
        while self._busy:
            await next(iter(self._busy))

    def _submit(self, write: Write) -> Deferred[list[Change]]:
        waiting, at = _Waiting(write), (write.table, key_of(write))
        others = self._waiting.get(at)
        if others is not None:
            others.append(waiting)
        else:
            self._waiting[at] = [waiting]
            busy = ensureDeferred(self._drain(at))
            self._busy.add(busy)
            busy.addBoth(lambda _: self._busy.discard(busy))
        return waiting.done

    async def _drain(self, at: _At) -> None:
        """Do what waits for a row together, and again until nothing does."""
        while self._waiting[at]:
            group, self._waiting[at] = self._waiting[at], []
            try:
                results = await self._swap(at, [each.write for each in group])
            except Exception as error:
                results = [error] * len(group)
            for each, result in zip(group, results, strict=True):
                if isinstance(result, Exception):
                    each.done.errback(result)
                else:
                    each.done.callback(result)
        del self._waiting[at]

    async def _swap(self, at: _At, writes: Sequence[Write]) -> list[Any]:
        """Do some writes to one row as one.

        @return: for each what it changed, or why it was refused.
        @raise DatabaseError: it could not be done.
        """
        table, key = at
        give_up = self._reactor.seconds() + self._patience
        text = await self._text(table, key, SERIAL)
        while True:
            old = self._alive(table, text)
            new, results = _planned(table, old, writes)
            if new is old:
                return results
            by = ids.uuid4()
            try:
                was_applied, found = await self._compare_and_set(table, key, text, new, by)
            except OutcomeUnknownError:
                found = await self._text(table, key, SERIAL)
                was_applied = found is not None and json.loads(found)["by"] == by
                if not was_applied and found != text:
                    raise
            if was_applied:
                return results
            if self._reactor.seconds() >= give_up:
                raise errors.DatabaseError(
                    f"{self._session.settings.label}: other nodes were faster all the time"
                )
            text = found

    async def _compare_and_set(
        self, table: Table, key: str, text: str | None, new: Entity | None, by: str
    ) -> tuple[bool, str | None]:
        """Put a row in place of a text.

        @return: whether that was done; otherwise what was there.
        """
        place = [table.name, key]
        if new is None:
            rows = await self._session.execute(
                self._statements.remove_count, [*place, text], self._writing
            )
        else:
            expires = new.get("ttl") if table.expires else None
            made = dump({"by": by, "row": new})
            parameters = [self._ttl(expires), made, *place, text]
            rows = await self._session.execute(
                self._statements.set_count, parameters, self._writing
            )
        [(was_applied, *found)] = rows
        return was_applied, found[0] if found else None

    async def _text(self, table: Table, key: str, consistency: Consistency) -> str | None:
        rows = await self._session.execute(self._statements.count, [table.name, key], consistency)
        return rows[0][0] if rows else None

    def _alive(self, table: Table, text: str | None) -> Entity | None:
        row: Entity | None = None if text is None else json.loads(text)["row"]
        expires = row.get("ttl") if row is not None and table.expires else None
        return None if expires is not None and expires <= self._now() else row

    def _ttl(self, expires: float | None) -> int:
        if expires is None:
            return 0
        left = math.ceil(max(0.0, expires - self._now()) + _SPARE_SECONDS)
        return min(left, _LONGEST_TTL)


async def _awaited(done: Deferred[list[Change]]) -> list[Change]:
    return await done


def key_of(write: Write) -> str:
    """The primary key of the row that a write is about."""
    if isinstance(write, Delete):
        return key_text([write.key[field] for field in write.table.key])
    return write.table.key_of(write.entity)


def _planned(
    table: Table, old: Entity | None, writes: Sequence[Write]
) -> tuple[Entity | None, list[Any]]:
    """What becomes of a row, and what each write changes, or why it is refused."""
    row, results = old, list[Any]()
    for write in writes:
        new: Entity | None = None
        if not isinstance(write, Delete):
            try:
                new = resulting(write, row)
            except (errors.StoreError, errors.ConflictError) as error:
                results.append(error)
                continue
        results.append([Change(table, new, row)] if new is not None or row is not None else [])
        row = new
    return row, results
