"""Bytes in both directions after a 101, with backpressure."""

from __future__ import annotations

from typing import Any

from kongtx.http.client import ClientChannel


class Tunnel:
    """Joins a request's connection with its upstream's."""

    __slots__ = ("_channel", "_request")

    def __init__(self, request: Any, channel: ClientChannel) -> None:
        self._request = request
        self._channel = channel

    def start(self, reason: bytes, rest: bytes) -> None:
        """Send the 101 and begin.

        @param rest: what the upstream has sent after its own 101.
        """
        request, channel = self._request, self._channel
        connection = request.connection
        channel.start_tunnel(self._from_upstream)
        early = connection.tunnel(101, reason, request.response_headers, self._from_client)
        if rest:
            self._from_upstream(rest)
        if early:
            self._from_client(early)

    def _from_client(self, data: bytes) -> None:
        self._channel.touch()
        self._channel.write(data)
        if self._channel.write_paused:
            self._request.connection.pause_body()

    def _from_upstream(self, data: bytes) -> None:
        connection = self._request.connection
        connection.body_sent += len(data)
        connection.transport.write(data)
        if connection.write_paused:
            self._channel.pause()
