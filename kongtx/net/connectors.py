"""Connecting: Twisted's own way to a connected socket, which uvloop then takes over.

Names, bound addresses, timeouts, retries and errors are thereby exactly Twisted's.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Coroutine
from typing import Any

from twisted.internet import tcp, unix

from kongtx.net.connections import ClientConnection
from kongtx.net.descriptors import connect_done
from kongtx.net.transports import StreamConnection


def take_over(loop: Any, connection: StreamConnection, skt: socket.socket) -> None:
    """Give a connected socket to uvloop, which connects C{connection} to it in its next turn."""
    coroutine = loop.connect_accepted_socket(lambda: connection, skt)
    _continue(coroutine)


def _continue(
    coroutine: Coroutine[Any, Any, Any], waited: asyncio.Future[Any] | None = None
) -> None:
    # A Task would only begin in the loop's next turn; nobody else has an interest in the result.
    try:
        future = coroutine.send(None)
    except (StopIteration, RuntimeError):
        # Done; or the connection was closed at once, of which connection_lost tells.
        return
    future._asyncio_future_blocking = False
    future.add_done_callback(lambda done: _continue(coroutine, done))


class TCPClient(tcp.Client):
    """A TCP connection in the making."""

    reactor: Any

    def _connectDone(self) -> None:
        self.connected = 1  # what is left of the connecting object must not fail any more
        connection = ClientConnection(self.reactor, self.connector, self.addr)
        self.connector.transport = connection
        take_over(self.reactor.loop, connection, self.socket)
        del self.connector


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
