"""A check by the gRPC health protocol (C{grpc.health.v1.Health/Check}) over HTTP/2."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure

from kongtx.health.machine import Outcome

_SERVING = 1
_MAX_MESSAGE = 1024


def encode_check(service: str) -> bytes:
    """A HealthCheckRequest in a gRPC frame."""
    name = service.encode()
    message = b"\x0a" + _varint(len(name)) + name if name else b""
    return b"\0" + len(message).to_bytes(4, "big") + message


def is_serving(data: bytes) -> bool:
    """Whether a gRPC frame holds a HealthCheckResponse with the status SERVING."""
    return data[:1] == b"\0" and data[5:7] == bytes((0x08, _SERVING))


def _varint(number: int) -> bytes:
    encoded = b""
    while number > 0x7F:
        encoded += bytes((number & 0x7F | 0x80,))
        number >>= 7
    return encoded + bytes((number,))


class GRPCCheck(Protocol):
    """Asks a server for the health of a service: 200 if it serves, 503 if it does not or does not
    know, as there is no HTTP status that tells.

    @param host: the authority.
    @param scheme: C{http} or C{https}.
    @param service: the service's full name; empty for the server as a whole.
    @param headers: more metadata.
    @param finish: called with the outcome.
    """

    def __init__(
        self,
        host: str,
        scheme: str,
        service: str,
        headers: Iterable[tuple[str, str]],
        finish: Callable[[Outcome], None],
    ) -> None:
        self._headers = [
            (":method", "POST"),
            (":scheme", scheme),
            (":path", "/grpc.health.v1.Health/Check"),
            (":authority", host),
            ("te", "trailers"),
            ("content-type", "application/grpc"),
            *((name.lower(), value) for name, value in headers),
        ]
        self._body = encode_check(service)
        self._finish = finish
        self._connection = h2.connection.H2Connection(h2.config.H2Configuration())
        self._received = b""
        self._http_status = 200
        self._seen = False

    def connectionMade(self) -> None:
        connection = self._connection
        connection.initiate_connection()
        stream = connection.get_next_available_stream_id()
        connection.send_headers(stream, self._headers)
        connection.send_data(stream, self._body, end_stream=True)
        self._flush()

    def dataReceived(self, data: bytes) -> None:
        if not self._seen and data[:4] == b"HTTP":
            # An HTTP/1 server; read as a frame it announces megabytes, which h2 would wait for.
            self._finish(0)
            return
        self._seen = True
        try:
            events = self._connection.receive_data(data)
        except h2.exceptions.ProtocolError:
            self._finish(0)
            return
        for event in events:
            self._handle(event)
        self._flush()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._finish("tcp_failure")

    def _handle(self, event: object) -> None:
        if isinstance(event, h2.events.ResponseReceived):
            status = dict(event.headers or ()).get(b":status", b"0")
            self._http_status = int(status)
        elif isinstance(event, h2.events.DataReceived):
            self._received += event.data or b""
            if len(self._received) > _MAX_MESSAGE:
                self._finish(0)
        elif isinstance(event, h2.events.StreamEnded):
            good = 200 if is_serving(self._received) else 503
            self._finish(good if self._http_status == 200 else self._http_status)
        elif isinstance(event, h2.events.StreamReset | h2.events.ConnectionTerminated):
            self._finish(503)

    def _flush(self) -> None:
        if self.transport is not None:
            self.transport.write(self._connection.data_to_send())
