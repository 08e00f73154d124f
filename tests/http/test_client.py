"""The client channel, fed with bytes: what its user is told, however they are cut."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface import implementer

from kongtx.http.client import HEAD_BYTES, ClientChannel
from kongtx.http.interfaces import IReply
from tests.http.test_server import Transport


@implementer(IReply)
class Reply:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.head: Any = None
        self.body = b""
        self.end: Any = None
        self.events: list[str] = []
        self.was_raw = False

    def reply_head(
        self, channel: Any, length: int, body: bytes, complete: bool, reusable: bool
    ) -> None:
        assert self.head is None
        self.head = (channel.status, channel.reason, list(channel.headers), length)
        self.body = body
        if complete:
            self.end = (list(channel.trailers), reusable)

    def reply_raw(
        self,
        channel: Any,
        head: bytes,
        length: int,
        body: bytes,
        complete: bool,
        reusable: bool,
    ) -> None:
        assert self.head is None
        line, *fields = head.split(b"\r\n")[:-1]
        assert head.endswith(b"\r\n")
        headers = [tuple(field.split(b": ", 1)) for field in fields]
        self.head = (channel.status, line[13:], headers, length)
        self.body = body
        self.was_raw = True
        if complete:
            self.end = ([], reusable)

    def reply_part(self, data: bytes) -> None:
        assert self.head is not None
        assert self.end is None
        assert data
        self.body += data

    def reply_ended(self, trailers: Sequence[Any], reusable: bool) -> None:
        assert self.end is None
        self.end = (list(trailers), reusable)

    def reply_upgraded(self, channel: Any, rest: bytes) -> None:
        self.end = ("upgraded", rest)

    def reply_failed(self, why: str) -> None:
        assert self.end is None
        self.end = why

    def peer_paused(self) -> None:
        self.events.append("paused")

    def peer_resumed(self) -> None:
        self.events.append("resumed")


class Made:
    def __init__(self, head_only: bool = False, complete: bool = True, raw: bool = False) -> None:
        self.raw = raw
        self.clock = Clock()
        self.lost: list[Any] = []
        self.channel = ClientChannel(self.clock, "key", self.lost.append)
        self.transport = Transport()
        self.transport.setTcpNoDelay = lambda on: None  # type: ignore[method-assign]
        self.channel.makeConnection(self.transport)
        self.reply = self.send(head_only, complete)

    def send(self, head_only: bool = False, complete: bool = True) -> Reply:
        self.reply = Reply()
        self.channel.send(self.reply, b"request", complete, head_only, 60.0, 30.0, self.raw)
        return self.reply

    def feed(self, *pieces: bytes) -> Reply:
        for piece in pieces:
            self.channel.dataReceived(piece)
        return self.reply

    def close(self, clean: bool = True) -> Reply:
        self.channel.connectionLost(Failure(ConnectionDone() if clean else ConnectionLost()))
        return self.reply


def cut(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({place % (len(data) + 1) for place in cuts} | {0, len(data)})
    return [data[a:b] for a, b in pairwise(places)]


CUTS = st.lists(st.integers(min_value=0), max_size=20)
INTERIM = st.sampled_from(
    [b"", b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"]
)


@given(INTERIM, st.binary(max_size=50_000), CUTS)
def test_a_body_with_a_length(interim: bytes, body: bytes, cuts: list[int]) -> None:
    head = b"HTTP/1.1 200 Fine\r\nX-A: 1\r\nx-a: 2\r\nContent-Length: %d\r\n\r\n" % len(body)
    reply = Made().feed(*cut(interim + head + body, cuts))
    assert reply.head == (200, b"Fine", [(b"X-A", b"1"), (b"x-a", b"2")], len(body))
    assert (reply.body, reply.end) == (body, ([], True))


@given(INTERIM, st.lists(st.binary(min_size=1, max_size=50)), CUTS)
def test_a_chunked_body(interim: bytes, chunks: list[bytes], cuts: list[int]) -> None:
    data = interim + b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    data += b"".join(b"%x;e=1\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
    reply = Made().feed(*cut(data + b"0\r\nX-T: 1\r\n\r\n", cuts))
    assert reply.head[:3] == (200, b"OK", [])
    assert (reply.body, reply.end) == (b"".join(chunks), ([(b"X-T", b"1")], True))


FIELDS = st.lists(
    st.sampled_from(
        [
            b"X-A: 1",
            b"Set-Cookie: a=b",
            b"Set-Cookie: c=d",
            b"Date: now",
            b"Connection: keep-alive",
            b"Connection: close",
            b"Connection: X-A",
            b"Keep-Alive: 5",
            b"Via: 1.1 x",
            b"connection: Close",
            b"X-Accel-Redirect: /y",
            b"X-Accelerate: yes",
            b"Viable: no",
            b"Trailer: X-T",
            b"Content-Type: text/plain",
        ]
    ),
    max_size=8,
)


@given(
    FIELDS,
    st.sampled_from([b"200 OK", b"404 Not Found", b"204 No Content", b"304 Not Modified", b"500 "]),
    st.binary(max_size=40),
    st.sampled_from([b"", b"extra"]),
    CUTS,
)
def test_a_raw_reply_says_what_one_taken_apart_says(
    fields: list[bytes], status: bytes, body: bytes, extra: bytes, cuts: list[int]
) -> None:
    if status[:3] in (b"204", b"304"):
        body = b""
    lines = [*fields[:4], b"Content-Length: %d" % len(body), *fields[4:]]
    head = b"HTTP/1.1 " + status + b"\r\n" + b"\r\n".join(lines) + b"\r\n\r\n"
    pieces = cut(head + body, cuts)
    plain = Made().feed(*pieces[:-1], pieces[-1] + extra)
    made = Made(raw=True)
    raw = made.feed(*pieces[:-1], pieces[-1] + extra)
    assert (raw.head, raw.body, raw.end) == (plain.head, plain.body, plain.end)


@pytest.mark.parametrize("raw", [True, False])
def test_a_status_below_100_is_garbage_however_it_would_be_told(raw: bool) -> None:
    reply = Made(raw=raw).feed(b"HTTP/1.1 051 Early\r\nContent-Length: 2\r\n\r\nok")
    assert (reply.head, reply.end) == (None, "garbage")


def test_what_an_interim_response_says_of_a_body_is_not_said_of_the_last() -> None:
    made = Made()
    made.feed(b"HTTP/1.1 103 Early\r\nContent-Length: 5\r\n\r\nHTTP/1.1 200 OK\r\n\r\nlonger body")
    reply = made.close()
    assert (reply.head[3], reply.body, reply.end) == (-1, b"longer body", ([], False))


@pytest.mark.parametrize("field", [b"Transfer-Encoding: gzip", b"Via: x"])
def test_a_trailer_says_nothing_of_the_framing(field: bytes) -> None:
    data = (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n%b\r\n\r\n" % field
    )
    reply = Made().feed(data)
    assert (reply.head, reply.body) == ((200, b"OK", [], -1), b"ok")
    assert reply.end == ([], True)


def test_a_second_response_says_nothing_of_the_first() -> None:
    reply = Made().feed(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"
        b"HTTP/1.1 200 Not Asked\r\nX-Not: asked\r\nContent-Length: 0\r\n\r\n"
    )
    assert reply.head == (200, b"OK", [], -1)
    assert (reply.body, reply.end) == (b"ok", ([], False))


def test_the_body_of_a_second_response_is_not_added_to_the_first() -> None:
    reply = Made().feed(
        b"HTTP/1.1 200 OK\r\nContent-",
        b"Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nmore",
    )
    assert (reply.head[3], reply.body, reply.end) == (2, b"ok", ([], False))


def test_a_second_response_cannot_change_the_protocol() -> None:
    reply = Made().feed(
        b"HTTP/1.1 200 OK\r\nContent-",
        b"Length: 2\r\n\r\nok"
        b"HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\nmore",
    )
    assert (reply.head[0], reply.body, reply.end) == (200, b"ok", ([], False))


def test_no_body_of_an_interim_response_is_added_to_the_last() -> None:
    reply = Made().feed(
        b"HTTP/1.1 121 Odd\r\nContent-Length: 4\r\n\r\nodd."
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    )
    assert (reply.head[0], reply.head[3], reply.body) == (200, 2, b"ok")


def test_a_plain_reply_is_told_raw_and_others_are_not() -> None:
    head = b"HTTP/1.1 200 OK\r\nX-A: 1\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\n"
    made = Made(raw=True)
    for _ in range(2):
        reply = made.feed(head + b"ok")
        assert (reply.was_raw, reply.head[2], reply.body) == (True, [(b"X-A", b"1")], b"ok")
        assert reply.end == ([], True)
        made.send()
    assert not made.feed(head.replace(b"keep-alive", b"X-A") + b"ok").was_raw
    made.send()
    long = made.feed(head.replace(b": 2", b": 5") + b"ok")
    assert (long.was_raw, long.end) == (True, None)
    assert made.feed(b"abc").body == b"okabc"
    assert long.end == ([], True)


@given(st.binary(max_size=200), CUTS)
def test_a_body_until_the_connection_closes(body: bytes, cuts: list[int]) -> None:
    made = Made()
    reply = made.feed(*cut(b"HTTP/1.1 200 OK\r\n\r\n" + body, cuts))
    assert reply.end is None
    made.close()
    assert (reply.body, reply.end) == (body, ([], False))


@given(
    st.sampled_from(
        [
            b"SSH-2.0-OpenSSH_9\r\n\r\n",
            b"HTTP/2.0 200 OK\r\n\r\n",
            b"HTTP/0.9 200 OK\r\n\r\n",
            b"RTSP/1.0 200 OK\r\n\r\n",
            b"HTTP/1.1 99 No\r\n\r\n\r\n",
            b"HTTP/1.1 2000 No\r\n\r\n",
            b"HTTP/1.1 200 OK\nX: 1\n\n\n\n",
            b"HTTP/1.1 200 OK\r\nX: a\x00b\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nX : 1\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nabc",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
            b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            b"HTTP/1.1 101 To What\r\nX: y\r\n\r\n",
            b"HTTP/1.1 101 To What\r\nX: y\r\n\r\nnonsense",
        ]
    ),
    CUTS,
)
def test_garbage_is_refused_however_it_is_cut(data: bytes, cuts: list[int]) -> None:
    made = Made()
    for piece in cut(data, cuts):
        if made.reply.end is None:
            made.feed(piece)
    assert made.reply.end == "garbage"
    assert made.reply.head is None
    assert made.transport.ended == "aborted"


def test_a_bad_chunk_after_the_head_fails_the_reply() -> None:
    reply = Made().feed(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n", b"zz\r\n"
    )
    assert (reply.body, reply.end) == (b"a", "garbage")


def test_a_head_without_end_is_garbage() -> None:
    made = Made()
    made.feed(b"HTTP/1.1 200 OK\r\n")
    for _ in range(HEAD_BYTES // 1000 + 1):
        if made.reply.end is None:
            made.feed(b"X: " + b"a" * 995 + b"\r\n")
    assert made.reply.end == "garbage"


@pytest.mark.parametrize(
    ("head", "reusable"),
    [
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", False),
        (b"HTTP/1.1 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 0\r\n\r\n", True),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", False),
        (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n", True),
        (b"HTTP/1.1 204 No Content\r\n\r\n", True),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nmore", False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", False),
    ],
)
def test_a_connection_is_reused_when_the_reply_allows(head: bytes, reusable: bool) -> None:
    assert Made().feed(head).end == ([], reusable)


def test_head_has_no_body_and_the_connection_goes_on() -> None:
    made = Made(head_only=True)
    reply = made.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
    assert (reply.head[3], reply.body, reply.end) == (100, b"", ([], True))
    made.send()
    assert made.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na").body == b"a"


def test_a_reply_before_the_request_is_complete_does_not_reuse_the_connection() -> None:
    made = Made(complete=False)
    assert made.feed(b"HTTP/1.1 413 No\r\nContent-Length: 0\r\n\r\n").end == ([], False)


def test_an_upgrade_hands_over_what_follows() -> None:
    made = Made()
    made.feed(
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nxyz"
    )
    assert made.reply.end == ("upgraded", b"xyz")
    received: list[bytes] = []
    made.channel.start_tunnel(received.append)
    made.feed(b"abc")
    assert received == [b"abc"]


def test_a_tunnel_that_has_ended_leaves_no_timer_behind() -> None:
    made = Made()
    made.feed(b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n")
    made.channel.start_tunnel(lambda data: None)
    made.channel.detach()
    made.channel.touch()
    assert made.clock.getDelayedCalls() == []


@pytest.mark.parametrize("data", [b"", b"HTTP/1.1 200 OK\r\nContent-Le"])
@pytest.mark.parametrize("clean", [True, False])
def test_a_close_before_the_head_is_told(data: bytes, clean: bool) -> None:
    made = Made()
    made.feed(*([data] if data else []))
    assert made.close(clean).end == "closed"
    assert made.channel.received is bool(data)
    assert made.lost == [made.channel]


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nContent-Length: 50000\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
    ],
)
def test_a_close_within_the_body_is_a_failure(data: bytes) -> None:
    made = Made()
    made.feed(data)
    assert made.close().end == "closed"


def test_a_reset_within_a_close_delimited_body_is_a_failure() -> None:
    made = Made()
    made.feed(b"HTTP/1.1 200 OK\r\n\r\nab")
    assert made.close(clean=False).end == "closed"


def test_silence_of_the_peer_times_out() -> None:
    made = Made()
    made.clock.advance(59)
    made.feed(b"HTTP/1.1 200 OK\r\n")
    made.clock.advance(59)
    assert made.reply.end is None
    made.clock.advance(2)
    assert made.reply.end == "timeout"
    assert made.transport.ended == "aborted"


@pytest.mark.parametrize("size", [10, 100_000])
def test_a_connection_whose_last_piece_was_too_much_is_read_again(size: int) -> None:
    made = Made()
    made.reply.reply_part = lambda data: made.channel.pause()  # type: ignore[method-assign]
    made.feed(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size, b"b" * size)
    assert made.reply.end == ([], True)
    assert not made.transport.paused


def test_a_peer_that_takes_nothing_times_out() -> None:
    made = Made(complete=False)
    made.channel.pauseProducing()
    made.clock.advance(31)
    assert (made.reply.events, made.reply.end) == (["paused"], "timeout")


def test_an_idle_connection_closes_in_time_or_when_spoken_to() -> None:
    made = Made()
    made.feed(b"HTTP/1.1 204 No Content\r\n\r\n")
    made.channel.wait_idle(60)
    made.clock.advance(61)
    assert made.transport.ended == "closed"
    other = Made()
    other.feed(b"HTTP/1.1 204 No Content\r\n\r\n")
    other.channel.wait_idle(60)
    other.feed(b"HTTP/1.1 408 Timeout\r\n\r\n")
    assert other.transport.ended == "aborted"
