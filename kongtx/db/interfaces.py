"""The contract of a database under the store."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from zope.interface import Attribute, Interface

from kongtx.db.clusterlog import Announce, Broadcast, LogPage
from kongtx.db.paging import Page, Query
from kongtx.db.tables import Catalogue, Entity, Table
from kongtx.db.writes import Change, Write


class IConnector(Interface):
    """Keeps entities as they are given, and the rules between them.

    Validation, defaults and names are the store's business. A connector guarantees keys, uniqueness
    and references, also against other processes that use the same database, and that what it has
    acknowledged is still there after a power cut.

    A row is an entity: every field present, references as C{{"id": ...}}. In tables whose rows
    expire, C{ttl} holds the seconds since the epoch at which the row vanishes, or L{None}.

    Every method's Deferred fails with a C{StoreError}: of its own kind where one is named, with
    C{DatabaseError} for whatever the database could not do.
    """

    name: str = Attribute("``str``: as in the ``database`` property: sqlite, off, postgres, ...")
    read_only: bool = Attribute("``bool``: whether L{apply} refuses everything.")

    def start(catalogue: Catalogue) -> Deferred[None]:
        """Connect, and make sure that every table exists with its indexes.

        @raise MigrationError: (through the Deferred) if the database was made by a newer version,
            or has to be migrated by hand first.
        """

    def stop() -> Deferred[None]:
        """Finish what was begun and let go of the database; may be called twice."""

    def ping() -> Deferred[None]:
        """Fire when the database answers."""

    def select(table: Table, key: Mapping[str, Any]) -> Deferred[Entity | None]:
        """The row with a primary key."""

    def select_by(table: Table, field: str, value: Any) -> Deferred[Entity | None]:
        """The row with a value in a unique field (which may be a foreign one)."""

    def select_together(table: Table, entity: Mapping[str, Any]) -> Deferred[Entity | None]:
        """The row that has the same values in the fields that must differ together."""

    def page(table: Table, query: Query) -> Deferred[Page]:
        """Some rows, in the order of their primary keys.

        Rows that are added or removed meanwhile neither repeat nor hide others.

        @raise InvalidOffsetError: (through the Deferred) if the offset was not given by a page.
        """

    def page_tags(tag: str | None, size: int, offset: str | None) -> Deferred[Page]:
        """Some C{{"tag", "entity_name", "entity_id"}}, of one tag or of all, by entity id."""

    def apply(writes: Sequence[Write]) -> Deferred[list[list[Change]]]:
        """Do all of the writes, in their order, or none.

        @return: for each write the rows that it changed, the one named by the write first, then
            those that went with it; empty when a row to delete does not exist.
        @raise PrimaryKeyViolationError: an inserted row exists.
        @raise UniqueViolationError: another row has a value that must be unique.
        @raise ForeignKeyViolationError: a parent does not exist, or a child still refers to it.
        @raise EntityNotFoundError: an updated row does not exist.
        @raise ConflictError: an updated row has changed since it was read.
        @raise OperationUnsupportedError: the connector is read only.
        """

    def purge_expired() -> Deferred[int]:
        """Remove the rows whose time is over; reads never show them anyhow.

        @return: how many.
        """


class IMigratable(Interface):
    """A database whose schema has versions; provided by connectors that keep one."""

    automatic: bool = Attribute(
        "``bool``: whether it is set up and migrated at start, without a step by hand."
    )

    def executed() -> Deferred[dict[str, list[tuple[str, bool]]] | None]:
        """The migrations that the database has seen.

        @return: by subsystem, in order: name, and whether it is still to be finished; L{None} if
            the database has never been set up.
        """

    def record(subsystem: str, name: str, pending: bool) -> Deferred[None]:
        """Note that a migration was run, or (C{pending} false) finished."""

    def create(catalogue: Catalogue) -> Deferred[None]:
        """Make the tables that do not exist yet, and the record of migrations."""

    def complete(catalogue: Catalogue) -> Deferred[None]:
        """Make what plugins need that were enabled since the database was set up.

        It is done at each start, so it is quick when there is nothing to do.
        """

    def reset() -> Deferred[None]:
        """Remove everything."""

    def acquire(lock: str, owner: str, seconds: float) -> Deferred[bool]:
        """Take or renew a lock that all processes and nodes using the database see.

        @param seconds: how long it holds unless released or renewed.
        @return: whether the owner has it now.
        """

    def release(lock: str, owner: str) -> Deferred[None]:
        """Give a lock back; nothing happens if it is another owner's."""


class IClusterLog(Interface):
    """Events that nodes leave for each other; provided by connectors of databases that they share.

    All moments are by the database's clock, so that the nodes' own need not agree.
    """

    def announce_with(announce: Announce, node_id: str, lives: float) -> None:
        """Leave, from now on, what C{announce} makes of each transaction's changes.

        The events are kept with the changes, all or none, where the database can do that; where it
        cannot, they are kept before the write is acknowledged.

        @param node_id: whom the events are from.
        @param lives: seconds after which an event may be purged.
        """

    def append_events(events: Sequence[Broadcast], node_id: str, lives: float) -> Deferred[None]:
        """Leave some events; the Deferred fires when they are kept."""

    def events_after(at: float | None) -> Deferred[LogPage]:
        """The events left after a moment.

        An event may appear later than others whose C{at} is higher (its transaction took longer),
        so readers ask again for a stretch that they have read.

        @param at: seconds since the epoch; L{None} for no events, only what the time is.
        """

    def purge_events() -> Deferred[int]:
        """Remove the events whose life is over.

        @return: how many; 0 where the database removes them itself.
        """

    def watch_events(wake: Callable[[], object]) -> Callable[[], None]:
        """Be woken soon after any node left an event, where the database can tell.

        Nothing relies on it: a wake-up may be lost, or come for no event.

        @return: a function that ends it.
        """


class IReplicated(Interface):
    """A database that may have a copy which answers reads, perhaps a moment behind."""

    def replica() -> IConnector | None:
        """A connector whose reads the copy answers; L{None} without a copy.

        Its reads show at least what this process wrote, and what L{IClusterLog.events_after} told
        it of.
        """

    def share_knowledge(path: str) -> None:
        """Have the copy's reads show what the node's other processes know of, too.

        @param path: of a small file, which all of them name.
        """


#: What identifies the content of a node that has none.
EMPTY_DIGEST = "0" * 32


class ISnapshotLoader(Interface):
    """A connector whose whole content is replaced at once."""

    def load(entities: Mapping[str, Iterable[Entity]], digest: str) -> Deferred[None]:
        """Replace everything, for every process of the node, at once and durably.

        @param entities: by schema name; everything validated and complete.
        @param digest: 32 hexadecimal digits that identify the content.
        @raise ConfigurationTooLargeError: (through the Deferred) it does not fit; nothing changed.
        """

    def digest() -> Deferred[str]:
        """What L{load} was last given; 32 zeros when nothing was ever loaded."""
