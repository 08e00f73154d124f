"""Clients of a soak: one connection each, one request at a time, everything looked at."""

from __future__ import annotations

import asyncio
import ssl
from typing import cast

import h2.config
import h2.connection
import h2.events
import httptools
from attrs import define, field, frozen

#: Seconds within which everything is answered, whatever goes on.
PATIENCE = 30
#: The type of HTTP/2's frame that ends a connection.
GOAWAY = 7


class Lost(ConnectionError):
    """The connection ended before its response did.

    @ivar unanswered: nothing of a response had come.
    """

    def __init__(self, message: str, *, unanswered: bool) -> None:
        super().__init__(message)
        self.unanswered = unanswered


@frozen
class Answer:
    status: int
    body: bytes
    reusable: bool = True


class Http1(asyncio.Protocol):
    """A connection of HTTP/1.1."""

    def __init__(self) -> None:
        self.asked = 0
        self.is_open = False
        self._answer: asyncio.Future[Answer] | None = None
        self._began = False
        self._body: list[bytes] = []
        self._parser = httptools.HttpResponseParser(self)

    async def ask(self, *pieces: bytes) -> Answer:
        """Send a request, each piece by itself.

        @raise Lost: the connection ended without a whole response.
        """
        self.asked += 1
        self._began = False
        self._body = []
        self._answer = asyncio.get_running_loop().create_future()
        if not self.is_open:
            self._lost("closed before the request")
        for piece in pieces:
            self._transport.write(piece)
        async with asyncio.timeout(PATIENCE):
            return await self._answer

    def close(self) -> None:
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self.is_open = True

    def connection_lost(self, error: Exception | None) -> None:
        self.is_open = False
        self._lost(repr(error))

    def _lost(self, why: str) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(Lost(why, unanswered=not self._began))

    def data_received(self, data: bytes) -> None:
        self._began = True
        self._parser.feed_data(data)

    def on_body(self, part: bytes) -> None:
        self._body.append(part)

    def on_message_complete(self) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(
                Answer(
                    self._parser.get_status_code(),
                    b"".join(self._body),
                    self._parser.should_keep_alive(),
                )
            )


@define
class _Stream:
    answer: asyncio.Future[Answer]
    status: int = 0
    body: list[bytes] = field(factory=list)


class Http2(asyncio.Protocol):
    """A connection of HTTP/2, for many requests at once."""

    def __init__(self, authority: str) -> None:
        self._connection = h2.connection.H2Connection(
            h2.config.H2Configuration(header_encoding=None, validate_outbound_headers=False)
        )
        self._authority = authority
        self._streams: dict[int, _Stream] = {}
        self._received = bytearray()
        self.is_going = False

    async def ask(self, method: str, path: str, body: bytes = b"") -> Answer:
        """Send a request and wait for its response.

        @raise Lost: it was not answered.
        """
        stream = _Stream(asyncio.get_running_loop().create_future())
        if self.is_going:
            raise Lost("the connection ends", unanswered=True)
        number = self._connection.get_next_available_stream_id()
        self._streams[number] = stream
        headers = [
            (":method", method),
            (":scheme", "https"),
            (":authority", self._authority),
            (":path", path),
        ]
        self._connection.send_headers(number, headers, end_stream=not body)
        if body:
            self._connection.send_data(number, body, end_stream=True)
        self._flush()
        async with asyncio.timeout(PATIENCE):
            return await stream.answer

    def close(self) -> None:
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._connection.initiate_connection()
        self._flush()

    def connection_lost(self, error: Exception | None) -> None:
        self.is_going = True
        self._give_up(list(self._streams), repr(error), unanswered=False)

    def _give_up(self, numbers: list[int], why: str, *, unanswered: bool) -> None:
        for number in numbers:
            stream = self._streams.pop(number)
            if not stream.answer.done():
                stream.answer.set_exception(Lost(why, unanswered=unanswered or stream.status == 0))

    def data_received(self, data: bytes) -> None:
        self._received += data
        while len(self._received) >= 9 + (size := int.from_bytes(self._received[:3])):
            frame = bytes(self._received[: 9 + size])
            del self._received[: 9 + size]
            if frame[3] == GOAWAY:
                # h2 takes nothing more then, though what is under way is still to be answered.
                self._is_told_to_go(int.from_bytes(frame[9:13]))
                continue
            for event in self._connection.receive_data(frame):
                self._happened(event)
        self._flush()

    def _is_told_to_go(self, last: int) -> None:
        self.is_going = True
        refused = [number for number in self._streams if number > last]
        self._give_up(refused, "not taken any more", unanswered=True)

    def _happened(self, event: h2.events.Event) -> None:
        match event:
            case h2.events.ResponseReceived():
                fields = dict(event.headers)
                self._streams[event.stream_id].status = int(fields[b":status"])
            case h2.events.DataReceived():
                self._streams[event.stream_id].body.append(event.data)
                length = event.flow_controlled_length
                self._connection.acknowledge_received_data(length, event.stream_id)
            case h2.events.StreamEnded():
                stream = self._streams.pop(event.stream_id)
                if not stream.answer.done():
                    stream.answer.set_result(Answer(stream.status, b"".join(stream.body)))
            case h2.events.StreamReset():
                self._give_up([event.stream_id], f"reset: {event.error_code}", unanswered=False)

    def _flush(self) -> None:
        self._transport.write(self._connection.data_to_send())


def trusting(*protocols: str) -> ssl.SSLContext:
    """For clients that take any certificate, and speak these protocols."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(protocols)
    return context
