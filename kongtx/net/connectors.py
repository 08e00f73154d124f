"""Connecting: by uvloop to an IP address, else by Twisted until uvloop takes the socket over.

Names, bound addresses, timeouts, retries and errors are thereby Twisted's.
"""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet import tcp, unix
from twisted.internet.abstract import isIPAddress, isIPv6Address

from kongtx.net.connections import ClientConnection
from kongtx.net.descriptors import connect_done
from kongtx.net.driving import Driven
from kongtx.net.transports import StreamConnection


def take_over(loop: Any, connection: StreamConnection, skt: socket.socket) -> None:
    """Give a connected socket to uvloop, which connects C{connection} to it in its next turn."""
    # A failure is one of connection_made, and handled there.
    Driven(loop.connect_accepted_socket(lambda: connection, skt))


def is_literal(host: str) -> bool:
    """Tell whether a host is an IP address, and not one with a zone."""
    return isIPAddress(host) or (isIPv6Address(host) and "%" not in host)


class TCPClient(tcp.Client):
    """A TCP connection in the making, by Twisted's means."""

    reactor: Any
    _connection: Any = None

    def _connectDone(self) -> None:
        self.connected = 1  # what is left of the connecting object must not fail any more
        connection = self._connection = self.connector.native(self.addr)
        self.connector.transport = connection
        take_over(self.reactor.loop, connection, self.socket)
        del self.connector

    def failIfNotConnected(self, err: Any) -> None:
        """Give up; what the connector's timeout calls, also when the socket is already uvloop's."""
        if self._connection is None:
            super().failIfNotConnected(err)  # type: ignore[no-untyped-call]
        else:
            self._connection.failIfNotConnected(err)


class UNIXClient(unix.Client):
    """A UNIX connection in the making."""

    def _connectDone(self) -> None:
        connect_done(self, take_over)


class TCPConnector(tcp.Connector):
    """Connects to a TCP port."""

    reactor: Any

    def native(self, addr: Any) -> ClientConnection:
        """Make the transport of the connection."""
        return ClientConnection(self.reactor, self, addr)

    def _makeTransport(self) -> Any:
        port: Any = self.port
        if self.bindAddress is None and is_literal(self.host) and 0 < port < 65536:
            # The frequent case, which uvloop can do alone at half the cost.
            connection = self.native((self.host, port))
            connection.begin(self.host, port)
            return connection
        make: Any = TCPClient
        return make(self.host, port, self.bindAddress, self, self.reactor)


class UNIXConnector(unix.Connector):
    """Connects to a UNIX socket."""

    def _makeTransport(self) -> Any:
        return UNIXClient(self.address, self, self.reactor, self.checkPID)  # type: ignore[no-untyped-call]
