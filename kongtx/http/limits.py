"""What a client may send, and how long it may take."""

from __future__ import annotations

import attrs


@attrs.frozen
class Limits:
    """Sizes are bytes, times are seconds; the defaults are nginx's own."""

    #: A longer request line is answered 414.
    request_line: int = 8192
    #: A longer header line is answered as nginx's 494.
    header_line: int = 8192
    #: All of a request's header, its line included.
    header_bytes: int = 33 * 1024
    #: How many header lines.
    header_count: int = 1000
    #: A longer body is answered 413; 0: any length.
    body_bytes: int = 0
    #: Requests on one connection, before it is closed; 0: any number.
    keepalive_requests: int = 10000
    #: From a request's first byte to its header's end.
    header_timeout: float = 60.0
    #: Between two pieces of a body.
    body_timeout: float = 60.0
    #: Between two moments at which the client takes something of a response.
    send_timeout: float = 60.0
    #: For the first request of a connection, once no more are accepted.
    drain_timeout: float = 1.0
    #: Between two requests.
    idle_timeout: float = 75.0
    #: How long a connection that is being closed is still read, so that the answer is not lost.
    linger_timeout: float = 5.0
    #: How much of an unread body is read to keep the connection; more closes it.
    discard_bytes: int = 1 << 20
    #: Pipelined bytes that wait for their turn, before reading stops.
    pipeline_bytes: int = 64 * 1024
    #: HTTP/2: requests at a time on one connection.
    streams: int = 128
    #: HTTP/2: streams that the client may reset, or open in vain, at once and a second; more end
    #: the connection.
    resets: int = 500
    resets_a_second: float = 50.0
