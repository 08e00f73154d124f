"""Reads that a copy of the database answers, as soon as it has what this process knows of."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from zope.interface import implementer

from kongtx.db.errors import DatabaseError, DatabaseUnavailableError
from kongtx.db.interfaces import IConnector
from kongtx.db.paging import Page, Query
from kongtx.db.postgres.link import Link
from kongtx.db.postgres.pool import Pool
from kongtx.db.postgres.position import KnownPosition, text_of
from kongtx.db.tables import Catalogue, Entity, Table
from kongtx.db.writes import Change, Write

if TYPE_CHECKING:
    from kongtx.db.postgres.connector import PostgresConnector

T = TypeVar("T")

# A server that follows none has all there is.
_HAS = "SELECT coalesce(pg_last_wal_replay_lsn() >= %s::pg_lsn, NOT pg_is_in_recovery())"


@implementer(IConnector)
class Replica:
    """A connector whose reads the copy answers, and whose writes go to the server it copies.

    What a process has written, or was told of, it finds in its reads: until the copy has it too,
    the server itself is asked. So it is while the copy cannot be reached, and where it fails, such
    as when it ends what reads rows that it is about to lose.

    @param main: the connector of the server that is written to.
    @param pool: connections to the copy.
    @ivar known: what the copy must have.
    """

    _log = Logger()

    name = "postgres"
    read_only = False

    def __init__(self, main: PostgresConnector, pool: Pool) -> None:
        self._main = main
        self._pool = pool
        self.known = KnownPosition()
        self._is_reached = True

    async def read(self, work: Callable[[Link], Awaitable[T]]) -> T:
        """Have the copy do something, or the server if that is not up to it."""
        try:
            async with self._pool.link() as link:
                if await self._is_current(link):
                    result = await work(link)
                    self._tell(True, "")
                    return result
        except DatabaseUnavailableError as error:
            self._tell(False, error.message)
        except DatabaseError as error:
            self._log.debug("the read-only database fails: {reason}", reason=error.message)
        return await self._main.with_link(work)

    async def _is_current(self, link: Link) -> bool:
        known = self.known.number
        if link.position >= known:
            return True
        [(has,)] = await link.execute(_HAS, [text_of(known)])
        if has:
            link.position = known
        return bool(has)

    def _tell(self, is_reached: bool, reason: str) -> None:
        if is_reached != self._is_reached:
            self._is_reached = is_reached
            if is_reached:
                self._log.info("the read-only database answers again")
            else:
                self._log.warn("reads go to the main database: {reason}", reason=reason)

    def start(self, catalogue: Catalogue) -> Deferred[None]:
        """See L{IConnector.start}."""
        return self._main.start(catalogue)

    def stop(self) -> Deferred[None]:
        """See L{IConnector.stop}."""
        return self._main.stop()

    def ping(self) -> Deferred[None]:
        """See L{IConnector.ping}."""
        return self._main.ping()

    def select(self, table: Table, key: Mapping[str, Any]) -> Deferred[Entity | None]:
        """See L{IConnector.select}."""
        return self._do(lambda link: self._main.reader.select(link, table, key))

    def select_by(self, table: Table, field: str, value: Any) -> Deferred[Entity | None]:
        """See L{IConnector.select_by}."""
        return self._do(lambda link: self._main.reader.select_by(link, table, field, value))

    def select_together(self, table: Table, entity: Mapping[str, Any]) -> Deferred[Entity | None]:
        """See L{IConnector.select_together}."""
        return self._do(lambda link: self._main.reader.select_together(link, table, entity))

    def page(self, table: Table, query: Query) -> Deferred[Page]:
        """See L{IConnector.page}."""
        return self._do(lambda link: self._main.reader.page(link, table, query))

    def page_tags(self, tag: str | None, size: int, offset: str | None) -> Deferred[Page]:
        """See L{IConnector.page_tags}."""
        return self._do(lambda link: self._main.reader.page_tags(link, tag, size, offset))

    def apply(self, writes: Sequence[Write]) -> Deferred[list[list[Change]]]:
        """See L{IConnector.apply}."""
        return self._main.apply(writes)

    def purge_expired(self) -> Deferred[int]:
        """See L{IConnector.purge_expired}."""
        return self._main.purge_expired()

    def _do(self, work: Callable[[Link], Awaitable[T]]) -> Deferred[T]:
        return self._main.do(lambda: self.read(work))
