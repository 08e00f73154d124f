"""What a connection tells of its socket, and which options can be set on it."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import struct
from typing import Any

from kongtx.net.naming import stream_address

_LINGER_RESET = struct.pack("ii", 1, 0)


#: What a view of a closed socket still tells.
_ALSO_WHEN_CLOSED = frozenset(("fileno", "getpeername", "getsockname"))


def _refuse(*arguments: Any, **options: Any) -> None:
    """Fail as any use of a closed socket fails."""
    raise OSError(errno.EBADF, os.strerror(errno.EBADF))


class _SocketView:
    """uvloop's view of a connection's socket (options and names), which can also be closed."""

    __slots__ = ("_connection", "_view")

    def __init__(self, connection: SocketOptions, view: Any) -> None:
        self._connection = connection
        self._view = view

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._view, name)
        if self._view.fileno() == -1 and name not in _ALSO_WHEN_CLOSED and callable(found):
            return _refuse
        return found

    def close(self) -> None:
        """Close the descriptor without a word to the protocol."""
        self._connection._forget()


class SocketOptions:
    """The descriptor's side of a connection; mixed into L{StreamConnection}."""

    __slots__ = ()

    disconnected: int
    _wire: Any

    def _forget(self) -> None:
        raise NotImplementedError

    @property
    def socket(self) -> Any:
        """The loop's view of the socket: options and names, but no sending or receiving."""
        return _SocketView(self, self._wire.get_extra_info("socket"))

    def getHandle(self) -> Any:
        """Return C{socket}."""
        return self.socket

    def fileno(self) -> int:
        """Return the descriptor, or -1 when the connection is closed."""
        return -1 if self.disconnected else int(self.socket.fileno())

    def getHost(self) -> Any:
        """Return this end's address."""
        return stream_address(self._wire.get_extra_info("sockname"))

    def getPeer(self) -> Any:
        """Return the other end's address."""
        return stream_address(self._wire.get_extra_info("peername"))

    def getTcpNoDelay(self) -> bool:
        """Tell whether small segments are sent at once; uvloop's default is yes."""
        return bool(self.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))

    def setTcpNoDelay(self, enabled: bool) -> None:
        """Send small segments at once, or gather them."""
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, int(enabled))

    def getTcpKeepAlive(self) -> bool:
        """Tell whether the kernel probes an idle connection."""
        return bool(self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE))

    def setTcpKeepAlive(self, enabled: bool) -> None:
        """Let the kernel probe an idle connection, or not."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, int(enabled))

    def _reset_on_close(self) -> None:
        """Let the peer see a reset when the descriptor is closed."""
        with contextlib.suppress(OSError):  # the peer was faster
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_RESET)
