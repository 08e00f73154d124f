"""Connections to upstream peers, kept alive between requests. Hot path: a hit is synchronous."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, Final

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IAddress, IConnector
from twisted.internet.protocol import ClientFactory
from twisted.python.failure import Failure
from zope.interface import implementer

from kongtx.http.client import ClientChannel
from kongtx.http.timers import NEVER
from kongtx.proxy.interfaces import ITLSConnector, IUpstreamPool
from kongtx.proxy.pools.streams import StreamPool
from kongtx.proxy.pools.tls import unverified_tls

Key = tuple[str, int, Hashable]

_UNIX: Final = "unix:"


class _Connecting(ClientFactory):
    """One connection attempt; its Deferred fires with the channel, or fails as Twisted does."""

    noisy = False

    def __init__(self, make: Callable[[Key], Any], key: Key) -> None:
        self._make = make
        self._key = key
        self._connector: IConnector | None = None
        self.deferred: Deferred[Any] = Deferred(self._cancel)

    def startedConnecting(self, connector: IConnector) -> None:
        self._connector = connector

    def buildProtocol(self, addr: IAddress | None) -> Any:
        channel = self._make(self._key)
        channel.connected = self._connected
        return channel

    def _connected(self, channel: Any) -> None:
        deferred = self.deferred
        if deferred.called:
            channel.abort()
        else:
            deferred.callback(channel)

    def clientConnectionFailed(self, connector: IConnector, reason: Failure) -> None:
        if not self.deferred.called:
            self.deferred.errback(reason)

    def _cancel(self, deferred: Deferred[Any]) -> None:
        if self._connector is not None:
            self._connector.stopConnecting()


@implementer(IUpstreamPool)
class UpstreamPool:
    """Idle connections by peer and TLS identity, the most recently used first."""

    def __init__(
        self,
        reactor: Any,
        tls: ITLSConnector | None = None,
        size: int = 512,
        max_requests: int = 10000,
        idle_timeout: float = 60.0,
    ) -> None:
        """Make a pool.

        @param reactor: connects and keeps time.
        @param tls: for upstreams that speak TLS; by default one that verifies nothing.
        @param size: idle connections kept for one key; 0: none are kept.
        @param max_requests: requests a connection may carry; 0: any number.
        @param idle_timeout: seconds after which an idle connection is closed; 0: never.
        """
        self._reactor = reactor
        #: The connector for upstreams that speak TLS.
        self.tls: ITLSConnector = unverified_tls(reactor) if tls is None else tls
        self._size = size
        self._most_requests = max_requests or NEVER
        self._idle_timeout = idle_timeout
        self._idle: dict[Key, list[ClientChannel]] = {}
        self._open: set[ClientChannel] = set()
        self._closed: Deferred[None] | None = None
        self._streams = StreamPool(reactor, self.connect, self._most_requests, idle_timeout)
        #: Told of each connection that has ended.
        self.lost: Callable[[ClientChannel], object] | None = None

    def acquire(
        self,
        address: str,
        port: int,
        tls: Hashable | None,
        connect_timeout: float,
        http2: bool = False,
    ) -> Any:
        key = (address, port, tls)
        if http2:
            return self._streams.acquire(key, connect_timeout)
        idle = self._idle.get(key)
        while idle:
            channel = idle.pop()
            if not channel.closed:
                return channel
        return self.connect(key, connect_timeout)

    def connect(
        self, key: Key, timeout: float, make: Callable[[Key], Any] | None = None
    ) -> Deferred[Any]:
        """A new connection, whatever is idle.

        @param make: makes the protocol; by default an HTTP/1.1 channel.
        """
        address, port, tls = key
        attempt = _Connecting(make or self.new_channel, key)
        reactor = self._reactor
        if tls is not None:
            self.tls.connect(address, port, tls, attempt, timeout)
        elif address.startswith(_UNIX):
            reactor.connectUNIX(address[len(_UNIX) :], attempt, timeout=timeout)
        else:
            reactor.connectTCP(address, port, attempt, timeout=timeout)
        return attempt.deferred

    def new_channel(self, key: Key) -> ClientChannel:
        """A channel for a connection that is being made."""
        channel = ClientChannel(self._reactor, key, self._lost)
        self._open.add(channel)
        return channel

    def release(self, channel: ClientChannel) -> None:
        if channel.closed:
            return
        idle = self._idle.get(channel.key)
        if idle is None:
            idle = self._idle[channel.key] = []
        if (
            len(idle) >= self._size
            or channel.requests >= self._most_requests
            or self._closed is not None
        ):
            channel.close()
            return
        channel.wait_idle(self._idle_timeout)
        idle.append(channel)

    def _lost(self, channel: ClientChannel) -> None:
        self._open.discard(channel)
        if self.lost is not None:
            self.lost(channel)
        idle = self._idle.get(channel.key)
        if idle is not None:
            if channel in idle:
                idle.remove(channel)
            if not idle:
                del self._idle[channel.key]
        if self._closed is not None and not self._open and not self._closed.called:
            self._closed.callback(None)

    def idle_count(self) -> int:
        """How many connections are idle."""
        return sum(map(len, self._idle.values()))

    def close(self) -> Deferred[None]:
        self._streams.close()
        if self._closed is None:
            self._closed = Deferred()
        if not self._open:
            return succeed(None)
        for idle in list(self._idle.values()):
            for channel in list(idle):
                channel.close()
        return self._closed
