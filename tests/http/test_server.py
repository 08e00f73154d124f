"""The server channel, fed with bytes: the same answers however they are cut, limits, timeouts."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from zope.interface import implementer
from zope.interface.verify import verifyObject

from kongtx.http.answering import ChannelSettings
from kongtx.http.interfaces import IExchange, IServerChannel
from kongtx.http.limits import Limits
from kongtx.http.server import ServerChannel


class Transport(StringTransport):
    """Records how the connection ends, and whether its peer is read."""

    def __init__(self) -> None:
        super().__init__()
        self.ended = ""
        self.paused = False
        self.unsent = 0

    def unsent_bytes(self) -> int:
        return self.unsent

    def pauseProducing(self) -> None:
        self.paused = True

    def resumeProducing(self) -> None:
        self.paused = False

    def loseConnection(self) -> None:
        self.ended = self.ended or "closed"

    def loseWriteConnection(self) -> None:
        self.ended = "half-closed"

    def abortConnection(self) -> None:
        self.ended = "aborted"


@implementer(IExchange)
class Echo:
    """Answers with what it was asked, once all of it has come."""

    def __init__(self, channel: Any, *head: Any) -> None:
        self.channel = channel
        self.head = head
        self.body = b""
        self.events: list[Any] = []
        channel.factory.exchanges.append(self)

    def start(self, body: bytes, complete: bool) -> None:
        self.body += body
        if complete:
            self.answer()
        elif self.channel.factory.wants_body:
            self.channel.send_continue()

    def answer(self) -> None:
        factory = self.channel.factory
        if factory.answers:
            text = b"%b %b %b" % (self.head[0], self.head[1], self.body)
            self.channel.respond(200, None, [(b"X-A", b"b")], text, -1, True)

    def body_part(self, data: bytes) -> None:
        assert data
        self.body += data

    def body_end(self, trailers: Sequence[Any]) -> None:
        self.answer()

    def body_failed(self, status: int) -> None:
        self.events.append(("failed", status))
        self.channel.respond(status, None, [], b"failed", -1, True)

    def finished(self) -> None:
        self.events.append("finished")

    def client_lost(self) -> None:
        self.events.append("lost")

    def client_paused(self) -> None:
        self.events.append("paused")

    def client_resumed(self) -> None:
        self.events.append("resumed")


class Refused(Echo):
    def start(self, body: bytes, complete: bool) -> None:
        self.channel.respond(self.head[0], None, [], b"refused", -1, True)


class Made:
    """A channel with its surroundings; it is its factory, too."""

    def __init__(
        self, limits: Limits | None = None, answers: bool = True, wants_body: bool = True
    ) -> None:
        self.clock = Clock()
        self.exchanges: list[Echo] = []
        self.answers = answers
        self.wants_body = wants_body
        self.settings = ChannelSettings(self.clock, limits or Limits(), Echo, Refused)
        self.channel = ServerChannel(self.settings)
        self.channel.factory = self
        self.transport = Transport()
        self.channel.makeConnection(self.transport)

    def feed(self, *pieces: bytes) -> bytes:
        for piece in pieces:
            self.channel.dataReceived(piece)
        return self.transport.value()


def ok(text: bytes, close: bool = False) -> bytes:
    return b"HTTP/1.1 200 OK\r\nX-A: b\r\nContent-Length: %d\r\nConnection: %b\r\n\r\n%b" % (
        len(text),
        b"close" if close else b"keep-alive",
        text,
    )


GET = b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n"


def test_it_provides_what_exchanges_expect() -> None:
    verifyObject(IServerChannel, Made().channel)


def test_a_lost_connection_is_freed_without_the_garbage_collector() -> None:
    made = Made()
    made.feed(GET)
    made.exchanges.clear()
    transport = weakref.ref(made.transport)
    gc.disable()
    try:
        made.transport.unregisterProducer()  # as those that are lost forget it
        made.channel.connectionLost(Failure(ConnectionDone()))
        del made.channel, made.transport
        assert transport() is None
    finally:
        gc.enable()


class Ending(Transport):
    """Takes the last answer together with the end, as TLS does."""

    def lose_without_waiting(self, last: bytes = b"") -> None:
        self.ended = f"closed with {len(last)}"
        self.write(last)


CLOSING = b"GET /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
LAST = f"closed with {len(ok(b'GET /a ', True))}"


@pytest.mark.parametrize(
    ("sent", "ended"),
    [
        (CLOSING, LAST),
        (GET, ""),
        # What a client still sends would reset the connection.
        (CLOSING + GET, "closed"),
        (CLOSING.replace(b"Host", b"Content-Length: 2\r\nHost") + b"x", "half-closed"),
    ],
)
def test_a_whole_last_answer_goes_with_the_end_of_a_connection_that_can(
    sent: bytes, ended: str
) -> None:
    made = Made(answers=False)
    made.channel = ServerChannel(made.settings)
    made.channel.factory = made
    made.transport = Ending()
    made.channel.makeConnection(made.transport)
    made.feed(sent)
    made.channel.respond(200, None, [(b"X-A", b"b")], b"GET /a ", -1, True)
    assert made.transport.value() == ok(b"GET /a ", sent != GET)
    assert made.transport.ended == ended
    assert made.exchanges[0].events == ["finished"]


REQUESTS = st.lists(
    st.one_of(
        st.just((GET, b"GET /a ")),
        st.binary(max_size=60).map(
            lambda body: (
                b"POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body),
                b"POST /b " + body,
            )
        ),
        st.lists(st.binary(min_size=1, max_size=30)).map(
            lambda chunks: (
                b"PUT /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                + b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
                + b"0\r\n\r\n",
                b"PUT /c " + b"".join(chunks),
            )
        ),
        st.just((b"\r\n" + GET, b"GET /a ")),
        st.just(
            (
                b"GET /u HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
                b"GET /u ",
            )
        ),
        st.binary(max_size=20).map(
            lambda body: (
                b"POST /d HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n"
                b"Content-Length: %d\r\n\r\n%b" % (len(body), body),
                b"POST /d " + body,
            )
        ),
    ),
    max_size=6,
)


@given(REQUESTS, st.lists(st.integers(min_value=0), max_size=20))
def test_pipelined_requests_get_the_same_answers_however_they_are_cut(
    requests: list[tuple[bytes, bytes]], cuts: list[int]
) -> None:
    data = b"".join(request for request, _ in requests)
    places = sorted({cut % (len(data) + 1) for cut in cuts} | {0, len(data)})
    made = Made()
    made.feed(*[data[a:b] for a, b in pairwise(places)])
    assert made.transport.value() == b"".join(ok(text) for _, text in requests)
    assert [exchange.events for exchange in made.exchanges] == [["finished"]] * len(requests)


@given(
    st.sampled_from(
        [
            b"GET / HTTP/1.1\nHost: x\n\n",
            b"GET / HTTP/1.1\r\nHost: x\r\nX : 1\r\n\r\n",
            b"GET / HTTP/1.1\r\n\r\n",
            b"GET / HTTP/3.7\r\nHost: x\r\n\r\n",
            b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked"
            b"\r\n\r\n0\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: x\r\nX: a\x00\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n",
        ]
    ),
    st.lists(st.integers(min_value=0), max_size=10),
)
def test_nonsense_is_refused_once_however_it_is_cut(bad: bytes, cuts: list[int]) -> None:
    data = GET + bad + GET
    places = sorted({cut % (len(data) + 1) for cut in cuts} | {0, len(data)})
    made = Made()
    made.feed(*[data[a:b] for a, b in pairwise(places)])
    assert made.transport.value() == ok(b"GET /a ") + (
        b"HTTP/1.1 400 Bad Request\r\nContent-Length: 7\r\nConnection: close\r\n\r\nrefused"
    )
    assert made.transport.ended


@pytest.mark.parametrize(
    "bad", [b"zz\r\n", b"3\r\nabcd\r\n", b"1\r\na\r\n0\r\nX : 1\r\n\r\n", b"1\na"]
)
def test_a_bad_chunk_ends_the_request_and_the_connection(bad: bytes) -> None:
    made = Made()
    answer = made.feed(
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", bad, GET
    )
    assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert b"Connection: close" in answer
    assert answer.count(b"HTTP/1.1") == 1
    assert made.transport.ended == "half-closed"


def test_a_chunked_body_over_the_limit_is_refused() -> None:
    made = Made(Limits(body_bytes=5))
    answer = made.feed(
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
        b"3\r\nabc\r\n",
    )
    assert answer.startswith(b"HTTP/1.1 413 ")


def test_continue_is_sent_only_to_those_who_wait_for_it() -> None:
    head = b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
    made = Made()
    assert made.feed(head) == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert made.feed(b"ab") == b"HTTP/1.1 100 Continue\r\n\r\n" + ok(b"POST / ab")
    assert Made().feed(head + b"ab") == ok(b"POST / ab")


def test_an_answer_before_the_expected_body_closes_the_connection() -> None:
    made = Made(wants_body=False)
    made.feed(b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
    made.channel.respond(401, None, [], b"no", -1, True)
    assert made.transport.value() == (
        b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno"
    )
    assert made.transport.ended == "half-closed"


def test_a_short_unread_body_is_discarded_and_the_connection_kept() -> None:
    made = Made(wants_body=False)
    made.feed(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nab")
    made.channel.respond(401, None, [], b"no", -1, True)
    made.answers = True
    assert made.feed(b"cd" + GET).endswith(b"\r\n\r\nno" + ok(b"GET /a "))


def test_http_1_0_is_closed_unless_it_asks_otherwise() -> None:
    made = Made()
    assert made.feed(b"GET /a HTTP/1.0\r\n\r\n") == ok(b"GET /a ", close=True)
    assert made.transport.ended == "closed"
    kept = Made()
    request = b"GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
    assert kept.feed(request, request) == ok(b"GET /a ") * 2


def test_the_last_request_of_a_connection_closes_it() -> None:
    made = Made(Limits(keepalive_requests=2))
    assert made.feed(GET, GET) == ok(b"GET /a ") + ok(b"GET /a ", close=True)
    assert made.transport.ended == "closed"


@pytest.mark.parametrize(
    ("sent", "seconds"), [(b"", 60.0), (b"GET / HT", 60.0), (GET, 75.0), (GET + b"GET", 60.0)]
)
def test_silence_closes_the_connection(sent: bytes, seconds: float) -> None:
    made = Made()
    made.feed(sent)
    made.clock.advance(seconds - 0.01)
    assert made.transport.ended == ""
    made.clock.advance(0.02)
    assert made.transport.ended == "closed"


def test_a_head_that_drips_is_cut_off_in_time() -> None:
    made = Made()
    for byte in GET[:20]:
        made.feed(bytes((byte,)))
        made.clock.advance(3.1)
    assert made.transport.ended == "closed"
    assert made.transport.value() == b""


def test_a_body_that_stops_is_answered_408() -> None:
    made = Made()
    made.feed(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\na")
    for _ in range(3):
        made.clock.advance(59)
        made.feed(b"b")
    made.clock.advance(61)
    assert made.transport.value().startswith(b"HTTP/1.1 408 ")
    assert made.transport.ended == "half-closed"
    made.clock.advance(6)
    assert made.transport.ended == "aborted"


def test_a_client_that_does_not_read_is_cut_off() -> None:
    made = Made(answers=False)
    made.feed(GET)
    made.channel.respond(200, None, [], b"x", 10, False)
    made.channel.pauseProducing()
    assert made.exchanges[0].events == ["paused"]
    made.clock.advance(61)
    assert made.transport.ended == "aborted"
    assert made.exchanges[0].events == ["paused", "lost"]


def test_a_client_that_reads_again_may_go_on() -> None:
    made = Made(answers=False)
    made.feed(GET)
    made.channel.respond(200, None, [], b"x", 2, False)
    made.channel.pauseProducing()
    made.clock.advance(59)
    made.channel.resumeProducing()
    made.clock.advance(59)
    made.channel.write(b"y")
    made.channel.end()
    assert made.exchanges[0].events == ["paused", "resumed", "finished"]
    assert made.transport.ended == ""


def test_no_request_is_taken_while_the_client_does_not_read() -> None:
    made = Made()
    write = made.transport.write

    def write_too_much(data: bytes) -> None:
        write(data)
        made.channel.pauseProducing()

    made.transport.write = write_too_much  # type: ignore[method-assign]
    made.feed(GET + GET)
    assert made.transport.value() == ok(b"GET /a ")
    made.channel.resumeProducing()
    assert made.transport.value() == ok(b"GET /a ") * 2


def test_pipelining_without_end_stops_being_read() -> None:
    made = Made(Limits(pipeline_bytes=100), answers=False)
    made.feed(GET)
    made.feed(GET * 10)
    assert made.transport.paused
    made.answers = True
    made.exchanges[0].answer()
    assert made.transport.value() == ok(b"GET /a ") * 11
    assert not made.transport.paused


def test_an_answer_that_is_too_short_cuts_the_connection() -> None:
    made = Made(answers=False)
    made.feed(GET)
    made.channel.respond(200, None, [], b"abc", 5, False)
    made.channel.end()
    assert made.transport.ended == "aborted"
    assert made.exchanges[0].events == ["finished"]


def test_an_answer_that_is_too_long_is_cut() -> None:
    made = Made(answers=False)
    made.feed(GET)
    made.channel.respond(200, None, [], b"abc", 5, False)
    made.channel.write(b"defgh")
    made.channel.end()
    assert made.transport.value().endswith(b"\r\n\r\nabcde")
    assert made.transport.ended == ""


def test_a_client_that_leaves_is_told_to_the_exchange() -> None:
    made = Made(answers=False)
    made.feed(GET)
    made.channel.connectionLost(Failure(ConnectionDone()))
    assert made.exchanges[0].events == ["lost"]
    assert made.clock.getDelayedCalls() == []


def test_draining_closes_idle_connections_and_announces_it_to_others() -> None:
    idle, busy = Made(), Made(answers=False)
    idle.feed(GET)
    idle.clock.advance(1)
    busy.feed(GET)
    idle.settings.drain()
    drained = busy.settings.drain()
    assert idle.transport.ended == "closed"
    busy.answers = True
    busy.exchanges[0].answer()
    assert busy.transport.value() == ok(b"GET /a ", close=True)
    assert not drained.called
    busy.channel.connectionLost(Failure(ConnectionDone()))
    assert drained.called


def test_half_an_empty_line_does_not_hold_a_draining_up() -> None:
    made = Made()
    made.feed(GET)
    made.clock.advance(10)
    made.feed(b"\r")
    made.settings.drain()
    assert made.transport.ended == "closed"


def test_draining_waits_a_moment_for_the_first_request_of_a_connection() -> None:
    asking, silent = Made(), Made()
    for each in (asking, silent):
        each.settings.drain()
        each.clock.advance(0.9)
        assert each.transport.ended == ""
    asking.feed(GET)
    assert asking.transport.value() == ok(b"GET /a ", close=True)
    silent.clock.advance(0.2)
    assert silent.transport.ended == "closed"


def test_draining_waits_a_moment_for_the_next_request_of_a_connection_just_used() -> None:
    asking, silent = Made(), Made()
    for each in (asking, silent):
        each.feed(GET)
        each.clock.advance(0.9)
        each.settings.drain()
        assert each.transport.ended == ""
        each.clock.advance(0.9)
        assert each.transport.ended == ""
    asking.feed(GET)
    assert asking.transport.value() == ok(b"GET /a ") + ok(b"GET /a ", close=True)
    silent.clock.advance(0.2)
    assert silent.transport.ended == "closed"
    assert silent.transport.value() == ok(b"GET /a ")


def test_a_connection_that_was_accepted_while_draining_is_waited_for_as_long() -> None:
    made = Made()
    made.settings.draining = True
    silent = Transport()
    ServerChannel(made.settings).makeConnection(silent)
    made.clock.advance(0.9)
    assert silent.ended == ""
    made.clock.advance(0.2)
    assert silent.ended == "closed"


def test_a_closing_connection_whose_client_takes_nothing_is_cut() -> None:
    made = Made()
    made.feed(b"GET /a HTTP/1.0\r\n\r\n")
    assert made.transport.ended == "closed"
    made.clock.advance(61)
    assert made.transport.ended == "aborted"


def test_nothing_is_taken_of_what_comes_while_the_client_does_not_read() -> None:
    made = Made(Limits(pipeline_bytes=2 * len(GET)))
    made.channel.pauseProducing()
    made.feed(GET, GET, GET)
    assert made.exchanges == []
    assert made.transport.paused
    made.channel.resumeProducing()
    assert made.transport.value() == ok(b"GET /a ") * 3
    assert not made.transport.paused


def test_a_client_that_asks_on_without_reading_is_cut_off_all_the_same() -> None:
    made = Made()
    made.feed(GET)
    made.channel.pauseProducing()
    for _ in range(4):
        made.clock.advance(20)
        made.feed(GET)
    assert made.transport.ended == "aborted"


@pytest.mark.parametrize("answers", [True, False])
def test_a_client_that_sends_a_body_without_reading_is_cut_off_all_the_same(answers: bool) -> None:
    made = Made(answers=False)
    made.feed(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n")
    made.channel.respond(200, None, [], b"x", 1 if answers else 10, answers)
    made.channel.pauseProducing()
    made.feed(b"ab")
    made.clock.advance(61)
    assert made.transport.ended == "aborted"


def test_a_later_head_that_drips_is_cut_off_in_time_too() -> None:
    made = Made()
    made.feed(GET)
    for byte in GET[:21]:
        made.feed(bytes((byte,)))
        made.clock.advance(3.1)
    assert made.transport.ended == "closed"
    assert made.transport.value() == ok(b"GET /a ")


@pytest.mark.parametrize("pieces", [[b"\r\n"], [b"\r", b"\n"]])
def test_empty_lines_give_a_client_no_more_time(pieces: list[bytes]) -> None:
    made = Made()
    made.feed(GET)
    for _ in range(74 // len(pieces)):
        for piece in pieces:
            made.feed(piece)
            made.clock.advance(1)
    assert made.transport.ended == ""
    made.clock.advance(1.1)
    assert made.transport.ended == "closed"
    assert made.transport.value() == ok(b"GET /a ")


@pytest.mark.parametrize(
    "pieces", [[GET + b"\r\n\r\x02"], [GET + b"\r\n", b"\r\x02"], [GET, b"\r", b"\n\r\x02"]]
)
def test_what_follows_an_empty_line_is_refused_however_it_comes(pieces: list[bytes]) -> None:
    made = Made()
    for piece in pieces:
        made.feed(piece)
    assert made.transport.value().startswith(ok(b"GET /a ") + b"HTTP/1.1 400 ")


def test_silence_after_a_discarded_body_closes_the_connection() -> None:
    made = Made(wants_body=False)
    made.feed(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nab")
    made.channel.respond(401, None, [], b"no", -1, True)
    made.feed(b"cd")
    made.clock.advance(74.9)
    assert made.transport.ended == ""
    made.clock.advance(0.2)
    assert made.transport.ended == "closed"


@pytest.mark.parametrize("asks", [True, False])
def test_draining_closes_a_connection_soon_after_an_answer_that_has_begun(asks: bool) -> None:
    made = Made(answers=False)
    made.feed(GET)
    made.channel.respond(200, None, [], b"x", 2, False)
    made.settings.drain()
    made.channel.write(b"y")
    made.channel.end()
    made.clock.advance(0.9)
    assert made.transport.ended == ""
    if asks:
        made.answers = True
        assert made.feed(GET).endswith(ok(b"GET /a ", close=True))
    made.clock.advance(0.2)
    assert made.transport.ended == "closed"


def test_connect_is_refused_however_familiar_the_rest_of_the_head_is() -> None:
    made = Made()
    made.feed(b"CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n")
    made = Made()
    answer = made.feed(GET, GET.replace(b"GET", b"CONNECT"))
    assert answer.startswith(ok(b"GET /a ") + b"HTTP/1.1 405 ")


def test_a_slow_client_has_its_time_for_each_piece_that_it_takes() -> None:
    made = Made(answers=False)
    made.feed(GET)
    made.channel.respond(200, None, [], b"x" * 10, 100, False)
    made.transport.unsent = 50
    made.channel.pauseProducing()
    made.channel.write(b"y" * 20)
    made.transport.unsent = 69
    made.clock.advance(61)
    assert made.transport.ended == ""
    made.clock.advance(61)
    assert made.transport.ended == "aborted"


@pytest.mark.parametrize("half", [True, False])
def test_a_slow_client_may_take_all_of_the_last_answer(half: bool) -> None:
    made = Made(answers=False)
    if half:
        made.feed(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2000000\r\n\r\n")
    else:
        made.feed(b"GET / HTTP/1.0\r\n\r\n")
    made.transport.unsent = 50
    made.channel.respond(200, None, [], b"x" * 10, -1, True)
    assert made.transport.ended == ("half-closed" if half else "closed")
    for left in (40, 30):
        made.clock.advance(55)
        made.transport.unsent = left
        made.clock.advance(6)
    assert made.transport.ended == ("half-closed" if half else "closed")
    made.transport.unsent = 0
    made.clock.advance(61)
    assert made.transport.ended == ("half-closed" if half else "closed")
    made.clock.advance(6)
    assert made.transport.ended == "aborted"


@pytest.mark.parametrize(
    "body",
    [(b"Content-Length: 300", b"b" * 300), (b"Transfer-Encoding: chunked", b"1\r\nb\r\n" * 50)],
)
def test_the_body_of_a_pipelined_request_is_read_on(body: tuple[bytes, bytes]) -> None:
    made = Made(Limits(pipeline_bytes=100), answers=False)
    made.feed(GET, b"POST /b HTTP/1.1\r\nHost: x\r\n%b\r\n\r\n%b" % (body[0], body[1][:180]))
    assert made.transport.paused
    made.channel.respond(200, None, [], b"", 0, True)
    assert not made.transport.paused
    made.answers = True
    answer = made.feed(body[1][180:], b"0\r\n\r\n")
    assert answer.count(b"HTTP/1.1 200 OK") == 2
