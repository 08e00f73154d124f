"""Connections as servers and clients see them: where they come from, and who hears of their end."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from twisted.internet import address, error
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure

from kongtx.net.driving import Driven
from kongtx.net.naming import log_prefix
from kongtx.net.transports import StreamConnection

if TYPE_CHECKING:
    from kongtx.net.reactor import KongtxReactor


class ServerConnection(StreamConnection):
    """A connection that a port accepted, or that was adopted.

    @ivar proxy_header: the L{kongtx.net.proxy_protocol.ProxyHeader} it began with, or None.
    """

    __slots__ = ("_factory", "server", "sessionno")

    proxy_header: Any = None

    def __init__(self, reactor: KongtxReactor, factory: Any, server: Any) -> None:
        super().__init__(reactor)
        self._factory = factory
        self.server = server
        self.sessionno = 0

    def _build_protocol(self) -> Any:
        factory, self._factory = self._factory, None
        if self.server is not None:
            factory = self.server.factory
            self.sessionno = self.server.sessionno
            self.server.sessionno += 1
        try:
            peer = self.getPeer()
        except OSError:
            return None  # it was closed between the kernel's accept and ours
        return factory.buildProtocol(peer)

    def _name(self) -> str:
        return f"{log_prefix(self._protocol)},{self.sessionno},{self.hostname}"

    @property
    def client(self) -> Any:
        """The peer's name, as the socket module writes it."""
        return self._wire.get_extra_info("peername")

    @property
    def hostname(self) -> Any:
        """The peer's host, or path."""
        peer = self.getPeer()
        return peer.name if isinstance(peer, address.UNIXAddress) else peer.host

    def __repr__(self) -> str:
        name = self._wire.get_extra_info("sockname")
        where = name[1] if isinstance(name, tuple) else name
        return f"<{type(self._protocol).__name__} #{self.sessionno} on {where}>"


class ClientConnection(StreamConnection):
    """A connection that a connector made.

    @ivar addr: where it was asked to connect to.
    """

    __slots__ = ("_connecting", "addr", "connector")

    _tlsClientDefault = True

    def __init__(self, reactor: KongtxReactor, connector: Any, addr: Any) -> None:
        super().__init__(reactor)
        self.connector = connector
        self.addr = addr
        self._connecting: Driven | None = None

    def begin(self, host: str, port: int) -> None:
        """Connect to an IP address."""
        self.reactor.connections.add(self)
        self._connecting = Driven(
            self._loop.create_connection(lambda: self, host, port), failed=self._not_connected
        )

    def _not_connected(self, exc: BaseException) -> None:
        if not isinstance(exc, OSError):
            why: Any = exc
        else:
            why = error.getConnectError((exc.errno, os.strerror(exc.errno or 0)))
        # Later, for the connector does not have its transport yet when it fails at once.
        self._loop.call_soon(self.failIfNotConnected, why)

    def _build_protocol(self) -> Any:
        if self.disconnected:
            return None
        try:
            peer = self.getPeer()
        except OSError as exc:
            # Reset as soon as it was made: a failure of the network, not of the factory.
            self.failIfNotConnected(error.getConnectError((exc.errno, os.strerror(exc.errno or 0))))
            return None
        return self.connector.buildProtocol(peer)

    def _without_protocol(self) -> None:
        if self.disconnected:  # stopped between connecting and here
            self._uv.abort()
            return
        self.connected = 1
        self._protocol = Protocol()
        self._uv.close()

    def _name(self) -> str:
        return f"{log_prefix(self._protocol)},client"

    def failIfNotConnected(self, err: BaseException) -> None:
        """Give up a connection whose protocol has not been built yet."""
        if not self.connected and not self.disconnected:
            self._lost(Failure(err))
            if self._uv is not None:
                self._uv.abort()

    def stopConnecting(self) -> None:
        """Give up on the application's wish."""
        self.failIfNotConnected(error.UserError())

    def _lost(self, reason: Failure) -> None:
        if self.disconnected:
            return
        was_connected = self.connected
        if self._connecting is not None:
            self._connecting.cancel()
            self._connecting = None
        super()._lost(reason)
        if was_connected:
            self.connector.connectionLost(reason)
        else:
            self.connector.connectionFailed(reason)

    def __repr__(self) -> str:
        return f"<{self.__class__} to {self.addr} at {id(self):x}>"
