"""Connections in HTTP/2 to upstream peers, each shared by many requests. Hot path."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from kongtx.http.h2.client import MOST_STREAMS, ClientConnection
from kongtx.http.h2.clientstream import ClientStream

#: Makes a connection: key, timeout in seconds, and what builds the protocol.
Connect = Callable[[Any, float, Callable[[Any], Any]], Deferred[Any]]


class StreamPool:
    """Connections by peer and TLS identity; a new one is made when those there are have no room."""

    def __init__(
        self, clock: Any, connect: Connect, most_requests: float, idle_timeout: float
    ) -> None:
        """An empty pool.

        @param most_requests: requests a connection may carry.
        @param idle_timeout: seconds after which an idle connection is closed; 0: never.
        """
        self._clock = clock
        self._connect = connect
        self._most_requests = most_requests
        self._idle_timeout = idle_timeout
        self._connections: dict[Any, list[ClientConnection]] = {}
        self._waiting: dict[Any, list[Deferred[ClientStream]]] = {}
        self._connecting: dict[Any, int] = {}

    def acquire(self, key: Any, timeout: float) -> ClientStream | Deferred[ClientStream]:
        """A stream to a peer: at once, or when there is a connection.

        @param timeout: in seconds, for a new connection.
        """
        for connection in self._connections.get(key, ()):
            if connection.has_room:
                return ClientStream(connection)
        waiting = self._waiting.setdefault(key, [])
        waiter: Deferred[ClientStream] = Deferred(waiting.remove)
        waiting.append(waiter)
        if len(waiting) > MOST_STREAMS * self._connecting.get(key, 0):
            self._open(key, timeout)
        return waiter

    def _open(self, key: Any, timeout: float) -> None:
        self._connecting[key] = self._connecting.get(key, 0) + 1
        opening = self._connect(key, timeout, self._new_connection)
        opening.addCallbacks(
            self._opened, self._failed, callbackArgs=(timeout,), errbackArgs=(key,)
        )

    def _new_connection(self, key: Any) -> ClientConnection:
        return ClientConnection(
            self._clock, key, self._forget, self._most_requests, self._idle_timeout
        )

    def _done_connecting(self, key: Any) -> None:
        left = self._connecting[key] = self._connecting[key] - 1
        if not left:
            del self._connecting[key]

    def _opened(self, connection: ClientConnection, timeout: float) -> None:
        key = connection.key
        self._done_connecting(key)
        if not connection.leaving:
            self._connections.setdefault(key, []).append(connection)
        waiting = self._waiting.get(key, [])
        while waiting and connection.has_room:
            waiting.pop(0).callback(ClientStream(connection))
        if not waiting:
            self._waiting.pop(key, None)
        elif len(waiting) > MOST_STREAMS * self._connecting.get(key, 0):
            # It takes fewer than was thought.
            self._open(key, timeout)

    def _failed(self, failure: Failure, key: Any) -> None:
        self._done_connecting(key)
        if failure.check(CancelledError) is None and self._connecting.get(key):
            # Another attempt is under way for those who wait.
            return
        for waiter in self._waiting.pop(key, []):
            waiter.errback(failure)

    def _forget(self, connection: ClientConnection) -> None:
        """A connection takes no new streams."""
        connections = self._connections.get(connection.key)
        if connections is not None and connection in connections:
            connections.remove(connection)
            if not connections:
                del self._connections[connection.key]

    def close(self) -> None:
        """Close the connections as soon as their streams have ended."""
        for connections in list(self._connections.values()):
            for connection in list(connections):
                connection.close()
