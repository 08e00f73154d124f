"""The HTTP/2 client connection, against the h2 library as server."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.settings
import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from kongtx.http.h2.client import ClientConnection
from kongtx.http.h2.clientstream import ClientStream
from kongtx.http.h2.streams import STREAM_WINDOW

HEAD = b"POST /x?y HTTP/1.1\r\nHost: up.test:1\r\nX-Mine: 1\r\nConnection: keep-alive\r\n\r\n"
OK = [(b":status", b"200"), (b"content-type", b"application/grpc")]


class Reply:
    """Keeps what is told."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []

    def reply_head(self, channel: Any, length: int, body: bytes, complete: bool, _: bool) -> None:
        self.told.append(("head", channel.status, length, body, complete))

    def reply_part(self, data: bytes) -> None:
        self.told.append(("part", data))

    def reply_ended(self, trailers: Any, reusable: bool) -> None:
        self.told.append(("ended", tuple(trailers)))

    def reply_failed(self, why: str) -> None:
        self.told.append(("failed", why))

    def peer_paused(self) -> None:
        self.told.append(("paused",))

    def peer_resumed(self) -> None:
        self.told.append(("resumed",))

    @property
    def body(self) -> bytes:
        return b"".join(each[3] if each[0] == "head" else each[1] for each in self.told
                        if each[0] in ("head", "part"))  # fmt: skip


class Pair:
    """A client of ours and a server of h2's."""

    def __init__(self, most_requests: float = 1000, idle_timeout: float = 60) -> None:
        self.clock = Clock()
        self.left: list[ClientConnection] = []
        self.transport = StringTransport()
        self.transport.abortConnection = self.transport.loseConnection  # type: ignore[method-assign]
        self.client = ClientConnection(
            self.clock, ("127.0.0.1", 1, None), self.left.append, most_requests, idle_timeout
        )
        self.server = h2.connection.H2Connection(
            h2.config.H2Configuration(client_side=False, header_encoding=None)
        )
        self.server.initiate_connection()
        self.events: list[Any] = []
        self.client.makeConnection(self.transport)
        self.move()

    def move(self) -> None:
        while True:
            to_server = self.transport.value()
            self.transport.clear()
            if to_server:
                self.events += self.server.receive_data(to_server)
            to_client = self.server.data_to_send()
            if not to_client:
                break
            self.client.dataReceived(to_client)

    def ask(self, data: bytes = HEAD, complete: bool = True) -> tuple[ClientStream, Reply]:
        stream, reply = ClientStream(self.client), Reply()
        stream.send(reply, data, complete, False, 10, 5)
        self.move()
        return stream, reply

    def of(self, kind: type) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]


def test_a_request_is_translated() -> None:
    pair = Pair()
    stream, _ = pair.ask(HEAD + b"body")
    (request,) = pair.of(h2.events.RequestReceived)
    assert [tuple(header) for header in request.headers] == [
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":authority", b"up.test:1"),
        (b":path", b"/x?y"),
        (b"x-mine", b"1"),
        (b"te", b"trailers"),
    ]
    assert [event.data for event in pair.of(h2.events.DataReceived)] == [b"body"]
    assert len(pair.of(h2.events.StreamEnded)) == 1
    assert stream.request_sent


def test_an_answer_that_comes_in_one_piece_is_told_at_once() -> None:
    pair = Pair()
    stream, reply = pair.ask()
    pair.server.send_headers(1, OK)
    pair.server.send_data(1, b"message")
    pair.server.send_headers(1, [(b"grpc-status", b"0")], end_stream=True)
    pair.move()
    assert reply.told == [("head", 200, 7, b"message", True)]
    assert [tuple(header) for header in stream.trailers] == [(b"grpc-status", b"0")]
    assert stream.headers == [(b"content-type", b"application/grpc")]
    assert pair.client.streams == {}


def test_an_answer_of_trailers_alone_has_no_length() -> None:
    pair = Pair()
    _, reply = pair.ask()
    pair.server.send_headers(1, [*OK, (b"grpc-status", b"5")], end_stream=True)
    pair.move()
    assert reply.told == [("head", 200, -1, b"", True)]


def test_interim_responses_are_not_told() -> None:
    pair = Pair()
    _, reply = pair.ask()
    pair.server.send_headers(1, [(b":status", b"103"), (b"link", b"x")])
    pair.server.send_headers(1, OK)
    pair.move()
    assert reply.told == [("head", 200, -1, b"", False)]


def test_pieces_are_told_as_they_come() -> None:
    pair = Pair()
    _, reply = pair.ask()
    pair.server.send_headers(1, OK)
    pair.move()
    for piece in (b"one", b"two"):
        pair.server.send_data(1, piece)
        pair.move()
    pair.server.send_headers(1, [(b"grpc-status", b"0")], end_stream=True)
    pair.move()
    assert reply.told == [
        ("head", 200, -1, b"", False),
        ("part", b"one"),
        ("part", b"two"),
        ("ended", ((b"grpc-status", b"0"),)),
    ]


def test_a_request_s_body_waits_for_the_peer_s_window() -> None:
    pair = Pair()
    stream, reply = pair.ask(complete=False)
    stream.write(b"x" * 100_000)
    pair.move()
    assert reply.told == [("paused",)]
    assert sum(len(event.data) for event in pair.of(h2.events.DataReceived)) == 65535
    pair.server.increment_flow_control_window(50_000)
    pair.server.increment_flow_control_window(50_000, 1)
    pair.move()
    stream.sent()
    pair.move()
    assert reply.told == [("paused",), ("resumed",)]
    assert sum(len(event.data) for event in pair.of(h2.events.DataReceived)) == 100_000
    assert len(pair.of(h2.events.StreamEnded)) == 1


def test_a_peer_that_takes_nothing_times_out() -> None:
    pair = Pair()
    stream, reply = pair.ask(complete=False)
    stream.write(b"x" * 100_000)
    pair.move()
    pair.clock.advance(5.1)
    assert reply.told[-1] == ("failed", "timeout")
    pair.move()
    (reset,) = pair.of(h2.events.StreamReset)
    assert reset.error_code == h2.errors.ErrorCodes.CANCEL


def test_a_peer_that_does_not_answer_times_out_alone() -> None:
    pair = Pair()
    _, first = pair.ask()
    pair.clock.advance(6)
    _, second = pair.ask()
    pair.clock.advance(5)
    assert first.told == [("failed", "timeout")]
    assert second.told == []
    assert pair.client.has_room


def test_a_paused_response_is_bounded_by_its_window() -> None:
    pair = Pair()
    stream, reply = pair.ask()
    pair.server.send_headers(1, OK)
    pair.move()
    stream.pause()
    while pair.server.local_flow_control_window(1):
        size = min(16384, pair.server.local_flow_control_window(1))
        pair.server.send_data(1, bytes(size))
        pair.move()
    assert len(reply.body) == STREAM_WINDOW
    pair.clock.advance(11)
    assert reply.told[-1][0] == "part"
    stream.resume()
    pair.move()
    assert pair.server.local_flow_control_window(1) == STREAM_WINDOW


def test_what_a_peer_refuses_or_leaves_behind_is_not_processed() -> None:
    pair = Pair()
    first, first_reply = pair.ask()
    second, second_reply = pair.ask()
    third, third_reply = pair.ask()
    pair.server.reset_stream(1, h2.errors.ErrorCodes.REFUSED_STREAM)
    pair.move()
    assert (first_reply.told, first.unprocessed) == ([("failed", "closed")], True)
    pair.client.dataReceived(bytes((0, 0, 8, 7, 0, 0, 0, 0, 0)) + bytes((0, 0, 0, 3, 0, 0, 0, 0)))
    assert (third_reply.told, third.unprocessed) == ([("failed", "closed")], True)
    assert (second_reply.told, second.unprocessed) == ([], False)
    assert pair.left == [pair.client]
    assert not pair.client.has_room
    pair.server.send_headers(3, OK, end_stream=True)
    pair.move()
    assert second_reply.told == [("head", 200, -1, b"", True)]
    assert pair.transport.disconnecting


@pytest.mark.parametrize(
    "headers",
    [
        [(b"x", b"no status")],
        [(b":status", b"2x0")],
        [(b":status", b"200"), (b":path", b"/")],
        [(b":status", b"200"), (b"transfer-encoding", b"chunked")],
        [(b":status", b"200"), (b"x", b"a\r\nb")],
        [(b":status", b"200"), (b"content-length", b"x")],
        [(b":status", b"200"), (b"content-length", b"5")],
    ],
)
def test_malformed_responses_are_garbage(headers: Any) -> None:
    pair = Pair()
    _, reply = pair.ask()
    pair.server.config.validate_outbound_headers = False
    pair.server.config.normalize_outbound_headers = False
    block = pair.server.encoder.encode(headers)
    pair.client.dataReceived(bytes((0, 0, len(block), 1, 5, 0, 0, 0, 1)) + block)
    assert reply.told == [("failed", "garbage")]
    assert pair.client.has_room


def test_a_lost_connection_fails_all_its_exchanges() -> None:
    pair = Pair()
    replies = [pair.ask()[1] for _ in range(3)]
    pair.client.connectionLost(Failure(ConnectionDone()))
    assert [reply.told for reply in replies] == [[("failed", "closed")]] * 3
    assert pair.left == [pair.client]
    assert not pair.clock.getDelayedCalls()


def test_an_exchange_that_is_given_up_is_cancelled() -> None:
    pair = Pair()
    stream, reply = pair.ask()
    stream.detach()
    pair.move()
    (reset,) = pair.of(h2.events.StreamReset)
    assert reset.error_code == h2.errors.ErrorCodes.CANCEL
    assert reply.told == []
    assert pair.client.streams == {}


def test_the_peer_s_limit_of_streams_is_kept() -> None:
    pair = Pair()
    pair.server.update_settings({h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: 2})
    pair.move()
    pair.ask()
    assert pair.client.has_room
    pair.ask()
    assert not pair.client.has_room


def test_a_connection_leaves_after_its_last_request_and_after_idling() -> None:
    pair = Pair(most_requests=1)
    _, reply = pair.ask()
    assert pair.left == [pair.client]
    pair.server.send_headers(1, OK, end_stream=True)
    pair.move()
    assert reply.told == [("head", 200, -1, b"", True)]
    assert pair.transport.disconnecting

    pair = Pair(idle_timeout=60)
    pair.clock.advance(61)
    assert pair.transport.disconnecting


def recorded_answer() -> bytes:
    pair = Pair()
    pair.ask()
    pair.ask()
    server = pair.server
    server.send_headers(1, OK)
    server.send_data(1, b"a" * 3000, pad_length=9)
    server.send_headers(3, [*OK, (b"x-long", b"v" * 20_000)])
    server.ping(b"abcdefgh")
    server.send_data(3, b"b" * 100, end_stream=True)
    server.send_headers(1, [(b"grpc-status", b"0")], end_stream=True)
    return server.data_to_send()


ANSWER = recorded_answer()


@given(st.lists(st.integers(1, len(ANSWER) - 1), max_size=30))
def test_however_an_answer_is_split_the_outcome_is_the_same(cuts: list[int]) -> None:
    pair = Pair()
    (first, first_reply), (second, second_reply) = pair.ask(), pair.ask()
    places = sorted({0, *cuts, len(ANSWER)})
    for start, end in pairwise(places):
        pair.client.dataReceived(ANSWER[start:end])
    assert first_reply.body == b"a" * 3000
    assert second_reply.body == b"b" * 100
    assert first.trailers == [(b"grpc-status", b"0")]
    assert dict(second.headers)[b"x-long"] == b"v" * 20_000
    assert pair.client.streams == {}


@given(st.binary(max_size=200), st.integers(0, len(ANSWER)))
def test_garbage_fails_what_is_open_once(garbage: bytes, at: int) -> None:
    pair = Pair()
    replies = [pair.ask()[1] for _ in range(2)]
    pair.client.dataReceived(ANSWER[:at] + garbage)
    pair.client.connectionLost(Failure(ConnectionDone()))
    for reply in replies:
        ends = [each for each in reply.told
                if each[0] in ("failed", "ended") or (each[0] == "head" and each[4])]  # fmt: skip
        assert len(ends) == 1
    assert not pair.clock.getDelayedCalls()
