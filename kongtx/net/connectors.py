"""Connecting: Twisted's own way to a connected socket, which uvloop then takes over.

Names, bound addresses, timeouts, retries and errors are thereby exactly Twisted's.
"""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet import tcp, unix

from kongtx.net.connections import ClientConnection
from kongtx.net.descriptors import connect_done
from kongtx.net.driving import Driven
from kongtx.net.transports import StreamConnection


def take_over(loop: Any, connection: StreamConnection, skt: socket.socket) -> None:
    """Give a connected socket to uvloop, which connects C{connection} to it in its next turn."""
    # A failure is one of connection_made, and handled there.
    Driven(loop.connect_accepted_socket(lambda: connection, skt))


class TCPClient(tcp.Client):
    """A TCP connection in the making."""

    reactor: Any
    _connection: Any = None

    def _native(self) -> StreamConnection:
        return ClientConnection(self.reactor, self.connector, self.addr)

    def _connectDone(self) -> None:
        self.connected = 1  # what is left of the connecting object must not fail any more
        connection = self._connection = self._native()
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

    def _makeTransport(self) -> Any:
        return TCPClient(self.host, self.port, self.bindAddress, self, self.reactor)  # type: ignore[no-untyped-call]


class UNIXConnector(unix.Connector):
    """Connects to a UNIX socket."""

    def _makeTransport(self) -> Any:
        return UNIXClient(self.address, self, self.reactor, self.checkPID)  # type: ignore[no-untyped-call]
