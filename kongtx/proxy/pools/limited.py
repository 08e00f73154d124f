"""A pool that lends out so many connections of one peer at a time, and no more."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import TimeoutError as ConnectTimeout
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure
from zope.interface import implementer

from kongtx.http.client import ClientChannel
from kongtx.proxy.interfaces import IUpstreamPool
from kongtx.proxy.pools.pool import Key, UpstreamPool


class _Asker:
    """One who waits in line, for as long as connecting may take."""

    def __init__(self, pool: LimitedPool, key: Key, timeout: float) -> None:
        self._pool = pool
        self.key = key
        self.timeout = timeout
        self.deferred: Deferred[ClientChannel] = Deferred(lambda _: self._leave())
        self._late: IDelayedCall = pool.clock.callLater(timeout, self._too_late)
        self._lent: Any = None

    def serve(self) -> None:
        """It is this one's turn."""
        self._late.cancel()
        lent = self._lent = self._pool.lend(self.key, self.timeout)
        if isinstance(lent, Deferred):
            lent.chainDeferred(self.deferred)
        else:
            self.deferred.callback(lent)

    def _leave(self) -> None:
        if isinstance(self._lent, Deferred):
            # What was being made for it is for the next in line.
            self._lent.cancel()
            return
        if self._late.active():
            self._late.cancel()
        self._pool.forget(self)

    def _too_late(self) -> None:
        self._pool.forget(self)
        self.deferred.errback(Failure(ConnectTimeout()))


@implementer(IUpstreamPool)
class LimitedPool:
    """Lends out the connections of another pool; who finds none to be had waits in line.

    @param pool: whose connections are lent.
    @param most: how many of one peer and TLS identity may be in use at a time.
    """

    def __init__(self, pool: UpstreamPool, most: int, clock: IReactorTime) -> None:
        self.clock = clock
        self._pool = pool
        self._most = most
        self._in_use: dict[Key, int] = {}
        self._lent: set[ClientChannel] = set()
        self._line: dict[Key, deque[_Asker]] = {}
        pool.lost = self._given_back

    @property
    def tls(self) -> Any:
        """The connector for upstreams that speak TLS."""
        return self._pool.tls

    def acquire(
        self,
        address: str,
        port: int,
        tls: Hashable | None,
        connect_timeout: float,
        http2: bool = False,
    ) -> Any:
        """See L{IUpstreamPool}; waiting in line counts as connecting.

        Streams of HTTP/2 are not counted: they share connections.
        """
        if http2:
            return self._pool.acquire(address, port, tls, connect_timeout, True)
        key = (address, port, tls)
        if self._in_use.get(key, 0) < self._most:
            return self.lend(key, connect_timeout)
        asker = _Asker(self, key, connect_timeout)
        self._line.setdefault(key, deque()).append(asker)
        return asker.deferred

    def release(self, channel: ClientChannel) -> None:
        """See L{IUpstreamPool}."""
        self._pool.release(channel)
        self._given_back(channel)

    def close(self) -> Deferred[None]:
        """See L{IUpstreamPool}."""
        return self._pool.close()

    def lend(self, key: Key, timeout: float) -> Any:
        """A connection, counted from now until it is given back or lost."""
        self._in_use[key] = self._in_use.get(key, 0) + 1
        channel = self._pool.acquire(*key, timeout)
        if isinstance(channel, Deferred):
            return channel.addCallbacks(self._made, self._not_made, errbackArgs=(key,))
        self._lent.add(channel)
        return channel

    def forget(self, asker: _Asker) -> None:
        """Somebody waits no longer."""
        line = self._line.get(asker.key)
        if line is not None and asker in line:
            line.remove(asker)

    def _made(self, channel: ClientChannel) -> ClientChannel:
        self._lent.add(channel)
        return channel

    def _not_made(self, failure: Failure, key: Key) -> Failure:
        self._one_less(key)
        return failure

    def _given_back(self, channel: ClientChannel) -> None:
        if channel in self._lent:
            self._lent.discard(channel)
            self._one_less(channel.key)

    def _one_less(self, key: Key) -> None:
        left = self._in_use[key] - 1
        if left:
            self._in_use[key] = left
        else:
            del self._in_use[key]
        line = self._line.get(key)
        if line:
            line.popleft().serve()
        elif line is not None:
            del self._line[key]
