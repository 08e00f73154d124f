"""Listening ports whose connections uvloop accepts.

Everything but accepting is Twisted's own: binding, backlog, errors, log lines, lock files.
"""

from __future__ import annotations

import socket
import struct
from functools import partial
from typing import Any

from twisted.internet import tcp, unix

from kongtx.net.connections import ServerConnection
from kongtx.net.descriptors import UNIXServerConnection
from kongtx.net.driving import run_to_end


def current_backlog(skt: socket.socket) -> int:
    """Return the backlog a listening socket has, so that listening again does not change it.

    Linux tells it for TCP in C{tcpi_sacked} of C{TCP_INFO}; else the system's maximum is taken.
    """
    if skt.family in (socket.AF_INET, socket.AF_INET6):
        info = skt.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
        backlog: int = struct.unpack_from("I", info, 28)[0]
        if backlog:
            return backlog
    return socket.SOMAXCONN


class _NativeAccept:
    """Replaces a Twisted port's accepting by uvloop's."""

    reactor: Any
    socket: socket.socket
    factory: Any
    backlog: Any
    _accepted: Any = ServerConnection
    _uv_server: Any = None

    def startReading(self) -> None:
        """Accept connections."""
        if self._uv_server is None:
            self.reactor.ports.add(self)
            # uvloop closes what it listens on; the port keeps its own for names and options.
            self._uv_server = run_to_end(
                self.reactor.loop.create_server(
                    partial(self._accepted, self.reactor, self.factory, self),
                    sock=self.socket.dup(),
                    backlog=self.backlog or current_backlog(self.socket),
                )
            )

    def stopReading(self) -> None:
        """Leave connections in the kernel's queue until C{startReading}."""
        if self._uv_server is not None:
            self.reactor.ports.discard(self)
            server, self._uv_server = self._uv_server, None
            server.close()

    def stopWriting(self) -> None:
        """Do nothing: a port is never watched for writing."""


class TCPPort(_NativeAccept, tcp.Port):
    """A listening TCP port."""


class UNIXPort(_NativeAccept, unix.Port):
    """A listening UNIX socket."""

    _accepted = UNIXServerConnection
