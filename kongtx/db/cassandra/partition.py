"""Reading the partition, and finishing the large commit that a reader meets."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple, TypeVar

from twisted.internet.defer import DeferredLock
from twisted.logger import Logger

from kongtx.db.cassandra.cql import Statements
from kongtx.db.cassandra.layout import SENTINEL, Address, Place
from kongtx.db.cassandra.session import (
    Consistency,
    OutcomeUnknownError,
    Row,
    Session,
    together,
)
from kongtx.db.cassandra.view import Known
from kongtx.db.errors import DatabaseError

#: The partition's key. A keyspace is one cluster's alone, so one is enough.
SCOPE = "kongtx"

QUORUM = Consistency("QUORUM")
SERIAL = Consistency("SERIAL")

_AT_ONCE = 100  # rows in one request
_TOGETHER = 4  # requests at a time

T = TypeVar("T")


class State(NamedTuple):
    """What the partition says of itself.

    @ivar version: how many commits there were.
    @ivar layout: which definitions of tables hold.
    @ivar pending: the large commit that has to be applied first, and its number of parts.
    """

    version: int | None
    layout: str | None
    pending: str | None


class Moment(NamedTuple):
    """The partition's state in time.

    @ivar committed: microseconds at which C{version} was written.
    @ivar pending_since: microseconds at which C{pending} was.
    @ivar now: milliseconds, by the database's clock.
    """

    state: State
    committed: int | None
    pending_since: int | None
    now: int


class Moved(Exception):
    """The partition changed between two reads that belong together."""


class Partition:
    """Reads of the partition.

    @ivar session: to the cluster.
    @ivar statements: of the keyspace.
    """

    _log = Logger()

    def __init__(self, session: Session, statements: Statements) -> None:
        self.session = session
        self.statements = statements
        self._settling = DeferredLock()

    async def moment(self, consistency: Consistency) -> Moment:
        """The state now.

        @raise DatabaseError: nothing was set up.
        """
        rows = await self.session.execute(self.statements.state, [SCOPE], consistency)
        if not rows:
            raise self._empty()
        version, layout, pending, committed, pending_since, now = rows[0]
        return Moment(State(version, layout, pending), committed, pending_since, now)

    async def read(
        self,
        known: Known,
        addresses: Collection[Address],
        places: Collection[Place],
        consistency: Consistency,
    ) -> State:
        """Read rows and places, all of the same version.

        @raise Moved: the version changed meanwhile.
        """
        asked: list[tuple[str, list[Any]]] = []
        for addressed in chunks(addresses, _AT_ONCE):
            tuples = [tuple(SENTINEL), *(tuple(each) for each in addressed)]
            asked.append((self.statements.get_rows, tuples))
        for placed in chunks(places, _AT_ONCE):
            tuples = [tuple(SENTINEL)[:2], *(tuple(each) for each in placed)]
            asked.append((self.statements.get_places, tuples))
        if not asked:
            asked.append((self.statements.get_rows, [tuple(SENTINEL)]))
        found: list[Row] = []
        for some in chunks(asked, _TOGETHER):
            requests = [
                self.session.execute(statement, [SCOPE, tuples], consistency)
                for statement, tuples in some
            ]
            for rows in await together(requests):
                found += rows
        if not found:
            raise self._empty()
        state = State(*found[0][:3])
        if any(row[:3] != state for row in found):
            raise Moved
        _note(known, addresses, places, found)
        return state

    async def plain(
        self,
        statement: str,
        parameters: Sequence[Any],
        consistency: Consistency,
        rows: int = 5000,
    ) -> list[Row]:
        """The rows of a plain read, whose first column is C{pending}; that column is left out."""
        while True:
            found = await self.session.execute(statement, [SCOPE, *parameters], consistency, rows)
            waiting = next((row[0] for row in found if row[0] is not None), None)
            if waiting is None:
                return [row[1:] for row in found]
            await self.settle(waiting)

    async def settle(self, pending: str) -> None:
        """Apply a large commit that has happened, unless somebody else has by now.

        @raise DatabaseError: it cannot be applied now; it stays to be done.
        """
        await self._settling.acquire()
        try:
            moment = await self.moment(SERIAL)
            if moment.state.pending == pending:
                await self._apply(pending, moment.pending_since)
        finally:
            self._settling.release()

    async def _apply(self, pending: str, timestamp: int | None) -> None:
        identity, _, count = pending.partition(" ")
        found = await self.session.execute(self.statements.get_intents, [identity], QUORUM)
        if len(found) != int(count):
            if (await self.moment(SERIAL)).state.pending == pending:
                raise DatabaseError(
                    f"{self.session.settings.label}: a part of commit {identity} is missing"
                )
            return
        for parts in chunks(found, _TOGETHER):
            await together(self._apply_part(identity, part, timestamp) for (part,) in parts)
        await self.session.execute(self.statements.settle, [SCOPE, pending], self.writing())
        self._log.debug("commit {identity} is applied", identity=identity)
        try:
            await self.session.execute(self.statements.remove_intents, [identity], QUORUM)
        except OutcomeUnknownError as error:
            self._log.warn("intents of {identity} stay: {error}", identity=identity, error=error)

    async def _apply_part(self, identity: str, part: int, timestamp: int | None) -> None:
        rows = await self.session.execute(self.statements.get_intent, [identity, part], QUORUM)
        if not rows:
            return  # somebody else has applied it and cleaned up
        items: list[tuple[str, Sequence[Any]]] = []
        for kind, place, key, value, ttl in json.loads(rows[0][0]):
            if value is None:
                items.append((self.statements.remove_at, [timestamp, SCOPE, kind, place, key]))
            else:
                row = [SCOPE, kind, place, key, value, ttl, timestamp]
                items.append((self.statements.put_at, row))
        await self.session.execute_batch(items, QUORUM)

    def writing(self) -> Consistency:
        """What lightweight transactions are committed with."""
        return Consistency(self.session.settings.write_consistency, serial=True)

    def _empty(self) -> DatabaseError:
        settings = self.session.settings
        return DatabaseError(
            f"{settings.label}: the keyspace {settings.keyspace} is not set up; "
            "run 'kongtx migrations bootstrap'"
        )


def _note(
    known: Known,
    addresses: Iterable[Address],
    places: Iterable[Place],
    found: Iterable[Row],
) -> None:
    """Take what was read, and what was asked for and is not there, into what is known."""
    for address in addresses:
        known.rows.setdefault(address, None)
    for place in places:
        known.places.setdefault(place, set())
    for _, _, _, kind, place_name, key, *value in found:
        if value:
            known.rows[Address(kind, place_name, key)] = value[0]
        elif Place(kind, place_name) in known.places:
            known.places[Place(kind, place_name)].add(key)


def chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """The items in lists of at most a size."""
    rest = iter(items)
    while some := list(islice(rest, size)):
        yield some
