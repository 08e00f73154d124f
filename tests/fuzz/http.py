"""The HTTP/1 and HTTP/2 channels, as server and as client of an upstream."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure

from tests.http import test_client as client1
from tests.http import test_server as server1
from tests.http.h2 import kit as server2
from tests.http.h2 import test_client as client2
from tests.http.h2.test_server import CONVERSATION


def in_pieces(data: bytes) -> tuple[bytes, list[bytes]]:
    """Input as a whole and cut: its first byte says how many of the next are places to cut at."""
    count = min(data[0] % 8, len(data) - 1) if data else 0
    places, whole = data[1 : 1 + count], data[1 + count :]
    cuts = sorted({place * (len(whole) + 1) // 256 for place in places} | {0, len(whole)})
    return whole, [whole[a:b] for a, b in pairwise(cuts)]


def _served(pieces: list[bytes]) -> tuple[bytes, list[Any], bool]:
    made = server1.Made()
    for piece in pieces:
        # A transport hands nothing on after its end.
        if made.transport.ended in ("", "half-closed"):
            made.channel.dataReceived(piece)
    sent, ended = made.transport.value(), bool(made.transport.ended)
    made.channel.connectionLost(Failure(ConnectionDone()))
    assert not made.clock.getDelayedCalls()
    assert made.transport.value() == sent
    told = []
    for exchange in made.exchanges:
        ends = [event for event in exchange.events if event in ("finished", "lost")]
        assert len(ends) <= 1, exchange.events
        # A refused head is told as far as it had come.
        refused = isinstance(exchange, server1.Refused)
        told.append((exchange.head[: 1 if refused else 2], exchange.events))
    return sent, told, ended


def http1_server(data: bytes) -> None:
    """Requests get the same answers however they are cut; nothing is left when the client goes."""
    whole, pieces = in_pieces(data)
    assert _served([whole]) == _served(pieces)


class _Reply(client1.Reply):
    """Takes raw heads apart however they are written, and what follows a change of protocols."""

    def reply_raw(self, channel: Any, head: bytes, *rest: Any) -> None:
        lines = [line.partition(b":") for line in head.split(b"\r\n")[1:-1]]
        channel.reason = head.partition(b"\r\n")[0][13:]
        channel.headers = [(name, value.lstrip(b" \t")) for name, _, value in lines]
        channel.trailers = []
        self.reply_head(channel, *rest)

    def reply_upgraded(self, channel: Any, rest: bytes) -> None:
        self.upgraded = [rest]
        channel.start_tunnel(self.upgraded.append)


def _told(data: bytes, pieces: list[bytes]) -> Any:
    made = client1.Made()
    # No response to HEAD is asked for raw.
    raw, head_only = b"\x80" < data[:1] <= b"\xf0", data[:1] > b"\xf0"
    reply = _Reply()
    made.channel.send(reply, b"request", True, head_only, 60.0, 30.0, raw)
    for piece in pieces:
        if reply.end is None and not made.transport.ended:
            made.channel.dataReceived(piece)
    made.close()
    assert reply.end is not None
    assert not made.clock.getDelayedCalls()
    if isinstance(reply.end, tuple):
        # Bytes that come along with a response, behind it, make its connection one to close.
        if reply.head is None:
            return b"".join(reply.upgraded)
        status, reason, headers, length = reply.head
        # Blanks behind a value pass as they came, and are not part of it (RFC 9112 §5.1).
        values = [(name, value.strip(b" \t")) for name, value in headers]
        return status, reason, values, length, reply.body, reply.end[0]
    # How much of it was told before the fault depends on how it came.
    return reply.end


def http1_client(data: bytes) -> None:
    """A whole response is the same however it is cut, and each has one end."""
    whole, pieces = in_pieces(data)
    assert _told(data, [whole]) == _told(data, pieces)


def http2_server(data: bytes) -> None:
    """A connection survives or ends in order, each exchange once, and answers can be written."""
    _, pieces = in_pieces(data)
    at = data[0] >> 3 if data else 0
    prefix = CONVERSATION[: at * len(CONVERSATION) // 31]

    def answer(exchange: server2.Exchange) -> None:
        if len(server.exchanges) % 2:
            exchange.respond(b"x" * 100)

    server = server2.Server(answer=answer)
    for piece in [prefix, *pieces]:
        if not server.transport.disconnecting:
            server.receive(piece)
    server.lose()
    assert not server.clock.getDelayedCalls()
    for exchange in server.exchanges:
        kinds = [each[0] for each in exchange.told]
        assert kinds.count("finished") + kinds.count("lost") <= 1, kinds
        assert kinds.count("end") <= 1, kinds


def http2_client(data: bytes) -> None:
    """What an upstream sends ends each request at most once before, and once with, its end."""
    _, pieces = in_pieces(data)
    at = data[0] >> 3 if data else 0
    pair = client2.Pair()
    replies = [pair.ask()[1] for _ in range(2)]
    for piece in [client2.ANSWER[: at * len(client2.ANSWER) // 31], *pieces]:
        if not pair.transport.disconnecting:
            pair.client.dataReceived(piece)
    pair.client.connectionLost(Failure(ConnectionDone()))
    for reply in replies:
        ends = [
            each
            for each in reply.told
            if each[0] in ("failed", "ended") or (each[0] == "head" and each[4])
        ]
        assert len(ends) == 1, reply.told
    assert not pair.clock.getDelayedCalls()


HTTP1_REQUESTS = [
    b"\0" + server1.GET + server1.GET,
    b"\2\x40\x80POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody" + server1.GET,
    b"\1\x60PUT /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"3;e=1\r\nabc\r\n0\r\nX-T: 1\r\n\r\n",
    b"\0GET http://x/u?a=b HTTP/1.0\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nrest",
    b"\0POST / HTTP/1.1\r\nHost: x:80\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\na",
]
HTTP1_RESPONSES = [
    b"\0HTTP/1.1 200 OK\r\nX-A: 1\r\nContent-Length: 2\r\n\r\nok",
    b"\x82\x40\x80HTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nConnection: close\r\n"
    b"Content-Length: 2\r\n\r\nok",
    b"\1\x90HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-T: 1\r\n\r\n",
    b"\0HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nrest",
    b"\0HTTP/1.0 200 OK\r\n\r\nuntil the end",
    b"\xf8HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n",
]
HTTP2_REQUESTS = [b"\0" + CONVERSATION, *(bytes([n << 3]) + CONVERSATION[-60:] for n in (4, 16))]
HTTP2_RESPONSES = [b"\0" + client2.ANSWER, b"\xf8" + client2.ANSWER[-60:]]
