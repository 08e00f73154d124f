"""The connections to one server: no more than allowed, made when needed, closed when idle."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall

from kongtx.db.errors import DatabaseError, DatabaseUnavailableError
from kongtx.db.postgres.failures import Disconnected
from kongtx.db.postgres.link import Link
from kongtx.db.postgres.settings import Endpoint

#: Seconds for which nobody tries to connect after a failure: the first, doubled up to the last.
FIRST_PAUSE = 0.05
LAST_PAUSE = 1.0


class Pool:
    """Connections to a server.

    @param reactor: as a L{Link} needs it.
    @ivar pause: seconds without an attempt to connect after the last failure; 0 without one.
    """

    def __init__(
        self, reactor: Any, endpoint: Endpoint, make_link: Callable[..., Link] = Link
    ) -> None:
        self.endpoint = endpoint
        self._reactor = reactor
        self._make_link = make_link
        self._idle: list[tuple[Link, IDelayedCall | None]] = []
        self._held = 0
        self._waiting: deque[Deferred[Link | None]] = deque()
        self._drained: list[Deferred[None]] = []
        self._is_closed = False
        self.pause = 0.0
        self._retry_at = 0.0
        self._refusal = ""

    @asynccontextmanager
    async def link(self) -> AsyncIterator[Link]:
        """A connection for as long as the context lasts.

        @raise Disconnected: there is none, and the server cannot be reached.
        @raise DatabaseError: too many others want one.
        """
        link = await self._take()
        try:
            yield link
        finally:
            self._pass_on(link)

    async def _take(self) -> Link:
        if self._is_closed:
            raise DatabaseError(f"PostgreSQL at {self.endpoint}: the database is closed")
        while self._idle:
            link, timer = self._idle.pop()
            if timer is not None:
                timer.cancel()
            if link.is_quiet():
                self._held += 1
                return link
            link.close()
        if self._held < self.endpoint.connections:
            self._held += 1
        else:
            handed = await self._turn()
            if handed is not None:
                return handed
        try:
            return await self._connected()
        except BaseException:
            self._pass_on(None)
            raise

    def _turn(self) -> Deferred[Link | None]:
        """Wait for another's connection, or for the place to make one."""
        endpoint = self.endpoint
        if endpoint.backlog is not None and len(self._waiting) >= endpoint.backlog:
            raise DatabaseUnavailableError(
                f"PostgreSQL at {endpoint}: all {endpoint.connections} connections are in use, and "
                f"{endpoint.backlog} queries wait for one already"
            )
        waiting: Deferred[Link | None] = Deferred(self._waiting.remove)
        self._waiting.append(waiting)
        return waiting.addTimeout(endpoint.wait, self._reactor, self._no_turn)

    def _no_turn(self, result: Any, seconds: float) -> Any:
        raise DatabaseUnavailableError(
            f"PostgreSQL at {self.endpoint}: all {self.endpoint.connections} connections have been "
            f"in use for {seconds:g} seconds"
        )

    async def _connected(self) -> Link:
        if self._reactor.seconds() < self._retry_at:
            raise Disconnected(self._refusal)
        link = self._make_link(self._reactor, self.endpoint, self._lost)
        try:
            await link.open()
        except Disconnected as error:
            self.pause = min(max(self.pause * 2, FIRST_PAUSE), LAST_PAUSE)
            self._retry_at = self._reactor.seconds() + self.pause
            self._refusal = error.message
            raise
        self.pause = self._retry_at = 0.0
        return link

    def _pass_on(self, link: Link | None) -> None:
        """Give a connection, or the place for one, to whoever waits."""
        if link is not None and not link.is_open:
            link = None
        if self._waiting:
            self._waiting.popleft().callback(link)
            return
        self._held -= 1
        if link is not None and self._is_closed:
            link.close()
        elif link is not None:
            self._keep(link)
        if not self._held:
            drained, self._drained = self._drained, []
            for each in drained:
                each.callback(None)

    def _keep(self, link: Link) -> None:
        idle, timer = self.endpoint.idle, None
        if idle is not None:
            timer = self._reactor.callLater(idle, self._retire, link)
        self._idle.append((link, timer))

    def _retire(self, link: Link) -> None:
        self._idle = [item for item in self._idle if item[0] is not link]
        link.close()

    def _lost(self, link: Link) -> None:
        """A connection ended by itself; so will the others have, if they are idle."""
        self.close_idle()

    def close_idle(self) -> None:
        """Close the connections that nobody uses."""
        idle, self._idle = self._idle, []
        for link, timer in idle:
            if timer is not None and timer.active():
                timer.cancel()
            link.close()

    def close(self) -> Deferred[None]:
        """Take no more work; the Deferred fires when what there is has been done."""
        self._is_closed = True
        self.close_idle()
        drained: Deferred[None] = Deferred()
        if self._held:
            self._drained.append(drained)
        else:
            drained.callback(None)
        return drained

    def open(self) -> None:
        """Take work (again)."""
        self._is_closed = False
