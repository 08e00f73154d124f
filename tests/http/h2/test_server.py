"""The HTTP/2 server connection, against the h2 library as client."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings
import pytest
from hpack import Encoder
from hypothesis import given
from hypothesis import strategies as st
from zope.interface.verify import verifyObject

from kongtx.http.h2 import frames
from kongtx.http.h2.frames import PREFACE, frame_head
from kongtx.http.h2.streams import STREAM_WINDOW
from kongtx.http.h2.wire import MOST_UNSENT
from kongtx.http.interfaces import IServerChannel
from kongtx.http.limits import Limits
from tests.http.h2.kit import GET, POST, Exchange, Pair, Server

ERRORS = h2.errors.ErrorCodes


def hello(exchange: Exchange) -> None:
    exchange.respond(b"hello", (b"X-Some", b"thing"), (b"Connection", b"close"))


def reset_codes(pair: Pair) -> list[tuple[int, int]]:
    return [(event.stream_id, event.error_code) for event in pair.of(h2.events.StreamReset)]


def goaway_code(pair: Pair) -> int:
    (event,) = pair.of(h2.events.ConnectionTerminated)
    return int(event.error_code)


def test_a_request_is_begun_with_what_exchanges_take() -> None:
    pair = Pair()
    pair.ask([*GET, (b"user-agent", b"me"), (b"cookie", b"a=1"), (b"cookie", b"b=2")])
    (exchange,) = pair.server.exchanges
    verifyObject(IServerChannel, exchange.channel)
    method, target, minor, headers, names, table, host, port = exchange.head
    assert (method, target, minor) == (b"GET", b"/some/path?a=b", 2)
    assert headers == (
        (b"host", b"example.com:8000"),
        (b"user-agent", b"me"),
        (b"cookie", b"a=1; b=2"),
    )
    assert names == (b"host", b"user-agent", b"cookie")
    assert table[b"cookie"] == b"a=1; b=2"
    assert (host, port) == (b"example.com", 8000)
    assert exchange.told == [("start", b"", True)]


def test_an_answer_has_lower_case_names_a_length_and_no_connection_fields() -> None:
    pair = Pair(answer=hello)
    stream = pair.ask()
    (response,) = pair.of(h2.events.ResponseReceived)
    assert [tuple(header) for header in response.headers] == [
        (b":status", b"200"),
        (b"x-some", b"thing"),
        (b"content-length", b"5"),
    ]
    assert pair.body(stream) == b"hello"
    assert len(pair.of(h2.events.StreamEnded)) == 1
    assert pair.server.exchanges[0].told[-1] == ("finished",)
    assert pair.server.connection.streams == {}


def test_a_body_that_comes_with_its_header_is_whole_at_the_start() -> None:
    pair = Pair()
    pair.ask(POST, b"all of it")
    assert pair.server.exchanges[0].told == [("start", b"all of it", True)]


def test_a_body_that_comes_later_comes_in_parts_with_its_trailers() -> None:
    pair = Pair()
    stream = pair.ask(POST, b"one", ended=False)
    pair.client.send_data(stream, b"two")
    pair.move()
    pair.client.send_headers(stream, [(b"x-sum", b"3")], end_stream=True)
    pair.move()
    assert pair.server.exchanges[0].told == [
        ("start", b"one", False),
        ("part", b"two"),
        ("end", ((b"x-sum", b"3"),)),
    ]


def test_streams_are_answered_in_any_order() -> None:
    pair = Pair()
    first, second = pair.ask(), pair.ask()
    pair.server.exchanges[1].respond(b"2")
    pair.server.exchanges[0].respond(b"1")
    pair.move()
    assert (pair.body(first), pair.body(second)) == (b"1", b"2")


def test_equal_heads_share_their_fields_and_memo() -> None:
    pair = Pair(answer=hello)
    for _ in range(3):
        pair.ask()
        pair.server.exchanges[-1].channel.memo = "kept"
    second, third = pair.server.exchanges[1:]
    assert third.head[3] is second.head[3]
    assert pair.server.exchanges[-1].channel.memo == "kept"


def test_trailers_follow_the_body() -> None:
    pair = Pair()
    stream = pair.ask()
    channel = pair.server.exchanges[0].channel
    channel.respond(200, None, [], b"a", -1, False)
    channel.write(b"b")
    channel.end([(b"Grpc-Status", b"0")])
    pair.move()
    assert pair.body(stream) == b"ab"
    (trailers,) = pair.of(h2.events.TrailersReceived)
    assert [tuple(header) for header in trailers.headers] == [(b"grpc-status", b"0")]


def test_head_has_a_length_and_no_body() -> None:
    pair = Pair(answer=hello)
    stream = pair.ask([(b":method", b"HEAD"), *GET[1:]])
    (response,) = pair.of(h2.events.ResponseReceived)
    assert (b"content-length", b"5") in response.headers
    assert pair.body(stream) == b""
    assert len(pair.of(h2.events.StreamEnded)) == 1


def test_an_answer_before_the_end_of_the_body_asks_for_no_more_of_it() -> None:
    pair = Pair(answer=hello)
    stream = pair.ask(POST, b"some", ended=False)
    assert pair.body(stream) == b"hello"
    assert reset_codes(pair) == [(stream, ERRORS.NO_ERROR)]
    assert pair.server.connection.streams == {}


def test_a_response_shorter_than_its_length_is_reset() -> None:
    pair = Pair()
    stream = pair.ask()
    channel = pair.server.exchanges[0].channel
    channel.respond(200, None, [], b"abc", 10, False)
    channel.end()
    pair.move()
    assert reset_codes(pair) == [(stream, ERRORS.INTERNAL_ERROR)]


def test_expect_is_answered_when_the_body_is_wanted() -> None:
    pair = Pair()
    pair.ask([*POST, (b"expect", b"100-continue")], ended=False)
    pair.server.exchanges[0].channel.send_continue()
    pair.server.exchanges[0].channel.send_continue()
    pair.move()
    assert len(pair.of(h2.events.InformationalResponseReceived)) == 1


# -- flow control ------------------------------------------------------------------------------


def test_a_client_that_takes_nothing_holds_its_exchange_back() -> None:
    pair = Pair(answer=lambda exchange: exchange.respond(b"x" * 200_000))
    stream = pair.ask()
    assert pair.server.exchanges[0].told[-1] == ("finished",)
    assert pair.body(stream) == b"x" * 200_000

    pair = Pair(answer=lambda exchange: exchange.respond(b"x" * 200_000))
    stream = pair.client.get_next_available_stream_id()
    pair.client.send_headers(stream, GET, end_stream=True)
    pair.move(acknowledge=False)
    exchange = pair.server.exchanges[0]
    assert exchange.told == [("start", b"", True), ("paused",)]
    assert exchange.channel.write_paused
    assert len(pair.body(stream)) == 65535
    pair.client.increment_flow_control_window(200_000)
    pair.client.increment_flow_control_window(200_000, stream)
    pair.move(acknowledge=False)
    assert pair.body(stream) == b"x" * 200_000
    assert exchange.told[-1] == ("finished",)


def test_a_slow_stream_does_not_stop_another() -> None:
    pair = Pair()
    pair.client.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 100})
    pair.move()
    slow, fast = pair.ask(), pair.ask()
    stuck = pair.server.exchanges[0]
    stuck.channel.respond(200, None, [], b"x" * 1000, -1, False)
    pair.move(acknowledge=False)
    assert stuck.told[-1] == ("paused",)
    pair.server.exchanges[1].respond(b"y" * 100)
    pair.move(acknowledge=False)
    assert pair.body(fast) == b"y" * 100
    pair.client.increment_flow_control_window(900, slow)
    pair.move(acknowledge=False)
    assert pair.body(slow) == b"x" * 1000
    assert stuck.told[-1] == ("resumed",)


def test_settings_are_acknowledged_before_what_they_allow_is_sent() -> None:
    server = open_connection(answer=hello)
    server.receive(frames.settings_frame(((frames.INITIAL_WINDOW_SIZE, 0),)))
    server.receive(headers_of(1))
    server.sent()
    server.receive(frames.settings_frame(((frames.INITIAL_WINDOW_SIZE, 1),)))
    assert server.sent() == frames.SETTINGS_ACK + frame_head(frames.DATA, 0, 1, 1) + b"h"


def test_a_transport_that_is_full_holds_all_streams_back() -> None:
    pair = Pair()
    stream = pair.ask()
    exchange = pair.server.exchanges[0]
    pair.server.connection.pauseProducing()
    exchange.channel.respond(200, None, [], b"body", -1, False)
    pair.move()
    assert (pair.body(stream), exchange.told[-1]) == (b"", ("paused",))
    pair.server.connection.resumeProducing()
    pair.move()
    assert (pair.body(stream), exchange.told[-1]) == (b"body", ("resumed",))


def test_an_exchange_that_does_not_read_stops_its_stream_alone() -> None:
    pair = Pair()
    paused = pair.ask(POST, b"x", ended=False)
    pair.server.exchanges[0].channel.pause_body()
    sent = 1
    while pair.client.local_flow_control_window(paused):
        size = min(16384, pair.client.local_flow_control_window(paused))
        pair.client.send_data(paused, b"x" * size)
        sent += size
        pair.move()
    assert sent == STREAM_WINDOW
    other = pair.ask(POST, b"y" * 1000)
    assert pair.server.exchanges[1].body == b"y" * 1000
    assert other != paused
    pair.server.exchanges[0].channel.resume_body()
    pair.move()
    assert pair.client.local_flow_control_window(paused) == STREAM_WINDOW


def test_a_client_beyond_its_window_is_stopped() -> None:
    server = open_connection()
    server.receive(headers_of(1, POST, ended=False))
    exchange = server.exchanges[0]
    exchange.channel.pause_body()
    for _ in range(STREAM_WINDOW // 16384 + 1):
        server.receive(frame_head(frames.DATA, 0, 1, 16384) + bytes(16384))
    assert last_frame(server.sent()) == (frames.RST_STREAM, 1, b"\0\0\0\3")
    assert exchange.told[-1] == ("lost",)


# -- limits and floods ---------------------------------------------------------------------------


def open_connection(limits: Limits | None = None, **answers: Any) -> Server:
    server = Server(limits, **answers)
    server.receive(PREFACE + frames.settings_frame(()))
    server.sent()
    return server


def headers_of(stream_id: int, headers: Any = GET, ended: bool = True) -> bytes:
    return frames.headers_frames(stream_id, Encoder().encode(headers), ended, 16384)


def split(data: bytes) -> list[tuple[int, int, bytes]]:
    """Frames: kind, stream, payload."""
    result = []
    while data:
        size = int.from_bytes(data[:3], "big")
        result.append((data[3], int.from_bytes(data[5:9], "big"), data[9 : 9 + size]))
        data = data[9 + size :]
    return result


def last_frame(data: bytes) -> tuple[int, int, bytes]:
    return split(data)[-1]


def ends_calmly(server: Server) -> bool:
    """Whether the connection has been ended with ENHANCE_YOUR_CALM."""
    kind, _, payload = last_frame(server.sent())
    return (
        kind == frames.GOAWAY and payload[4:8] == b"\0\0\0\x0b" and server.transport.disconnecting
    )


def test_streams_beyond_the_limit_are_refused() -> None:
    server = open_connection(Limits(streams=2))
    server.receive(headers_of(1) + headers_of(3) + headers_of(5))
    assert split(server.sent()) == [(frames.RST_STREAM, 5, b"\0\0\0\7")]
    assert len(server.exchanges) == 2


def test_a_client_that_resets_what_it_asks_for_is_cut_off() -> None:
    server = open_connection(Limits(resets=50, resets_a_second=10.0))
    for number in range(51):
        server.receive(headers_of(2 * number + 1) + frames.reset_frame(2 * number + 1, 8))
    assert ends_calmly(server)
    assert len(server.exchanges) == 51
    assert all(each.told in ([], [("start", b"", True), ("lost",)]) for each in server.exchanges)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda stream: frames.window_frame(stream, 0),
        lambda stream: frames.window_frame(stream, (1 << 31) - 1),
        lambda stream: frame_head(frames.DATA, 0, stream, 1) + b"x",
        lambda stream: frame_head(frames.PRIORITY, 0, stream, 4) + bytes(4),
    ],
    ids=["no increment", "overflow", "data after the end", "short priority"],
)
def test_a_client_that_makes_us_reset_is_cut_off(wrong: Any) -> None:
    server = open_connection(Limits(resets=50, resets_a_second=10.0))
    for number in range(51):
        stream = 2 * number + 1
        server.receive(headers_of(stream))
        server.receive(wrong(stream))
    assert ends_calmly(server)
    assert all(each.told[-1] == ("lost",) for each in server.exchanges)


def test_window_updates_that_come_with_requests_are_no_flood() -> None:
    server = open_connection(answer=lambda exchange: exchange.respond(status=204))
    for number in range(2000):
        stream = 2 * number + 1
        server.receive(headers_of(stream) + frames.window_frame(stream, 1000))
        server.sent()
    assert not server.transport.disconnecting


def test_resets_are_forgiven_with_time() -> None:
    server = open_connection(Limits(resets=50, resets_a_second=10.0))
    for number in range(200):
        server.clock.advance(0.11)
        server.receive(headers_of(2 * number + 1) + frames.reset_frame(2 * number + 1, 8))
    assert not server.transport.disconnecting
    assert server.connection.streams == {}


@pytest.mark.parametrize(
    "frame",
    [
        frames.settings_frame(((frames.INITIAL_WINDOW_SIZE, 1000),)),
        frames.ping_frame(b"12345678", False),
        frame_head(frames.PRIORITY, 0, 7, 5) + bytes(5),
        frame_head(77, 0, 0, 0),
        frame_head(frames.DATA, 0, 1, 0),
        frames.window_frame(1, 1),
        frames.reset_frame(1, 8),
    ],
    ids=["settings", "ping", "priority", "unknown", "empty data", "window", "reset"],
)
def test_floods_of_control_frames_end_the_connection(frame: bytes) -> None:
    server = open_connection()
    server.receive(headers_of(1, POST, ended=False))
    for _ in range(1100):
        if server.transport.disconnecting:
            break
        server.receive(frame)
    assert ends_calmly(server)


def test_window_updates_for_what_was_sent_are_no_flood() -> None:
    server = open_connection()
    server.receive(headers_of(1))
    channel = server.exchanges[0].channel
    channel.respond(200, None, [], b"x", -1, False)
    for _ in range(5000):
        channel.write(b"x")
        server.receive(frames.window_frame(0, 1) + frames.window_frame(1, 1))
    assert not server.transport.disconnecting


def test_header_blocks_without_end_are_cut_off() -> None:
    server = open_connection()
    server.receive(frame_head(frames.HEADERS, 1, 1, 1) + b"\x82")
    for _ in range(100):
        if server.transport.disconnecting:
            break
        server.receive(frame_head(frames.CONTINUATION, 0, 1, 1) + b"\x84")
    assert ends_calmly(server)


def test_a_bomb_of_references_is_not_unpacked() -> None:
    server = open_connection()
    # One long field goes into the table; then each octet stands for it.
    block = b"\x40" + b"\x01x" + b"\x7f\xa1\x1e" + b"y" * 4000 + b"\xbe" * 12_000
    assert len(block) < 16384 + 1
    server.receive(frame_head(frames.HEADERS, 5, 1, len(block)) + block)
    assert ends_calmly(server)
    assert server.exchanges == []


def test_a_client_that_takes_no_answers_is_not_read() -> None:
    pair = Pair(answer=lambda exchange: exchange.respond(b"", status=204))
    transport = pair.server.transport
    pair.server.connection.pauseProducing()
    transport.unsent_bytes = lambda: MOST_UNSENT  # type: ignore[attr-defined]
    pair.ask()
    assert transport.producerState == "producing"
    transport.unsent_bytes = lambda: MOST_UNSENT + 1  # type: ignore[attr-defined]
    pair.ask()
    assert transport.producerState == "paused"
    pair.server.connection.resumeProducing()
    assert transport.producerState == "producing"


def test_a_client_has_its_time_for_each_piece_of_the_last_frames() -> None:
    pair = Pair()
    transport = pair.server.transport
    ended: list[str] = []
    transport.abortConnection = lambda: ended.append("aborted")  # type: ignore[method-assign]
    transport.unsent_bytes = lambda: 10  # type: ignore[attr-defined]
    pair.server.settings.drain()
    pair.server.clock.advance(1.1)
    transport.unsent_bytes = lambda: 9  # type: ignore[attr-defined]
    pair.server.clock.advance(5.1)
    assert ended == []
    pair.server.clock.advance(5.1)
    assert ended == ["aborted"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([*GET, (b"x-long", b"y" * 9000)], 494),
        ([*GET[:3], (b":path", b"/" + b"p" * 9000)], 414),
        ([*GET[:2], (b":authority", b"bad host"), GET[3]], 400),
        ([*GET[:2], (b":path", b"/")], 400),
        ([*GET, (b"host", b"other.example")], 400),
        ([*POST, (b"content-length", b"101")], 413),
        ([(b":method", b"CONNECT"), (b":authority", b"a:1")], 405),
        ([(b":method", b"TRACE"), *GET[1:]], 405),
    ],
)
def test_what_cannot_be_served_is_refused_with_a_status(headers: Any, status: int) -> None:
    pair = Pair(Limits(body_bytes=100))
    pair.ask(headers)
    assert pair.server.refusals == [status]
    assert pair.server.exchanges == []
    assert len(pair.of(h2.events.StreamEnded)) == 1


def test_a_body_beyond_the_limit_fails() -> None:
    pair = Pair(Limits(body_bytes=100))
    stream = pair.ask(POST, b"x" * 60, ended=False)
    pair.client.send_data(stream, b"x" * 60)
    pair.move()
    assert pair.server.exchanges[0].told[-1] == ("failed", 413)
    stream = pair.ask(POST, b"x" * 101)
    assert pair.server.refusals == [413]


@pytest.mark.parametrize(
    "headers",
    [
        [*GET, (b"X-Upper", b"1")],
        [*GET, (b"connection", b"close")],
        [*GET, (b"transfer-encoding", b"chunked")],
        [*GET, (b"te", b"gzip")],
        [*GET, (b"x", b"a\r\nevil: 1")],
        [*GET, (b"x", b"a\0")],
        [*GET, (b"x", b" a")],
        [*GET, (b"x y", b"a")],
        [*GET, (b"x:", b"a")],
        [*GET, (b"", b"a")],
        [*GET, (b":path", b"/twice")],
        [*GET, (b"x", b"a"), (b":late", b"b")],
        [*GET, (b":unknown", b"b")],
        [(b":method", b"GE T"), *GET[1:]],
        [*GET[:3], (b":path", b"no-slash")],
        [*GET[:3], (b":path", b"")],
        [*GET, (b"host", b"example.com:8000"), (b"host", b"example.com:8000")],
        [*GET, (b"content-length", b"0"), (b"content-length", b"0")],
        [*GET, (b"content-length", b"+1")],
        [*GET, (b"content-length", b"1")],
    ],
)
def test_malformed_requests_are_stream_errors(headers: Any) -> None:
    server = open_connection()
    server.receive(headers_of(1, headers))
    assert last_frame(server.sent()) == (frames.RST_STREAM, 1, b"\0\0\0\1")
    assert server.exchanges == []


def test_a_body_of_another_length_than_said_is_a_stream_error() -> None:
    pair = Pair()
    stream = pair.ask([*POST, (b"content-length", b"5")], ended=False)
    pair.client.send_data(stream, b"abc", end_stream=True)
    pair.move()
    assert reset_codes(pair) == [(stream, ERRORS.PROTOCOL_ERROR)]
    assert pair.server.exchanges[0].told[-1] == ("lost",)


# -- endings ---------------------------------------------------------------------------------


def test_draining_says_so_waits_for_a_round_trip_and_for_what_is_under_way() -> None:
    pair = Pair()
    stream = pair.ask()
    drained = pair.server.settings.drain()
    late = pair.client.get_next_available_stream_id()
    pair.client.send_headers(late, GET, end_stream=True)
    pair.server.receive(pair.client.data_to_send())  # under way when GOAWAY was sent
    frames_sent = split(pair.server.sent())
    assert [kind for kind, *_ in frames_sent] == [frames.PING, frames.GOAWAY]
    pair.server.receive(frames.ping_frame(frames_sent[0][2], True))
    assert last_frame(pair.server.sent()) == (frames.GOAWAY, 0, bytes((0, 0, 0, late, 0, 0, 0, 0)))
    pair.server.receive(headers_of(late + 2))
    assert len(pair.server.exchanges) == 2
    assert not pair.server.transport.disconnecting
    pair.server.exchanges[0].respond(b"1")
    pair.server.exchanges[1].respond(b"2")
    assert pair.server.transport.disconnecting
    pair.server.lose()
    assert drained.called
    assert stream == 1
    assert not pair.server.clock.getDelayedCalls()


def test_draining_an_idle_connection_does_not_wait_long_for_its_client() -> None:
    server = open_connection()
    server.settings.drain()
    server.clock.advance(1.0)
    assert last_frame(server.sent())[0] == frames.GOAWAY
    assert server.transport.disconnecting


def test_a_client_that_means_to_close_is_answered_until_it_does() -> None:
    server = open_connection()
    server.receive(frames.goaway_frame(0, 0xFF))
    server.receive(frames.ping_frame(b"12345678", False))
    assert server.sent() == frames.ping_frame(b"12345678", True)
    assert not server.transport.disconnecting
    server.clock.advance(Limits().linger_timeout)
    assert server.transport.disconnecting
    assert last_frame(server.sent())[0] == frames.GOAWAY


def test_a_client_that_means_to_close_gets_what_it_has_asked_for() -> None:
    pair = Pair()
    pair.ask()
    pair.server.receive(frames.goaway_frame(0, 0))
    pair.server.clock.advance(Limits().linger_timeout)
    assert not pair.server.transport.disconnecting
    pair.server.exchanges[0].respond(b"late")
    pair.move()
    assert pair.body(1) == b"late"
    assert not pair.server.transport.disconnecting
    pair.server.clock.advance(Limits().linger_timeout)
    assert pair.server.transport.disconnecting


def test_after_a_fault_it_reads_on_until_the_client_closes_or_too_long() -> None:
    server = open_connection()
    told: list[str] = []
    server.transport.loseWriteConnection = lambda: told.append("half")
    server.transport.abortConnection = lambda: told.append("abort")
    server.receive(frame_head(frames.PING, 0, 1, 8) + b"12345678")
    assert last_frame(server.sent())[0] == frames.GOAWAY
    server.receive(frames.ping_frame(b"12345678", False))
    assert (server.sent(), told) == (b"", ["half"])
    server.clock.advance(Limits().linger_timeout)
    assert told == ["half", "abort"]


def test_an_idle_connection_is_closed_after_a_while() -> None:
    pair = Pair(answer=hello)
    pair.ask()
    pair.server.clock.advance(74)
    assert not pair.server.transport.disconnecting
    pair.server.clock.advance(2)
    assert pair.server.transport.disconnecting
    pair.move()
    assert goaway_code(pair) == ERRORS.NO_ERROR


def test_a_connection_is_closed_after_so_many_requests() -> None:
    pair = Pair(Limits(keepalive_requests=2), answer=hello)
    pair.ask()
    pair.ask()
    assert pair.server.transport.disconnecting
    assert len(pair.of(h2.events.StreamEnded)) == 2


def test_a_client_that_reads_nothing_is_given_up() -> None:
    pair = Pair(answer=lambda exchange: exchange.respond(b"x" * 100_000))
    pair.client.send_headers(1, GET, end_stream=True)
    pair.move(acknowledge=False)
    pair.server.clock.advance(61)
    pair.move(acknowledge=False)
    assert reset_codes(pair) == [(1, ERRORS.CANCEL)]
    assert pair.server.exchanges[0].told[-1] == ("lost",)


def test_a_body_that_does_not_come_fails() -> None:
    pair = Pair()
    pair.ask(POST, b"x", ended=False)
    pair.server.clock.advance(61)
    assert pair.server.exchanges[0].told[-1] == ("failed", 408)


def test_a_lost_connection_ends_all_its_exchanges() -> None:
    pair = Pair()
    pair.ask()
    pair.ask()
    pair.server.lose()
    assert [each.told[-1] for each in pair.server.exchanges] == [("lost",), ("lost",)]
    assert not pair.server.clock.getDelayedCalls()


def test_a_reset_ends_its_exchange_alone() -> None:
    pair = Pair()
    first, _ = pair.ask(), pair.ask()
    pair.client.reset_stream(first)
    pair.move()
    assert [each.told[-1] for each in pair.server.exchanges] == [("lost",), ("start", b"", True)]


def test_frames_that_were_under_way_when_a_stream_was_reset_are_ignored() -> None:
    pair = Pair(answer=hello)
    stream = pair.client.get_next_available_stream_id()
    pair.client.send_headers(stream, POST)
    pair.client.send_data(stream, b"some")
    early = pair.client.data_to_send()
    pair.client.send_data(stream, b"more")
    pair.client.send_headers(stream, [(b"x-sum", b"1")], end_stream=True)
    late = pair.client.data_to_send()
    pair.server.receive(early)
    pair.server.sent()
    pair.server.receive(late)
    assert pair.server.sent() == b""
    assert not pair.server.transport.disconnecting


# -- any chunking ----------------------------------------------------------------------------


def recorded_conversation() -> bytes:
    """What a client says that makes three requests with bodies and trailers."""
    pair = Pair()
    pair.client.clear_outbound_data_buffer()
    client = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding=None))
    client.initiate_connection()
    client.send_headers(1, GET, end_stream=True, priority_weight=3)
    client.send_headers(3, [*POST, (b"x-long", b"v" * 5000)])
    client.send_data(3, b"a" * 3000, pad_length=7)
    client.ping(b"abcdefgh")
    client.send_headers(5, POST)
    client.send_data(5, b"b" * 100)
    client.send_headers(5, [(b"x-sum", b"9")], end_stream=True)
    client.send_data(3, b"c" * 10, end_stream=True)
    return client.data_to_send()


CONVERSATION = recorded_conversation()


def outcome(pieces: list[bytes]) -> Any:
    server = Server()
    for piece in pieces:
        server.receive(piece)
    kinds = [frame for frame in split(server.sent()) if frame[0] != frames.WINDOW_UPDATE]
    ends = [
        [each for each in exchange.told if each[0] == "end" and each[1]]
        for exchange in server.exchanges
    ]
    heads = [exchange.head for exchange in server.exchanges]
    return kinds, heads, [exchange.body for exchange in server.exchanges], ends


WHOLE = outcome([CONVERSATION])


@given(st.lists(st.integers(1, len(CONVERSATION) - 1), max_size=40))
def test_however_the_bytes_are_split_the_outcome_is_the_same(cuts: list[int]) -> None:
    places = sorted({0, *cuts, len(CONVERSATION)})
    pieces = [CONVERSATION[a:b] for a, b in pairwise(places)]
    kinds, heads, bodies, _ = outcome(pieces)
    assert (kinds, heads, bodies) == WHOLE[:3]
    assert bodies == [b"", b"a" * 3000 + b"c" * 10, b"b" * 100]


@given(st.binary(max_size=300), st.integers(0, len(CONVERSATION)))
def test_garbage_ends_in_order(garbage: bytes, at: int) -> None:
    server = Server()
    server.receive(CONVERSATION[:at] + garbage)
    server.lose()
    assert not server.clock.getDelayedCalls()
    assert all(each.told == [] or each.told[-1] == ("lost",) for each in server.exchanges)
