"""CPU time a request of HTTP/2 framing: the h2 library's and ours, on the same bytes in memory.

C{python -m benchmarks.http2 [requests]}: a client of the h2 library asks, a server of either kind
reads its request and answers with eight fields and 110 bytes. No sockets, no gateway.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import h2.config
import h2.connection
from hpack import Encoder
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport

from kongtx.http.answering import ChannelSettings
from kongtx.http.h2.hpacking import encode, encode_status
from kongtx.http.h2.server import speak_http2
from kongtx.http.limits import Limits
from kongtx.http.server import ServerChannel

REQUEST = [
    (b":method", b"GET"),
    (b":scheme", b"http"),
    (b":authority", b"example.com"),
    (b":path", b"/some/path"),
    (b"user-agent", b"bench/1.0"),
    (b"accept", b"*/*"),
]
RESPONSE = [
    (b"content-type", b"text/plain"),
    (b"date", b"Wed, 25 Nov 2026 08:23:03 GMT"),
    (b"x-kong-upstream-latency", b"1"),
    (b"x-kong-proxy-latency", b"0"),
    (b"via", b"1.1 kong/3.9.1"),
    (b"x-kong-request-id", b"0123456789abcdef0123456789abcdef"),
]
BODY = b"x" * 110


class Library:
    """A server of the h2 library."""

    def __init__(self) -> None:
        self._connection = h2.connection.H2Connection(
            h2.config.H2Configuration(
                client_side=False, header_encoding=None, validate_outbound_headers=False
            )
        )
        self._connection.initiate_connection()

    def serve(self, data: bytes, stream_id: int) -> bytes:
        connection = self._connection
        connection.receive_data(data)
        if stream_id:
            headers = [(b":status", b"200"), *RESPONSE, (b"content-length", b"110")]
            connection.send_headers(stream_id, headers)
            connection.send_data(stream_id, BODY, end_stream=True)
        return bytes(connection.data_to_send())


class Answer:
    """An exchange that answers at once."""

    def __init__(self, channel: Any, *_: Any) -> None:
        self._channel = channel

    def start(self, body: bytes, complete: bool) -> None:
        self._channel.respond(200, None, RESPONSE, BODY, len(BODY), True)

    def finished(self) -> None:
        pass


class Ours:
    """A server connection of kongtx."""

    def __init__(self) -> None:
        limits = Limits(keepalive_requests=0)
        begin: Any = Answer
        settings = ChannelSettings(Clock(), limits, begin, begin, speak_http2)
        self._transport: Any = StringTransport()
        self._transport.protocol = ServerChannel(settings)
        self._transport.protocol.makeConnection(self._transport)

    def serve(self, data: bytes, _: int) -> bytes:
        self._transport.protocol.dataReceived(data)
        answer: bytes = self._transport.value()
        self._transport.clear()
        return answer


def measure(make: Callable[[], Any], requests: int) -> float:
    """CPU microseconds of a server for one request."""
    server = make()
    client = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding=None))
    client.initiate_connection()
    client.receive_data(server.serve(client.data_to_send(), 0))
    spent = 0.0
    for number in range(requests):
        stream_id = 2 * number + 1
        client.send_headers(stream_id, REQUEST, end_stream=True)
        data = client.data_to_send()
        before = time.process_time()
        answer = server.serve(data, stream_id)
        spent += time.process_time() - before
        client.receive_data(answer)
        client.acknowledge_received_data(len(BODY), stream_id)
    return spent / requests * 1e6


def measure_encoding(write: Callable[[], object], requests: int) -> float:
    """CPU microseconds for one response's header block."""
    before = time.process_time()
    for _ in range(requests):
        write()
    return (time.process_time() - before) / requests * 1e6


def main(requests: int = 5000) -> None:
    """Print the table."""
    library, ours = measure(Library, requests), measure(Ours, requests)
    print(f"a request and its response: h2 {library:.1f} µs, ours {ours:.1f} µs")
    encoder = Encoder()
    fields = [(b":status", b"200"), *RESPONSE, (b"content-length", b"110")]
    by_hpack = measure_encoding(lambda: encoder.encode(fields), requests)
    by_us = measure_encoding(lambda: encode_status(200) + encode(fields[1:]), requests)
    print(f"a response's header block: hpack {by_hpack:.1f} µs, ours {by_us:.1f} µs")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
