"""One connection to the server: one statement at a time, each with an end."""

from __future__ import annotations

import select
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import msgspec
import psycopg2
from psycopg2 import extensions
from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.internet.interfaces import IReactorFDSet
from twisted.logger import Logger
from twisted.python.failure import Failure
from txpostgres import txpostgres

from kongtx.db.postgres import layout
from kongtx.db.postgres.failures import Disconnected, NoAnswer, translated
from kongtx.db.postgres.resolving import addresses_of
from kongtx.db.postgres.settings import Endpoint

T = TypeVar("T")

Rows = list[tuple[Any, ...]]

#: Seconds beyond the server's own limit after which it is no longer waited for.
GRACE_SECONDS = 1.0
#: Milliseconds after which the server ends a transaction whose node has gone silent.
_SILENT_TRANSACTION_MS = 30_000
_JSON_TYPE = 114

_decode = msgspec.json.Decoder().decode


def _cast_json(value: str | None, _cursor: object) -> Any:
    return None if value is None else _decode(value)


_JSON = extensions.new_type((_JSON_TYPE,), "KONGTX_JSON", _cast_json)


class _Cursor(txpostgres.Cursor):  # type: ignore[misc]
    """A driver's cursor that does not take the server's own time limit for our cancellation."""

    def _handleCancellation(self, failure: Failure) -> Failure:
        return failure


class _Connection(txpostgres.Connection):  # type: ignore[misc]
    """A driver's connection that tells of notifications, and of its end while nothing runs."""

    cursorFactory = _Cursor

    def __init__(self, reactor: Any, notified: Callable[[], object], lost: Callable[[], object]):
        super().__init__(reactor)
        self._notified = notified
        self._told_lost = lost

    def checkForNotifies(self) -> None:
        """Take what was notified."""
        if self._connection.notifies:
            del self._connection.notifies[:]
            self._notified()

    def doRead(self) -> None:
        """Read, where the end of the connection is no failure of the reactor's."""
        try:
            super().doRead()
        except Exception as error:
            self.connectionLost(Failure(error))

    def close(self) -> None:
        """Close, watched by nobody any more.

        The next connection may get the same descriptor, and uvloop aborts the process when it finds
        one that was closed while it was watched.
        """
        for cursor in self._cursors:
            self.reactor.removeReader(cursor)
            self.reactor.removeWriter(cursor)
        super().close()

    def connectionLost(self, reason: Failure) -> None:
        """Tell of it."""
        super().connectionLost(reason)
        self._told_lost()


class Link:
    """A connection.

    @param reactor: also with descriptors, a resolver and time.
    @param lost: called when the connection ends by itself; perhaps more than once.
    @param notified: called when others notified a channel that this connection listens to.
    @ivar is_open: whether statements can be sent.
    @ivar is_new: whether nothing was sent yet but what prepares it.
    @ivar position: how far the server is known to have followed the log of writes.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        endpoint: Endpoint,
        lost: Callable[[Link], object] = lambda _: None,
        notified: Callable[[], object] = lambda: None,
    ) -> None:
        self.endpoint = endpoint
        self.is_open = False
        self.is_new = True
        self.position = 0
        self._reactor: Any = reactor
        assert IReactorFDSet.providedBy(reactor)
        self._connection = _Connection(reactor, notified, self._ended)
        self._prepared: dict[str, str] = {}
        self._lost = lost

    async def open(self) -> None:
        """Connect.

        @raise Disconnected: it does not work, or takes too long.
        """
        opening = Deferred.fromCoroutine(self._open())
        opening.addTimeout(self.endpoint.timeout, self._reactor, self._too_slow)
        try:
            await opening
        except BaseException:
            self.close()
            raise

    def _too_slow(self, result: Any, seconds: float) -> Any:
        raise Disconnected(
            f"PostgreSQL at {self.endpoint}: no connection within {seconds:g} seconds"
        )

    async def _open(self) -> None:
        endpoint = self.endpoint
        options = endpoint.options(await self._addresses())
        try:
            await _leaving(self._connection.connect(**options), self.close)
        except psycopg2.Error as error:
            raise translated(error, endpoint, is_lost=True) from None
        extensions.register_type(_JSON, self._connection.pollable())
        self.is_open = True
        settings = {
            "statement_timeout": f"{endpoint.timeout * 1000:.0f}",
            "idle_in_transaction_session_timeout": str(_SILENT_TRANSACTION_MS),
        }
        if endpoint.schema:
            settings["search_path"] = layout.quote(endpoint.schema)
        calls = ", ".join(["set_config(%s, %s, false)"] * len(settings))
        await self.execute(f"SELECT {calls}", [text for pair in settings.items() for text in pair])
        self.is_new = True

    async def _addresses(self) -> str | None:
        """What the host stands for; libpq itself would block the reactor to find out."""
        endpoint = self.endpoint
        host = endpoint.host
        if endpoint.is_local or isIPAddress(host) or isIPv6Address(host):
            return None
        found = await addresses_of(self._reactor, host)
        if not found:
            raise Disconnected(f"PostgreSQL at {endpoint}: the name {host} is not known")
        return ",".join(found)

    def is_quiet(self) -> bool:
        """Whether the server has said nothing, such as that it goes, since the last answer."""
        poll = select.poll()
        poll.register(self._connection.fileno(), select.POLLIN)
        return not poll.poll(0)

    def execute(
        self, statement: str, parameters: Sequence[Any] | None = None, seconds: float | None = None
    ) -> Deferred[Rows]:
        """Run a statement, or several that are separated by semicolons.

        When the Deferred is cancelled, or no answer comes in time, the connection is closed and
        the server is asked to give the statement up.

        @param seconds: how long the answer may take; by default what the endpoint says.
        @return: the rows of the last statement.
        @raise DatabaseError: see L{kongtx.db.postgres.failures}.
        """
        if not self.is_open:
            return fail(Disconnected(f"PostgreSQL at {self.endpoint}: the connection is closed"))
        self.is_new = False
        limit = (self.endpoint.timeout if seconds is None else seconds) + GRACE_SECONDS
        done = _leaving(self._connection.cursor().execute(statement, parameters), self._give_up)
        done.addTimeout(limit, self._reactor, self._no_answer)
        return done.addCallbacks(_rows, self._failed)

    async def look_up(self, statement: str, text: str) -> Rows:
        """Run a statement that is often needed, planned by the server once a connection.

        @param statement: with C{$1} for its only parameter, a text.
        """
        name = self._prepared.get(statement)
        if name is not None:
            return await self.execute(f"EXECUTE {name} (%s)", [text])
        name = f"kongtx_{len(self._prepared)}"
        rows = await self.execute(
            f"PREPARE {name} (text) AS {statement}; EXECUTE {name} (%s)", [text]
        )
        self._prepared[statement] = name
        return rows

    def _no_answer(self, result: Any, seconds: float) -> Any:
        raise NoAnswer(f"PostgreSQL at {self.endpoint}: no answer within {seconds:g} seconds")

    def _failed(self, failure: Failure) -> Failure:
        if failure.check(CancelledError, Disconnected, NoAnswer) is not None:
            return failure
        is_lost = bool(self._connection.pollable().closed)
        if is_lost:
            self._ended()
        error = failure.value
        assert error is not None
        return Failure(translated(error, self.endpoint, is_lost=is_lost))

    def _give_up(self) -> None:
        """Leave what runs, and have the server end it."""
        backend = self._connection.pollable().info.backend_pid
        self.close()
        cancelling = Deferred.fromCoroutine(self._cancel(backend))
        cancelling.addErrback(
            lambda failure: self._log.info(
                "PostgreSQL at {endpoint}: a statement could not be cancelled: {error}",
                endpoint=self.endpoint,
                error=failure.getErrorMessage(),
            )
        )

    async def _cancel(self, backend: int) -> None:
        # libpq's own way would block, and goes unencrypted.
        other = Link(self._reactor, self.endpoint)
        await other.open()
        try:
            await other.execute("SELECT pg_cancel_backend(%s)", [backend])
        finally:
            other.close()

    def close(self) -> None:
        """End the connection, whatever runs; may be called twice."""
        self.is_open = False
        if self._connection.pollable() is not None:
            self._connection.close()

    def _ended(self) -> None:
        if self.is_open:
            self.close()
            self._lost(self)


def _rows(cursor: Any) -> Rows:
    return cursor.fetchall() if cursor.description else []


def _leaving(waiting: Deferred[T], leave: Callable[[], object]) -> Deferred[T]:
    """As another Deferred, except that cancelling it calls C{leave} and waits for nothing."""
    is_left = False

    def cancel(_: object) -> None:
        nonlocal is_left
        is_left = True
        leave()

    def deliver(result: Any) -> None:
        if not is_left:
            outer.callback(result)

    outer: Deferred[T] = Deferred(cancel)
    waiting.addBoth(deliver)
    return outer
