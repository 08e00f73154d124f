"""Mixed requests, as a program: C{python -m tests.soak.load PLAIN SECURE COUNT FILE}, two ports.

It writes what came of them to a file, a L{Report} as JSON. Nothing is judged but what a
response alone tells: its status has to be one that its kind of request may be answered with, and
its body the whole of what was asked for.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random

import attrs
import msgspec
import uvloop
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from tests.soak.clients import Answer, Http1, Http2, Lost, trusting

HOST = "soak.test"
LARGE = 100_000
SMALL = b"small"
UPLOAD = bytes(range(256)) * 12
MIBS = bytes(range(256)) * 8192
CLIENTS = 32
#: Requests under way at once on the one connection of HTTP/2.
STREAMS = 8
#: Failures with which it ends early.
TOO_MANY = 2000
#: Clients that go in the middle of a head, of a body, of a response, and one that makes no sense.
UNFINISHED = (
    b"GET /la",
    b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhalf",
    b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n",
    b"nonsense\r\n\r\n",
)


class Report(msgspec.Struct):
    """What came of requests. Times are of C{time.monotonic}.

    @ivar counts: how many of each kind and status, as C{"kind status"}.
    @ivar failures: kind, begin, end, and what went wrong, of each without its whole response.
    @ivar again: the same of each request that a connection kept alive had ended under without
        a word; it was sent anew, as clients do.
    @ivar faults: kind, begin, end and status of each response of 500 or above.
    """

    counts: dict[str, int] = {}
    failures: list[tuple[str, float, float, str]] = []
    again: list[tuple[str, float, float, str]] = []
    faults: list[tuple[str, float, float, int]] = []

    def total(self) -> int:
        return sum(self.counts.values())


@attrs.frozen
class Kind:
    """A kind of requests.

    @ivar weight: how many of it there are among all.
    @ivar pieces: the request as it is sent.
    @ivar statuses: what it may be answered with.
    @ivar body: what a response of 200 holds.
    @ivar is_secure: it comes by TLS.
    """

    name: str
    weight: int
    pieces: tuple[bytes, ...]
    statuses: tuple[int, ...] = (200,)
    body: bytes | None = None
    is_secure: bool = False


def head(request: str, *fields: str) -> bytes:
    return "\r\n".join([f"{request} HTTP/1.1", f"Host: {HOST}", *fields, "", ""]).encode()


def _chunked(body: bytes) -> tuple[bytes, ...]:
    parts = (body[:10], body[10:2000], body[2000:])
    chunks = [b"%x\r\n%b\r\n" % (len(part), part) for part in parts]
    return head("POST /echo", "Transfer-Encoding: chunked"), *chunks, b"0\r\n\r\n"


def _with(body: bytes, request: str, *fields: str) -> tuple[bytes, ...]:
    return head(request, f"Content-Length: {len(body)}", *fields) + body[:1000], body[1000:]


KEY, LIMITED = "apikey: k1", "apikey: k2"
BRIEF = "Connection: close"
KINDS = (
    Kind("small", 300, (head("GET /small"),), body=SMALL),
    Kind("query", 100, (head("GET /small?a=1&b=%20"),), body=SMALL),
    Kind("large", 60, (head("GET /large"),), body=b"x" * LARGE),
    Kind("closed", 60, (head("GET /small", BRIEF),), body=SMALL),
    Kind("options", 30, (head("OPTIONS /small"),), (405,)),
    Kind("upload", 80, _with(UPLOAD, "POST /echo"), body=UPLOAD),
    Kind("upload closed", 10, _with(UPLOAD, "POST /echo", BRIEF), body=UPLOAD),
    Kind("chunked", 60, _chunked(UPLOAD), body=UPLOAD),
    Kind("MiBs", 2, _with(MIBS, "PUT /echo"), body=MIBS),
    Kind("wrong route", 60, (head("GET /no/such/route"),), (404,)),
    Kind("no key", 40, (head("GET /keyed"),), (401,)),
    Kind("key", 60, (head("GET /keyed", KEY),), body=SMALL),
    Kind("key with body", 20, _with(UPLOAD, "POST /keyed", KEY), body=SMALL),
    Kind("limited", 30, (head("GET /limited", LIMITED),), (200, 429), SMALL),
    Kind("secure", 80, (head("GET /small"),), body=SMALL, is_secure=True),
    Kind("secure upload", 20, _with(UPLOAD, "POST /echo"), body=UPLOAD, is_secure=True),
    Kind("secure closed", 10, (head("GET /small", BRIEF),), body=SMALL, is_secure=True),
    Kind("retried", 40, (head("GET /retried"),)),
    Kind("alone", 20, (head("GET /alone"),), (200, 502, 504)),
    Kind("gone", 20, (head("GET /gone"),), (502,)),
    Kind("websocket", 8, ()),
    Kind("leave", 5, ()),
)


def _is_right(kind: Kind, answer: Answer) -> bool:
    whole = answer.status != 200 or kind.body is None or answer.body == kind.body
    return whole and answer.status in kind.statuses


class Load:
    """Asks until there are enough answers."""

    def __init__(self, plain: int, secure: int, count: int) -> None:
        self.ports = {False: plain, True: secure}
        self.count = count
        self.done: Counter[str] = Counter()
        self.finished = 0
        self.report = Report(failures=[], again=[], faults=[])
        self._contexts = {False: None, True: trusting("http/1.1")}
        self._leavers = 0

    async def run(self) -> Report:
        async with asyncio.TaskGroup() as group:
            for number in range(CLIENTS):
                group.create_task(self._client(Random(number)))
            group.create_task(self._http2())
        self.report.counts = dict(self.done)
        return self.report

    async def _client(self, random: Random) -> None:
        connections: dict[bool, Http1] = {}
        for kind in self._kinds(random):
            match kind.name:
                case "websocket":
                    await self._guarded(kind.name, self._websocket())
                case "leave":
                    await self._guarded(kind.name, self._leave())
                case _:
                    await self._guarded(kind.name, self._http1(kind, connections))
        for connection in connections.values():
            connection.close()

    def _kinds(self, random: Random) -> Iterator[Kind]:
        deck = [kind for kind in KINDS for _ in range(kind.weight)]
        while True:
            random.shuffle(deck)
            for kind in deck:
                if self.finished >= self.count:
                    return
                yield kind

    async def _guarded(self, name: str, asking: object) -> None:
        """Await one request and note what came of it."""
        begin = time.monotonic()
        try:
            status = await asking  # type: ignore[misc]
        except (OSError, TimeoutError, EOFError, WebSocketException, AssertionError) as error:
            self._fail(name, begin, error)
            return
        self.finished += 1
        self.done[f"{name} {status}"] += 1
        if status >= 500:
            self.report.faults.append((name, begin, time.monotonic(), status))

    def _fail(self, name: str, begin: float, error: Exception) -> None:
        self.report.failures.append((name, begin, time.monotonic(), repr(error)[:500]))
        if len(self.report.failures) > TOO_MANY:
            self.finished = self.count

    async def _open(self, *, is_secure: bool) -> Http1:
        loop = asyncio.get_running_loop()
        port, context = self.ports[is_secure], self._contexts[is_secure]
        _, connection = await loop.create_connection(Http1, "127.0.0.1", port, ssl=context)
        return connection

    async def _http1(self, kind: Kind, connections: dict[bool, Http1]) -> int:
        """A request, sent again once where a connection that was kept alive has ended under it."""
        begin = time.monotonic()
        connection = connections.pop(kind.is_secure, None)
        try:
            if connection is None or not connection.is_open:
                connection = await self._open(is_secure=kind.is_secure)
            answer = await connection.ask(*kind.pieces)
        except Lost as lost:
            if connection is None or connection.asked == 1 or not lost.unanswered:
                raise
            self.report.again.append((kind.name, begin, time.monotonic(), str(lost)))
            connection = await self._open(is_secure=kind.is_secure)
            answer = await connection.ask(*kind.pieces)
        assert _is_right(kind, answer), (answer.status, answer.body[:200])
        if answer.reusable:
            connections[kind.is_secure] = connection
        else:
            connection.close()
        return answer.status

    async def _websocket(self) -> int:
        async with connect(
            f"ws://127.0.0.1:{self.ports[False]}/socket", compression=None, max_size=None
        ) as socket:
            for message in ("one", UPLOAD):
                await socket.send(message)
                assert await socket.recv() == message
        return 101

    async def _leave(self) -> int:
        self._leavers += 1
        _, writer = await asyncio.open_connection("127.0.0.1", self.ports[False])
        writer.write(UNFINISHED[self._leavers % len(UNFINISHED)])
        await writer.drain()
        await asyncio.sleep(0.002 * (self._leavers % 3))
        writer.close()
        return 0

    async def _http2(self) -> None:
        """Connections of HTTP/2, one after another, each until it ends."""
        loop = asyncio.get_running_loop()
        context = trusting("h2")
        while self.finished < self.count:
            try:
                _, connection = await loop.create_connection(
                    lambda: Http2(HOST), "127.0.0.1", self.ports[True], ssl=context
                )
            except OSError as error:
                self._fail("HTTP/2", time.monotonic(), error)
                continue
            async with asyncio.TaskGroup() as group:
                for number in range(STREAMS):
                    group.create_task(self._streams(connection, number))
            connection.close()

    async def _streams(self, connection: Http2, number: int) -> None:
        while self.finished < self.count and not connection.is_going:
            number += 1
            # What GOAWAY leaves out is asked for on the next connection; nothing is lost.
            with contextlib.suppress(_RefusedError):
                await self._guarded("HTTP/2", self._stream(connection, number))

    async def _stream(self, connection: Http2, number: int) -> int:
        method, path, body, expected = (
            ("GET", "/small", b"", SMALL),
            ("POST", "/echo", UPLOAD, UPLOAD),
            ("GET", "/large", b"", b"x" * LARGE),
            ("GET", "/no/such/route", b"", None),
        )[number % 4]
        try:
            answer = await connection.ask(method, path, body)
        except Lost as lost:
            if lost.unanswered and connection.is_going:
                raise _RefusedError from None
            raise
        assert answer.status == (404 if expected is None else 200), answer
        assert expected is None or answer.body == expected
        return answer.status


class _RefusedError(Exception):
    """A stream was not begun because its connection ends in order."""


def main() -> None:
    plain, secure, count = map(int, sys.argv[1:4])
    report = uvloop.run(Load(plain, secure, count).run())
    Path(sys.argv[4]).write_bytes(msgspec.json.encode(report))


if __name__ == "__main__":
    main()
