"""The Cassandra connector."""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, succeed
from zope.interface import implementer

from kongtx.db.cassandra import bookkeeping, clusterlog, layout, planning
from kongtx.db.cassandra.commits import Commits, Plan, Submission
from kongtx.db.cassandra.counts import Counts
from kongtx.db.cassandra.cql import LOCKS, TABLES, Statements
from kongtx.db.cassandra.partition import Partition
from kongtx.db.cassandra.reading import Reader, has_value
from kongtx.db.cassandra.session import Consistency, Session
from kongtx.db.cassandra.settings import Settings
from kongtx.db.cassandra.view import Announced, View
from kongtx.db.clusterlog import Announce, Broadcast, LogPage
from kongtx.db.interfaces import IClusterLog, IConnector, IMigratable
from kongtx.db.paging import Page, Query
from kongtx.db.tables import Catalogue, Entity, Table, key_text, plain
from kongtx.db.writes import Change, Write

#: How long a commit is tried while others are faster, or its outcome is not known.
PATIENCE_SECONDS = 20.0

T = TypeVar("T")


@implementer(IConnector, IMigratable, IClusterLog)
class CassandraConnector:
    """Entities in a keyspace of a Cassandra cluster; see the package for how.

    @param reactor: with threads and time.
    @param now: seconds since the epoch, for rows that expire.
    """

    name = "cassandra"
    read_only = False
    automatic = False

    def __init__(
        self, settings: Settings, reactor: Any, now: Callable[[], float] = time.time
    ) -> None:
        self.settings = settings
        self._reactor = reactor
        self._catalogue = Catalogue.of([])
        self._statements = Statements(settings.keyspace)
        self._session = Session(settings, reactor)
        self._partition = Partition(self._session, self._statements)
        self._reader = Reader(self._partition, now)
        self._commits = Commits(self._partition, reactor, now, PATIENCE_SECONDS)
        self._counts = Counts(self._partition, now, reactor, PATIENCE_SECONDS)

    def start(self, catalogue: Catalogue) -> Deferred[None]:
        """Connect; the keyspace is made by L{create}."""
        self._catalogue = catalogue
        self._commits.know(catalogue)
        return _fired(self._start())

    async def _start(self) -> None:
        await self._session.open()
        if await self._is_set_up():
            await self._commits.prepare(create=True)

    def stop(self) -> Deferred[None]:
        """Wait for the writes that were asked for, and disconnect."""
        return _fired(self._stop())

    async def _stop(self) -> None:
        await self._counts.drained()
        await self._commits.drained()
        await self._session.close()

    def ping(self) -> Deferred[None]:
        """Ask for the partition's version, or, before there is one, for anything."""
        return _fired(self._ping())

    async def _ping(self) -> None:
        await self._session.execute("SELECT key FROM system.local", [], Consistency("ONE"))

    # Reading

    def select(self, table: Table, key: Mapping[str, Any]) -> Deferred[Entity | None]:
        """See L{IConnector.select}."""
        text = key_text([key[field] for field in table.key])
        if layout.stands_alone(table):
            return _fired(self._counts.select(table, text))
        return _fired(self._reader.select(table, text))

    def select_by(self, table: Table, field: str, value: Any) -> Deferred[Entity | None]:
        """See L{IConnector.select_by}."""
        if table.key == (field,):
            return self.select(table, {field: plain(value)})
        place = layout.index_of(table.name, field, value)
        return _fired(self._reader.select_in(table, place, has_value(field, value)))

    def select_together(self, table: Table, entity: Mapping[str, Any]) -> Deferred[Entity | None]:
        """See L{IConnector.select_together}."""
        place, wanted = layout.together_of(table, entity), table.together_of(entity)
        return _fired(
            self._reader.select_in(table, place, lambda found: table.together_of(found) == wanted)
        )

    def page(self, table: Table, query: Query) -> Deferred[Page]:
        """See L{IConnector.page}."""
        if layout.stands_alone(table):
            return _fired(self._counts.page(table, query))
        return _fired(self._reader.page(table, query))

    def page_tags(self, tag: str | None, size: int, offset: str | None) -> Deferred[Page]:
        """See L{IConnector.page_tags}."""
        return _fired(self._reader.page_tags(tag, size, offset, self._catalogue))

    # Writing

    def apply(self, writes: Sequence[Write]) -> Deferred[list[list[Change]]]:
        """See L{IConnector.apply}; rows that stand alone are written after all others."""
        alone = [write for write in writes if layout.stands_alone(write.table)]
        if not alone:
            return self._apply_tied(writes)
        return _fired(self._apply_mixed(writes, alone))

    def _apply_tied(self, writes: Sequence[Write]) -> Deferred[list[list[Change]]]:
        addresses, places = planning.wanted(writes, self._catalogue)

        def work(view: View, plan: Plan) -> list[list[Change]]:
            return [
                # The rows of a plugin that is not enabled go unmentioned.
                [change for change in changes if change.table.name in self._catalogue.tables]
                for changes in planning.apply(view, writes, plan.catalogue)
            ]

        return self._commits.submit(
            Submission(work, frozenset(addresses), frozenset(places), _flat)
        )

    async def _apply_mixed(
        self, writes: Sequence[Write], alone: Sequence[Write]
    ) -> list[list[Change]]:
        tied = [write for write in writes if not layout.stands_alone(write.table)]
        if len(writes) > 1:
            await self._counts.check(alone)
        changed = iter(await self._apply_tied(tied) if tied else [])
        changed_alone = await self._counts.apply(alone)
        events = self._commits.announced(_flat(changed_alone))
        if events:
            await self._commits.leave(events)
        rest = iter(changed_alone)
        return [next(rest if layout.stands_alone(each.table) else changed) for each in writes]

    def purge_expired(self) -> Deferred[int]:
        """See L{IConnector.purge_expired}."""
        return self._commits.submit(Submission(lambda _, plan: plan.purged))

    # IMigratable

    def executed(self) -> Deferred[dict[str, list[tuple[str, bool]]] | None]:
        """See L{IMigratable.executed}."""
        return _fired(self._executed())

    async def _executed(self) -> dict[str, list[tuple[str, bool]]] | None:
        if not await self._is_set_up():
            return None
        return await bookkeeping.executed(self._partition)

    def record(self, subsystem: str, name: str, pending: bool) -> Deferred[None]:
        """See L{IMigratable.record}."""
        return _fired(bookkeeping.record(self._partition, subsystem, name, pending))

    def create(self, catalogue: Catalogue) -> Deferred[None]:
        """See L{IMigratable.create}."""
        self._catalogue = catalogue
        self._commits.know(catalogue)
        return _fired(self._create())

    async def _create(self) -> None:
        await self._make_tables(*TABLES)
        await self._commits.prepare(create=True)

    def complete(self, catalogue: Catalogue) -> Deferred[None]:
        """See L{IMigratable.complete}: no kind of entity has tables of its own."""
        return succeed(None)

    def reset(self) -> Deferred[None]:
        """See L{IMigratable.reset}."""
        return self._session.in_thread(lambda: bookkeeping.reset(self._session, self._statements))

    def acquire(self, lock: str, owner: str, seconds: float) -> Deferred[bool]:
        """See L{IMigratable.acquire}."""
        return _fired(self._acquire(lock, owner, seconds))

    async def _acquire(self, lock: str, owner: str, seconds: float) -> bool:
        await self._make_tables(LOCKS)
        return await bookkeeping.acquire(self._partition, lock, owner, seconds)

    def release(self, lock: str, owner: str) -> Deferred[None]:
        """See L{IMigratable.release}."""
        return _fired(bookkeeping.release(self._partition, lock, owner))

    def _make_tables(self, *names: str) -> Deferred[None]:
        return self._session.in_thread(
            lambda: bookkeeping.create(self._session, self._statements, names)
        )

    def _is_set_up(self) -> Deferred[bool]:
        return self._session.in_thread(
            lambda: bookkeeping.is_set_up(self._session, self._statements)
        )

    # IClusterLog

    def announce_with(self, announce: Announce, node_id: str, lives: float) -> None:
        """See L{IClusterLog.announce_with}."""
        self._commits.announce_with(announce, node_id, lives)

    def append_events(
        self, events: Sequence[Broadcast], node_id: str, lives: float
    ) -> Deferred[None]:
        """See L{IClusterLog.append_events}."""
        return self._commits.leave([Announced(event, node_id, lives) for event in events])

    def events_after(self, at: float | None) -> Deferred[LogPage]:
        """See L{IClusterLog.events_after}."""
        return _fired(clusterlog.events_after(self._partition, at))

    def purge_events(self) -> Deferred[int]:
        """Nothing: the database lets them expire."""
        done: Deferred[int] = Deferred()
        done.callback(0)
        return done

    def watch_events(self, wake: Callable[[], object]) -> Callable[[], None]:
        """Nothing: Cassandra cannot tell."""
        return lambda: None


def _flat(changes: Sequence[Sequence[Change]]) -> list[Change]:
    return [change for changed in changes for change in changed]


def _fired(work: Coroutine[Any, Any, T]) -> Deferred[T]:
    return Deferred.fromCoroutine(work)
