"""The store: every read and write of entities goes through here."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from kongtx.db import migrations
from kongtx.db.dao import EntityStore
from kongtx.db.errors import DatabaseUnavailableError
from kongtx.db.interfaces import IConnector, IMigratable, IReplicated
from kongtx.db.special import SPECIAL
from kongtx.db.tables import Catalogue, Entity, Reference, Table
from kongtx.db.writes import Change, Insert, Write
from kongtx.entities import DEFAULT_WORKSPACE
from kongtx.lib import ids
from kongtx.schema import Context, Schema, SchemaRegistry


@attrs.frozen
class ChangeEvent:
    """One entity that was created, updated or deleted.

    @ivar operation: C{create}, C{update} or C{delete}.
    @ivar schema: the entity's schema name.
    @ivar entity: as reads show it now, or as it was when it is deleted.
    @ivar old_entity: what it was before an update; else L{None}.
    """

    operation: str
    schema: str
    entity: Entity
    old_entity: Entity | None = None


Subscriber = Callable[[Sequence[ChangeEvent]], Awaitable[object] | None]


class Store(Mapping[str, EntityStore]):
    """Entities by schema name, as in C{store["services"]}.

    @param registry: the schemas of all entities; complete before L{start}.
    @param connector: an L{IConnector}.
    @param reactor: for waiting on another process that migrates.
    @param clock: seconds since the epoch.
    @ivar connector: answers reads.
    @ivar primary: takes writes, and answers the reads that precede them.
    """

    _log = Logger()

    def __init__(
        self,
        registry: SchemaRegistry,
        connector: IConnector,
        reactor: IReactorTime,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.registry = registry
        self.connector = connector
        self.primary = connector
        self.clock = clock
        self._reactor = reactor
        self._subscribers: list[Subscriber] = []
        self._doubters: list[Callable[[], object]] = []
        self.catalogue = catalogue_of(registry.values())
        self._entities = {
            name: SPECIAL.get(name, EntityStore)(self, schema) for name, schema in registry.items()
        }

    def __getitem__(self, name: str) -> EntityStore:
        return self._entities[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entities)

    def __len__(self) -> int:
        return len(self._entities)

    async def start(self) -> None:
        """Connect; set up and migrate a database that wants no step by hand for it.

        @raise MigrationError: the database needs C{kongtx migrations}, or is of a newer version.
        @raise DatabaseUnavailableError: it cannot be reached; it can be tried again.
        """
        connector = self.connector
        await connector.start(self.catalogue)
        if IMigratable.providedBy(connector):
            await migrations.prepare(connector, self.catalogue, self._reactor)
        if not connector.read_only and "workspaces" in self:
            await self._default_workspace()

    async def stop(self) -> None:
        """Let go of the database."""
        await self.connector.stop()

    def at_replica(self) -> Store:
        """The same store, its reads answered by the database's copy where there is one.

        They may be a moment behind what other nodes have written; what this process knows of they
        show. See L{IReplicated}.
        """
        copy = self.connector.replica() if IReplicated.providedBy(self.connector) else None
        return self if copy is None else self.reading_from(copy)

    def reading_from(self, connector: IConnector) -> Store:
        """The same store, its reads answered by another connector."""
        made = Store(self.registry, connector, self._reactor, self.clock)
        made.primary = self.primary
        made._subscribers = self._subscribers
        made._doubters = self._doubters
        return made

    async def _default_workspace(self) -> None:
        workspaces = self["workspaces"]
        if await workspaces.select(DEFAULT_WORKSPACE) is None:
            await workspaces.upsert(DEFAULT_WORKSPACE, {"name": "default"})

    def pause(self) -> Deferred[None]:
        """Let whatever else waits in the reactor have its turn."""
        return deferLater(self._reactor, 0)

    def context(self) -> Context:
        """The moment and the makers of fresh values for one write."""
        return Context(now=self.clock(), new_id=ids.uuid4, new_secret=ids.new_secret)

    def subscribe(self, subscriber: Subscriber) -> Callable[[], None]:
        """Be told of what was written here.

        @param subscriber: called with the events of each write, after it was stored and before its
            caller goes on; what it returns is waited for. Its failure is logged and changes
            nothing for the writer.
        @return: a function that ends the subscription.
        """
        self._subscribers.append(subscriber)
        return lambda: self._subscribers.remove(subscriber)

    def when_in_doubt(self, doubter: Callable[[], object]) -> Callable[[], None]:
        """Be told when the database did not answer a write: it may be done, or be done soon.

        @return: a function that ends it.
        """
        self._doubters.append(doubter)
        return lambda: self._doubters.remove(doubter)

    async def apply(self, writes: Sequence[Write]) -> list[list[Change]]:
        """Do all of the writes or none, and tell the subscribers.

        @return: for each write the rows that it changed.
        """
        try:
            changes = await self.primary.apply(writes)
        except DatabaseUnavailableError:
            for doubter in list(self._doubters):
                doubter()
            raise
        events = [self.event_of(change) for changed in changes for change in changed]
        if events:
            for subscriber in list(self._subscribers):
                await self._tell(subscriber, events)
        return changes

    async def add(self, entities: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
        """Insert entities of several kinds in one transaction, parents first.

        @param entities: by schema name, in the form that L{EntityStore.insert} takes.
        """
        writes: list[Write] = []
        for name in self:
            for data in entities.get(name, ()):
                table, entity = self[name].table, await self[name].prepare_insert(data)
                writes.append(Insert(table, entity))
        await self.apply(writes)

    async def restore(self, rows: Iterable[tuple[str, Mapping[str, Any]]]) -> int:
        """Put complete entities in place of those with their ids, all or none.

        @param rows: schema names and entities, parents first, valid and transformed.
        @return: how many.
        """
        writes: list[Write] = [self[name].restored(row) for name, row in rows]
        await self.apply(writes)
        return len(writes)

    def event_of(self, change: Change) -> ChangeEvent:
        """A change as subscribers are told of it."""
        entities = self._entities[change.table.name]
        if change.new is None:
            assert change.old is not None
            return ChangeEvent("delete", change.table.name, entities.show(change.old))
        if change.old is None:
            return ChangeEvent("create", change.table.name, entities.show(change.new))
        return ChangeEvent(
            "update", change.table.name, entities.show(change.new), entities.show(change.old)
        )

    async def _tell(self, subscriber: Subscriber, events: Sequence[ChangeEvent]) -> None:
        try:
            waiting = subscriber(events)
            if waiting is not None:
                await waiting
        except Exception:
            self._log.failure(
                "a subscriber failed on {count} changes, the first of {schema}",
                count=len(events),
                schema=events[0].schema,
            )


def catalogue_of(schemas: Iterable[Schema]) -> Catalogue:
    """The tables of some schemas; C{tags} is a view and has none."""
    return Catalogue.of(table_of(schema) for schema in schemas if schema.name != "tags")


def table_of(schema: Schema) -> Table:
    """What a connector has to know of a schema."""
    unique = tuple(name for name in schema.unique_fields if name not in schema.primary_key)
    lookup = schema.endpoint_key
    return Table(
        name=schema.name,
        key=schema.primary_key,
        unique=unique,
        together=schema.cache_key if len(schema.cache_key) > 1 else (),
        lookup=(lookup,) if lookup and lookup not in (*unique, *schema.primary_key) else (),
        references=tuple(
            Reference(name, field.reference, field.get("on_delete") == "cascade")
            for name, field in schema.foreign_fields.items()
        ),
        expires=schema.ttl,
        tagged=schema.tags,
    )
