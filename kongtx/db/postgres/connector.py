"""The PostgreSQL connector."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import attrs
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import deferLater
from zope.interface import implementer

from kongtx.db import errors
from kongtx.db.clusterlog import Announce, Broadcast, LogPage
from kongtx.db.interfaces import IClusterLog, IConnector, IMigratable, IReplicated
from kongtx.db.paging import Page, Query
from kongtx.db.postgres import bookkeeping, events, writing
from kongtx.db.postgres.failures import Contended, Disconnected, Violated
from kongtx.db.postgres.link import Link
from kongtx.db.postgres.moment import Moment
from kongtx.db.postgres.naming import named
from kongtx.db.postgres.pool import Pool
from kongtx.db.postgres.position import number_of
from kongtx.db.postgres.reading import Reader
from kongtx.db.postgres.replica import Replica
from kongtx.db.postgres.settings import Endpoint
from kongtx.db.postgres.transaction import POSITION, Transaction, transaction
from kongtx.db.tables import Catalogue, Entity, Table
from kongtx.db.writes import Change, Write

#: How often a transaction is tried that others are in the way of.
CONTENTION_TRIES = 12
#: How often one is tried that breaks a rule which held a moment before.
VIOLATION_TRIES = 4
#: Seconds between tries at most, times the number of tries.
PAUSE = 0.02

T = TypeVar("T")


@attrs.frozen
class _Announcement:
    announce: Announce
    node_id: str
    lives: float


@implementer(IConnector, IMigratable, IClusterLog, IReplicated)
class PostgresConnector:
    """Entities in a PostgreSQL database, which several nodes may use at once.

    @param endpoint: the server.
    @param reactor: with descriptors, time, and a resolver of names.
    @param now: seconds since the epoch; by default the database's clock.
    @param chance: for the pauses between tries.
    @param replica: a server that follows the other one, for L{replica}.
    @ivar reader: makes the statements that read.
    """

    name = "postgres"
    read_only = False
    automatic = False

    def __init__(
        self,
        endpoint: Endpoint,
        reactor: Any,
        now: Callable[[], float] | None = None,
        chance: random.Random | None = None,
        replica: Endpoint | None = None,
    ) -> None:
        self._endpoint = endpoint
        self._reactor = reactor
        self._moment = Moment(now)
        self._chance = chance or random.Random()
        self._pool = Pool(reactor, endpoint)
        self._replica_pool = None if replica is None else Pool(reactor, replica)
        self._replica = None if self._replica_pool is None else Replica(self, self._replica_pool)
        self._announcement: _Announcement | None = None
        self._watches: list[events.Watch] = []
        self._is_running = False
        self._active = 0
        self._stopping: list[Deferred[None]] = []
        self._know(Catalogue.of([]))

    def _know(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self.reader = Reader(catalogue, self._moment)
        self._writer = writing.Writer(catalogue, self._moment)

    # IConnector

    def start(self, catalogue: Catalogue) -> Deferred[None]:
        """Connect; tables are made by L{create}."""
        self._know(catalogue)
        self._is_running = True
        self._pool.open()
        if self._replica_pool is not None:
            self._replica_pool.open()
        return self.ping()

    def stop(self) -> Deferred[None]:
        """Wait for what was asked for, and close the connections."""
        self._is_running = False
        for watch in self._watches:
            watch.stop()
        self._watches.clear()
        idle: Deferred[None] = Deferred() if self._active else succeed(None)
        if self._active:
            self._stopping.append(idle)
        return idle.addCallback(lambda _: self._close())

    def _close(self) -> Deferred[None]:
        closing = self._pool.close()
        if self._replica_pool is not None:
            pool = self._replica_pool
            closing.addCallback(lambda _: pool.close())
        if self._replica is not None:
            self._replica.known.close()
        return closing

    def ping(self) -> Deferred[None]:
        """Ask the server something."""

        async def ask(link: Link) -> None:
            await link.execute("SELECT 1")

        return self._read(ask)

    def select(self, table: Table, key: Mapping[str, Any]) -> Deferred[Entity | None]:
        """See L{IConnector.select}."""
        return self._read(lambda link: self.reader.select(link, table, key))

    def select_by(self, table: Table, field: str, value: Any) -> Deferred[Entity | None]:
        """See L{IConnector.select_by}."""
        return self._read(lambda link: self.reader.select_by(link, table, field, value))

    def select_together(self, table: Table, entity: Mapping[str, Any]) -> Deferred[Entity | None]:
        """See L{IConnector.select_together}."""
        return self._read(lambda link: self.reader.select_together(link, table, entity))

    def page(self, table: Table, query: Query) -> Deferred[Page]:
        """See L{IConnector.page}."""
        return self._read(lambda link: self.reader.page(link, table, query))

    def page_tags(self, tag: str | None, size: int, offset: str | None) -> Deferred[Page]:
        """See L{IConnector.page_tags}."""
        return self._read(lambda link: self.reader.page_tags(link, tag, size, offset))

    def apply(self, writes: Sequence[Write]) -> Deferred[list[list[Change]]]:
        """See L{IConnector.apply}."""
        return self.do(lambda: self._apply(writes))

    def purge_expired(self) -> Deferred[int]:
        """See L{IConnector.purge_expired}."""

        async def purge() -> int:
            removed, more = 0, True
            while more:
                async with transaction(self._pool) as made:
                    count, more = await self._writer.purge(made)
                removed += count
            return removed

        return self.do(lambda: self._tried(purge))

    async def _apply(self, writes: Sequence[Write]) -> list[list[Change]]:
        if not writes:
            return []
        if writing.is_plain(writes):
            try:
                async with self._writing() as made:
                    changes = await writing.write_together(made, writes)
                    self._announce(made, changes)
            except (Violated, Contended, errors.PrimaryKeyViolationError):
                pass  # one by one it shows what is wrong, or that nothing is by now
            else:
                return changes

        async def one_by_one() -> list[list[Change]]:
            async with self._writing() as made:
                await self._writer.purge(made)
                changes = [await self._writer.write(made, write) for write in writes]
                self._announce(made, changes)
            return changes

        try:
            return await self._tried(one_by_one)
        except Violated as error:
            raise named(error, writes) from None

    @asynccontextmanager
    async def _writing(self) -> AsyncIterator[Transaction]:
        """A transaction that the replica has to show from its end on."""
        async with transaction(self._pool) as made:
            made.notes_position = self._replica is not None
            yield made
        self._reached(made.position)

    def _announce(self, made: Transaction, changes: Sequence[Sequence[Change]]) -> None:
        announcement = self._announcement
        flat = [change for changed in changes for change in changed]
        if announcement is not None and flat:
            left = announcement.announce(flat)
            events.leave(made, self._moment, left, announcement.node_id, announcement.lives)

    async def _tried(self, work: Callable[[], Awaitable[T]]) -> T:
        """Do something again while others are in the way."""
        tries = 0
        while True:
            tries += 1
            try:
                return await work()
            except Violated:
                if tries >= VIOLATION_TRIES:
                    raise
            except Contended:
                if tries >= CONTENTION_TRIES:
                    raise
            await deferLater(self._reactor, self._chance.uniform(0, PAUSE * tries))

    # IMigratable

    def executed(self) -> Deferred[dict[str, list[tuple[str, bool]]] | None]:
        """See L{IMigratable.executed}."""
        return self._read(bookkeeping.executed)

    def record(self, subsystem: str, name: str, pending: bool) -> Deferred[None]:
        """See L{IMigratable.record}."""
        return self._read(
            lambda link: bookkeeping.record(link, self._moment, subsystem, name, pending)
        )

    def create(self, catalogue: Catalogue) -> Deferred[None]:
        """See L{IMigratable.create}."""

        async def make() -> None:
            present = await self.with_link(bookkeeping.present_columns)
            if not bookkeeping.is_complete(catalogue, present):
                async with transaction(self._pool) as made:
                    await bookkeeping.create(made, catalogue)

        return self.do(make)

    def complete(self, catalogue: Catalogue) -> Deferred[None]:
        """See L{IMigratable.complete}."""
        return self.create(catalogue)

    def reset(self) -> Deferred[None]:
        """See L{IMigratable.reset}."""

        async def remove() -> None:
            async with transaction(self._pool) as made:
                await bookkeeping.reset(made)

        return self.do(remove)

    def acquire(self, lock: str, owner: str, seconds: float) -> Deferred[bool]:
        """See L{IMigratable.acquire}."""

        async def take() -> bool:
            async with transaction(self._pool) as made:
                return await bookkeeping.acquire(made, self._moment, lock, owner, seconds)

        return self.do(take)

    def release(self, lock: str, owner: str) -> Deferred[None]:
        """See L{IMigratable.release}."""
        return self._read(lambda link: bookkeeping.release(link, lock, owner))

    # IClusterLog

    def announce_with(self, announce: Announce, node_id: str, lives: float) -> None:
        """See L{IClusterLog.announce_with}."""
        self._announcement = _Announcement(announce, node_id, lives)

    def append_events(
        self, left: Sequence[Broadcast], node_id: str, lives: float
    ) -> Deferred[None]:
        """See L{IClusterLog.append_events}."""

        async def append() -> None:
            async with transaction(self._pool) as made:
                events.leave(made, self._moment, left, node_id, lives)

        return self.do(append)

    def events_after(self, at: float | None) -> Deferred[LogPage]:
        """See L{IClusterLog.events_after}."""

        async def read(link: Link) -> LogPage:
            page = await events.events_after(link, self._moment, at)
            if self._replica is not None and page.events:
                [(position,)] = await link.execute(f"SELECT {POSITION}")
                self._reached(position)
            return page

        return self._read(read)

    def purge_events(self) -> Deferred[int]:
        """See L{IClusterLog.purge_events}."""
        return self._read(lambda link: events.purge_events(link, self._moment))

    def watch_events(self, wake: Callable[[], object]) -> Callable[[], None]:
        """See L{IClusterLog.watch_events}."""
        watch = events.Watch(self._reactor, self._endpoint, wake)
        self._watches.append(watch)

        def end() -> None:
            watch.stop()
            if watch in self._watches:
                self._watches.remove(watch)

        return end

    # IReplicated

    def replica(self) -> IConnector | None:
        """See L{IReplicated.replica}."""
        return self._replica

    def share_knowledge(self, path: str) -> None:
        """See L{IReplicated.share_knowledge}."""
        if self._replica is not None:
            self._replica.known.share(path)

    def _reached(self, position: str | None) -> None:
        """From now on the replica has to show what the server had at a position."""
        if self._replica is not None and position is not None:
            self._replica.known.reach(number_of(position))

    # Connections

    def _read(self, work: Callable[[Link], Awaitable[T]]) -> Deferred[T]:
        return self.do(lambda: self.with_link(work))

    async def with_link(self, work: Callable[[Link], Awaitable[T]]) -> T:
        """Do something that may be done twice, if the connection turns out to have ended."""
        async with self._pool.link() as link:
            is_new = link.is_new
            try:
                return await work(link)
            except Disconnected:
                if is_new:
                    raise
        self._pool.close_idle()
        async with self._pool.link() as link:
            return await work(link)

    def do(self, work: Callable[[], Awaitable[T]]) -> Deferred[T]:
        """Do something that L{stop} waits for."""
        if not self._is_running:
            return fail(
                errors.DatabaseError(f"PostgreSQL at {self._endpoint}: the database is closed")
            )

        async def do() -> T:
            self._active += 1
            try:
                return await work()
            finally:
                self._active -= 1
                if not self._active:
                    stopping, self._stopping = self._stopping, []
                    for each in stopping:
                        each.callback(None)

        return Deferred.fromCoroutine(do())
