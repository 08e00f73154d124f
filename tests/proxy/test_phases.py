"""Plugins' handlers: who runs when, short circuits, exceptions, filters, log."""

from __future__ import annotations

import json
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.task import deferLater

from kongtx.http.lines import HeaderBlock
from kongtx.proxy.interfaces import BodyTooLarge, ShortCircuit
from tests.proxy.kit import OK, ROUTE, Handler, Plugins, Step, answering, parse, parse_fields

GET = b"GET /api HTTP/1.1\r\nHost: a\r\n\r\n"
PHASES = ("rewrite", "access", "response", "header_filter", "body_filter", "log")


class Trace:
    """Makes handlers that note the phases they run."""

    def __init__(self) -> None:
        self.events: list[str] = []

    def handler(self, name: str, *phases: str, **own: Any) -> Handler:
        def noting(phase: str) -> Any:
            def note(request: Any) -> Any:
                assert request.phase == phase
                self.events.append(f"{name}.{phase}")
                return own[phase](request) if phase in own else None

            return note

        return Handler(name, **{phase: noting(phase) for phase in (*phases, *own)})


def plugins(*handlers: Any, everywhere: Any = ()) -> Plugins:
    return Plugins([Step(handler) for handler in handlers], everywhere)


@pytest_twisted.ensureDeferred
async def test_phases_run_in_order(made: Any) -> None:
    trace = Trace()
    phases = ("access", "header_filter", "body_filter", "log")
    gateway = made.gateway(
        made.upstream(),
        plugins=plugins(
            trace.handler("a", *phases),
            trace.handler("b", *phases),
            everywhere=[trace.handler("g", "rewrite", "header_filter", "log")],
        ),
    )
    await gateway.ask(GET)
    assert trace.events == [
        "g.rewrite",
        "a.access",
        "b.access",
        "a.header_filter",
        "b.header_filter",
        "a.body_filter",
        "b.body_filter",
        "a.log",
        "b.log",
    ]


@pytest.mark.parametrize("waits", [False, True])
@pytest_twisted.ensureDeferred
async def test_a_short_circuit_in_access_skips_the_others_access_alone(
    made: Any, waits: bool
) -> None:
    trace = Trace()

    def stop(request: Any) -> Any:
        if not waits:
            request.exit(403, b"no", ((b"X-Why", b"so"),))

        async def later() -> None:
            await deferLater(reactor, 0)
            request.exit(403, b"no", ((b"X-Why", b"so"),))

        return later()

    rest = ("header_filter", "body_filter", "log")
    upstream = made.upstream()
    gateway = made.gateway(
        upstream,
        plugins=plugins(
            trace.handler("a", *rest, access=stop), trace.handler("b", "access", *rest)
        ),
    )
    status, fields, body = parse(await gateway.ask(GET))
    assert (status, body) == (403, b"no")
    assert fields[b"x-why"] == [b"so"]
    assert b"x-kong-response-latency" in fields
    assert upstream.connections == []
    assert trace.events == [
        "a.access",
        "a.header_filter",
        "b.header_filter",
        "a.body_filter",
        "b.body_filter",
        "a.log",
        "b.log",
    ]
    assert gateway.log.requests[0].response_source == "exit"


@pytest_twisted.ensureDeferred
async def test_a_swallowed_short_circuit_still_answers(made: Any) -> None:
    def careless(request: Any) -> None:
        try:
            request.exit(401, b"no")
        except Exception:  # what plugins do
            return

    gateway = made.gateway(made.upstream(), plugins=plugins(Handler("a", access=careless)))
    assert parse(await gateway.ask(GET))[0] == 401


@pytest.mark.parametrize("phase", ["rewrite", "access"])
@pytest_twisted.ensureDeferred
async def test_a_large_answer_goes_to_a_slow_client(made: Any, phase: str) -> None:
    body = b"x" * 3_000_000

    def answer(request: Any) -> None:
        request.exit(200, body)

    handler = Handler("a", **{phase: answer})
    everywhere = [handler] if phase == "rewrite" else []
    gateway = made.gateway(made.upstream(), plugins=plugins(handler, everywhere=everywhere))
    client = await gateway.connect()
    client.transport.write(GET + GET)
    client.transport.pauseProducing()
    await deferLater(reactor, 0.05)
    client.transport.resumeProducing()
    await client.until(lambda data: data.count(b"x" * 10) >= len(body) // 5)
    assert client.data.count(b"HTTP/1.1 200 OK\r\n") == 2


@pytest_twisted.ensureDeferred
async def test_a_short_circuit_in_rewrite_ends_it_and_only_globals_go_on(made: Any) -> None:
    trace = Trace()

    def stop(request: Any) -> None:
        request.error(401, None)

    gateway = made.gateway(
        made.upstream(),
        plugins=plugins(
            trace.handler("a", "access", "log"),
            everywhere=[
                trace.handler("g", "log", rewrite=stop),
                trace.handler("h", "rewrite", "header_filter"),
            ],
        ),
    )
    status, _, body = parse(await gateway.ask(GET))
    assert (status, json.loads(body)["message"]) == (401, "Unauthorized")
    assert trace.events == ["g.rewrite", "h.header_filter", "g.log"]


@pytest.mark.parametrize(
    ("request_bytes", "route", "status"),
    [
        (b"GET /none HTTP/1.1\r\nHost: a\r\n\r\n", {}, 404),
        (GET, {"protocols": ["https"]}, 426),
        (GET, {"protocols": ["grpc"]}, 415),
        (b"GET /api HTTP/1.1\r\n\r\n", {}, 400),
    ],
)
@pytest_twisted.ensureDeferred
async def test_without_a_usable_route_only_globals_run(
    made: Any, request_bytes: bytes, route: Any, status: int
) -> None:
    trace = Trace()
    gateway = made.gateway(
        made.upstream(),
        route=route,
        plugins=plugins(
            trace.handler("a", "access", "header_filter", "log"),
            everywhere=[trace.handler("g", "header_filter", "body_filter", "log")],
        ),
    )
    assert parse(await gateway.ask(request_bytes))[0] == status
    assert trace.events == ["g.header_filter", "g.body_filter", "g.log"]


@pytest_twisted.ensureDeferred
async def test_a_grpc_route_wants_http_2(made: Any) -> None:
    gateway = made.gateway(made.upstream(), route={"protocols": ["grpc", "grpcs"]})
    status, fields, body = parse(
        await gateway.ask(
            b"POST /api HTTP/1.1\r\nHost: a\r\nContent-Type: application/grpc\r\n\r\n"
        )
    )
    assert (status, fields[b"upgrade"]) == (426, [b"HTTP/2"])
    assert json.loads(body)["message"] == "Please use HTTP2 protocol"


@pytest.mark.parametrize("waits", [False, True])
@pytest_twisted.ensureDeferred
async def test_an_exception_in_access_is_answered_500(made: Any, waits: bool) -> None:
    trace = Trace()

    def fail(request: Any) -> Any:
        async def later() -> None:
            await deferLater(reactor, 0)
            raise RuntimeError("broken")

        if waits:
            return later()
        raise RuntimeError("broken")

    upstream = made.upstream()
    gateway = made.gateway(
        upstream,
        plugins=plugins(trace.handler("a", access=fail), trace.handler("b", "access", "log")),
    )
    status, _, body = parse(await gateway.ask(GET))
    assert (status, json.loads(body)["message"]) == (500, "An unexpected error occurred")
    assert trace.events == ["a.access", "b.log"]
    assert upstream.connections == []
    assert gateway.log.requests[0].response_source == "error"


@pytest.mark.parametrize("phase", ["header_filter", "body_filter", "log"])
@pytest_twisted.ensureDeferred
async def test_an_exception_later_harms_no_other_handler(made: Any, phase: str) -> None:
    trace = Trace()

    def fail(request: Any) -> None:
        raise RuntimeError("broken")

    gateway = made.gateway(
        made.upstream(),
        plugins=plugins(trace.handler("a", **{phase: fail}), trace.handler("b", phase)),
    )
    assert parse(await gateway.ask(GET))[::2] == (200, b"ok")
    assert trace.events == [f"a.{phase}", f"b.{phase}"]


@pytest_twisted.ensureDeferred
async def test_a_body_filter_that_leaves_no_bytes_ends_its_own_response_alone(made: Any) -> None:
    def spoil(request: Any) -> None:
        if request.chunk_is_last:
            request.chunk = "text"

    upstream = made.upstream(
        answering(
            b"HTTP/1.1 200 OK\r\nDate: then\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n",
        )
    )
    gateway = made.gateway(upstream, plugins=plugins(Handler("a", body_filter=spoil)))
    client = await gateway.connect()
    client.transport.write(GET)
    await client.until(b"ok")
    (await upstream.connection()).transport.write(b"0\r\n\r\n")
    await client.closed
    assert not client.data.endswith(b"0\r\n\r\n")
    assert len(gateway.log.requests) == 1


@pytest_twisted.ensureDeferred
async def test_a_response_handler_that_waits_and_leaves_no_bytes_leaves_no_client_waiting(
    made: Any,
) -> None:
    async def spoil(request: Any) -> None:
        await deferLater(reactor, 0)
        request.upstream_response_body = "text"

    gateway = made.gateway(
        made.upstream(),
        plugins=plugins(
            Handler("a", access=lambda r: setattr(r, "buffered", True), response=spoil)
        ),
    )
    client = await gateway.connect()
    client.transport.write(GET)
    await client.closed
    assert len(gateway.log.requests) == 1


@pytest_twisted.ensureDeferred
async def test_whatever_a_log_handler_returns_the_others_run(made: Any) -> None:
    trace = Trace()
    gateway = made.gateway(
        made.upstream(),
        plugins=plugins(Handler("a", log=lambda request: True), trace.handler("b", "log")),
    )
    assert (await gateway.ask(GET)).startswith(b"HTTP/1.1 200 ")
    await gateway.log.wait()
    assert trace.events == ["b.log"]


@pytest_twisted.ensureDeferred
async def test_access_may_wait_and_goes_on(made: Any) -> None:
    waiting: Deferred[None] = Deferred()
    order: list[str] = []

    async def slow(request: Any) -> None:
        await waiting
        order.append("slow")

    upstream = made.upstream()
    gateway = made.gateway(
        upstream,
        plugins=plugins(
            Handler("a", access=slow),
            Handler("b", access=lambda request: order.append("next")),
        ),
    )
    asked = ensureDeferred(gateway.ask(GET))
    await deferLater(reactor, 0.01)
    assert upstream.connections == []
    waiting.callback(None)
    assert parse(await asked)[0] == 200
    assert order == ["slow", "next"]


@pytest_twisted.ensureDeferred
async def test_a_client_that_leaves_during_access_stops_there(made: Any) -> None:
    waiting: Deferred[None] = Deferred()
    upstream = made.upstream()
    gateway = made.gateway(upstream, plugins=plugins(Handler("a", access=lambda request: waiting)))
    client = await gateway.connect()
    client.transport.write(GET)
    await deferLater(reactor, 0.01)
    client.transport.abortConnection()
    await gateway.log.wait()
    waiting.callback(None)
    assert gateway.log.requests[0].status == 499
    assert upstream.connections == []
    assert len(gateway.log.requests) == 1


@pytest_twisted.ensureDeferred
async def test_a_consumer_chooses_later_plugins_configurations(made: Any) -> None:
    trace = Trace()

    def authenticate(request: Any) -> None:
        request.consumer = {"id": request.get_header(b"x-who").decode()}

    steps = [
        Step(trace.handler("early"), {"c1": trace.handler("early-c1", "access")}),
        Step(Handler("auth", access=authenticate)),
        Step(None, {"c1": trace.handler("only-c1", "access", "header_filter", "log")}),
        Step(trace.handler("all", "access"), {"c1": trace.handler("all-c1", "access")}),
    ]
    gateway = made.gateway(made.upstream(), plugins=Plugins(steps))
    for who in (b"c1", b"c2"):
        await gateway.ask(b"GET /api HTTP/1.1\r\nHost: a\r\nX-Who: %b\r\n\r\n" % who)
    assert trace.events == [
        "only-c1.access",
        "all-c1.access",
        "only-c1.header_filter",
        "only-c1.log",
        "all.access",
    ]


@pytest_twisted.ensureDeferred
async def test_access_changes_what_goes_upstream(made: Any) -> None:
    def change(request: Any) -> None:
        request.set_header(b"X-New", b"1")
        request.set_header(b"X-Old", b"changed")
        request.add_header(b"X-Old", b"more")
        request.clear_header(b"X-Gone")
        request.method = b"PUT"
        request.query = b"q=2"
        request.upstream_path = b"/other path"
        request.upstream_body = b"new body"
        request.set_header(b"Host", b"elsewhere")
        assert request.get_header(b"x-old") == b"changed"
        with pytest.raises(ValueError, match="break the message"):
            request.set_header(b"X-Bad", b"a\r\nb: c")

    upstream = made.upstream(
        lambda connection, data: (
            connection.data.endswith(b"new body") and connection.transport.write(OK)
        )
    )
    gateway = made.gateway(upstream, plugins=plugins(Handler("a", access=change)))
    await gateway.ask(
        b"GET /api?q=1 HTTP/1.1\r\nHost: a\r\nx-old: was\r\nX-Gone: 1\r\nX-Kept: 1\r\n\r\n"
    )
    head, _, body = upstream.received.partition(b"\r\n\r\n")
    fields = parse_fields(head)
    assert head.startswith(b"PUT /other%20path?q=2 HTTP/1.1\r\nHost: elsewhere\r\n")
    assert fields[b"x-old"] == [b"changed", b"more"]
    assert fields[b"x-new"] == [b"1"]
    assert fields[b"x-kept"] == [b"1"]
    assert b"x-gone" not in fields
    assert fields[b"content-length"] == [b"8"]
    assert body == b"new body"


@pytest.mark.parametrize("said", [b"1", None])
@pytest_twisted.ensureDeferred
async def test_a_plugin_cannot_break_the_framing_of_a_streamed_body(
    made: Any, said: bytes | None
) -> None:
    def change(request: Any) -> None:
        request.clear_header(b"Content-Length")
        if said is not None:
            request.set_header(b"Content-Length", said)

    upstream = made.upstream(
        lambda connection, data: connection.data.endswith(b"ok") and connection.transport.write(OK)
    )
    gateway = made.gateway(
        upstream,
        route={"request_buffering": False},
        plugins=plugins(Handler("a", access=change)),
    )
    client = await gateway.connect()
    client.transport.write(b"POST /api HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n")
    await upstream.connection()
    client.transport.write(b"ok")
    await client.until(OK[-2:])
    head, _, body = upstream.received.partition(b"\r\n\r\n")
    assert parse_fields(head)[b"content-length"] == [b"2"]
    assert body == b"ok"


@pytest.mark.parametrize("spoofed", [False, True])
@pytest_twisted.ensureDeferred
async def test_a_client_cannot_take_away_what_a_plugin_has_set(made: Any, spoofed: bool) -> None:
    upstream = made.upstream()
    identify = Handler("a", access=lambda request: request.set_header(b"X-Consumer", b"me"))
    gateway = made.gateway(upstream, plugins=plugins(identify))
    await gateway.ask(
        b"GET /api HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\n"
        b"Connection: X-Consumer, X-Hop\r\nX-Hop: 1\r\n"
        + b"X-Consumer: you\r\n" * spoofed
        + b"\r\n"
    )
    fields = parse_fields(upstream.received.partition(b"\r\n\r\n")[0])
    assert fields[b"x-consumer"] == [b"me"]
    assert b"x-hop" not in fields


@pytest.mark.parametrize("chunked", [False, True])
@pytest_twisted.ensureDeferred
async def test_access_reads_the_body_and_it_is_still_sent(made: Any, chunked: bool) -> None:
    bodies: list[bytes] = []

    async def read(request: Any) -> None:
        waiting = request.read_body()
        bodies.append(await waiting if isinstance(waiting, Deferred) else waiting)

    upstream = made.upstream(
        lambda connection, data: (
            connection.data.endswith(b"world") and connection.transport.write(OK)
        )
    )
    gateway = made.gateway(
        upstream,
        plugins=plugins(Handler("a", access=read)),
        route={"request_buffering": False},
    )
    client = await gateway.connect()
    framing = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: 11"
    client.transport.write(b"POST /api HTTP/1.1\r\nHost: a\r\n" + framing + b"\r\n\r\n")
    await deferLater(reactor, 0.01)
    client.transport.write(b"6\r\nhello \r\n5\r\nworld\r\n0\r\n\r\n" if chunked else b"hello world")
    await client.until(b"\r\n\r\nok")
    assert bodies == [b"hello world"]
    assert upstream.received.endswith(b"\r\n\r\nhello world")


@pytest_twisted.ensureDeferred
async def test_a_body_over_a_readers_limit_is_an_error_for_the_reader(made: Any) -> None:
    def read(request: Any) -> None:
        try:
            request.read_body(4)
        except BodyTooLarge as error:
            request.error(413, str(error))

    gateway = made.gateway(made.upstream(), plugins=plugins(Handler("a", access=read)))
    status, _, body = parse(
        await gateway.ask(b"POST /api HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello")
    )
    assert status == 413
    assert json.loads(body)["message"] == "the body has more than 4 bytes"


@pytest_twisted.ensureDeferred
async def test_a_body_that_grows_over_the_limit_is_not_awaited_to_its_end(made: Any) -> None:
    async def read(request: Any) -> None:
        try:
            await request.read_body(4)
        except BodyTooLarge as error:
            request.error(413, str(error))

    gateway = made.gateway(made.upstream(), plugins=plugins(Handler("a", access=read)))
    client = await gateway.connect()
    client.transport.write(
        b"POST /api HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"
    )
    await deferLater(reactor, 0.01)
    client.transport.write(b"2\r\nde\r\n")
    await client.until(b"the body has more than 4 bytes")
    assert client.data.startswith(b"HTTP/1.1 413 ")


@pytest_twisted.ensureDeferred
async def test_header_filter_changes_the_response(made: Any) -> None:
    def change(request: Any) -> None:
        assert (request.upstream_status, request.headers_sent) == (200, False)
        request.status = 418
        request.response_headers.append((b"X-New", b"1"))
        request.response_headers.append((b"X-Bad", b"a\r\nb: c"))
        request.response_headers = [
            header for header in request.response_headers if header[0] != b"X-Gone"
        ]

    upstream = made.upstream(
        answering(b"HTTP/1.1 200 Theirs\r\nX-Gone: 1\r\nX-Kept: 1\r\nContent-Length: 2\r\n\r\nok")
    )
    gateway = made.gateway(upstream, plugins=plugins(Handler("a", header_filter=change)))
    answer = await gateway.ask(GET)
    status, fields, body = parse(answer)
    assert (status, body) == (418, b"ok")
    assert answer.startswith(b"HTTP/1.1 418 I'm a Teapot\r\n")
    assert fields[b"x-new"] == [b"1"]
    assert b"x-gone" not in fields
    assert b"x-bad" not in fields
    assert gateway.log.requests[0].upstream_headers[0] == (b"X-Gone", b"1")


@pytest.mark.parametrize("filters", [False, True])
@pytest_twisted.ensureDeferred
async def test_log_sees_what_was_sent_by_its_names(made: Any, filters: bool) -> None:
    seen: list[Any] = []

    def log(request: Any) -> None:
        names = (b"x-up", b"x-own", b"via", b"content-length", b"x-none")
        seen.append([request.get_response_header(name) for name in names])
        seen.append(dict(request.response_headers))

    def own(request: Any) -> None:
        request.set_response_header(b"X-Own", b"2")

    handler = Handler("a", log=log, **{"header_filter" if filters else "access": own})
    upstream = made.upstream(
        answering(b"HTTP/1.1 200 OK\r\nX-Up: 1\r\nContent-Length: 2\r\n\r\nok")
    )
    gateway = made.gateway(upstream, plugins=plugins(handler))
    _, fields, _ = parse(await gateway.ask(GET))
    (via,) = fields[b"via"]
    assert seen[0] == [b"1", b"2", via, b"2", None]
    listed = {name.lower(): [value] for name, value in seen[1].items()}
    assert listed == {name: fields[name] for name in fields if name != b"connection"}


@pytest_twisted.ensureDeferred
async def test_headers_set_in_access_join_the_upstreams(made: Any) -> None:
    gateway = made.gateway(
        made.upstream(),
        plugins=plugins(
            Handler("a", access=lambda request: request.response_headers.append((b"X-L", b"9")))
        ),
    )
    assert parse(await gateway.ask(GET))[1][b"x-l"] == [b"9"]


@pytest.mark.parametrize("logs", [False, True])
@pytest_twisted.ensureDeferred
async def test_headers_set_in_access_cannot_break_the_response(made: Any, logs: bool) -> None:
    def spoil(request: Any) -> None:
        request.response_headers += [
            (b"X-Good", b"1"),
            (b"X-Bad", b"a\r\nX-Injected: b"),
            (b"Content-Length", b"100"),
            (b"Transfer-Encoding", b"chunked"),
        ]

    handlers = [Handler("a", access=spoil)]
    if logs:
        handlers.append(Handler("b", log=lambda request: None))
    gateway = made.gateway(made.upstream(), plugins=plugins(*handlers))
    status, fields, body = parse(await gateway.ask(GET))
    assert (status, body) == (200, b"ok")
    assert fields[b"x-good"] == [b"1"]
    assert fields[b"content-length"] == [b"2"]
    for name in (b"x-bad", b"x-injected", b"transfer-encoding"):
        assert name not in fields


@pytest_twisted.ensureDeferred
async def test_an_answers_headers_cannot_break_it(made: Any) -> None:
    def answer(request: Any) -> None:
        request.exit(
            200,
            b"mine",
            [(b"X-Bad", b"a\r\nX-Injected: b"), (b"X-Good", b"1"), (b"date", b"then")],
        )

    gateway = made.gateway(made.upstream(), plugins=plugins(Handler("a", access=answer)))
    status, fields, body = parse(await gateway.ask(GET))
    assert (status, body, fields[b"x-good"]) == (200, b"mine", [b"1"])
    assert fields[b"date"] == [b"then"]
    assert b"x-bad" not in fields
    assert b"x-injected" not in fields


@pytest_twisted.ensureDeferred
async def test_an_exit_in_header_filter_replaces_the_response(made: Any) -> None:
    trace = Trace()

    def stop(request: Any) -> None:
        request.exit(429, b"slow down", ((b"Retry-After", b"5"),))

    upstream = made.upstream(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc"))
    gateway = made.gateway(
        upstream,
        plugins=plugins(
            trace.handler("a", header_filter=stop),
            trace.handler("b", "header_filter", "body_filter", "log"),
        ),
    )
    status, fields, body = parse(await gateway.ask(GET))
    assert (status, body) == (429, b"slow down")
    assert fields[b"retry-after"] == [b"5"]
    assert fields[b"content-length"] == [b"9"]
    assert trace.events == ["a.header_filter", "b.header_filter", "b.body_filter", "b.log"]
    await upstream.connections[0].closed


@pytest.mark.parametrize("pieces", [1, 3])
@pytest_twisted.ensureDeferred
async def test_body_filter_changes_each_piece(made: Any, pieces: int) -> None:
    seen: list[tuple[bytes, bool]] = []

    def change(request: Any) -> None:
        seen.append((request.chunk, request.chunk_is_last))
        request.chunk = request.chunk.upper() + (b"!" if request.chunk_is_last else b"")

    text = b"abcdef"
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n"
    upstream = made.upstream(answering(head + (text if pieces == 1 else text[:2])))
    gateway = made.gateway(upstream, plugins=plugins(Handler("a", body_filter=change)))
    client = await gateway.connect()
    client.transport.write(GET)
    if pieces == 1:
        await client.until(b"!")
        assert parse(client.data)[2] == b"ABCDEF!"
        assert parse(client.data)[1][b"content-length"] == [b"7"]
        assert seen == [(text, True)]
        return
    await client.until(b"AB")
    upstream.connections[0].transport.write(b"cd")
    await client.until(b"CD")
    upstream.connections[0].transport.write(b"ef")
    await client.until(b"0\r\n\r\n")
    assert parse(client.data)[2] == b"2\r\nAB\r\n2\r\nCD\r\n2\r\nEF\r\n1\r\n!\r\n0\r\n\r\n"
    assert seen == [(b"ab", False), (b"cd", False), (b"ef", False), (b"", True)]


@pytest_twisted.ensureDeferred
async def test_body_filter_may_end_the_body(made: Any) -> None:
    def end(request: Any) -> None:
        request.chunk, request.chunk_is_last = b"short", True

    upstream = made.upstream(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc"))
    gateway = made.gateway(upstream, plugins=plugins(Handler("a", body_filter=end)))
    assert parse(await gateway.ask(GET))[2] == b"short"
    await upstream.connections[0].closed


@pytest_twisted.ensureDeferred
async def test_response_sees_the_whole_response(made: Any) -> None:
    bodies: list[Any] = []

    async def look(request: Any) -> None:
        await deferLater(reactor, 0)
        bodies.append((request.status, request.upstream_response_body))
        request.response_headers.append((b"X-Seen", b"1"))

    chunked = b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"
    upstream = made.upstream(answering(chunked))
    gateway = made.gateway(upstream, plugins=plugins(Handler("a", response=look)))
    client = await gateway.connect()
    client.transport.write(GET)
    connection = await upstream.connection()
    await connection.until(b"\r\n\r\n")
    await deferLater(reactor, 0.01)
    assert client.data == b""
    connection.transport.write(b"3\r\ndef\r\n0\r\n\r\n")
    await client.until(b"abcdef")
    status, fields, body = parse(client.data)
    assert (status, body) == (201, b"abcdef")
    assert fields[b"content-length"] == [b"6"]
    assert fields[b"x-seen"] == [b"1"]
    assert b"x-kong-upstream-latency" in fields
    assert bodies == [(201, b"abcdef")]


@pytest_twisted.ensureDeferred
async def test_response_may_answer_instead(made: Any) -> None:
    def refuse(request: Any) -> None:
        request.exit(451, b"no")

    gateway = made.gateway(made.upstream(), plugins=plugins(Handler("a", response=refuse)))
    assert parse(await gateway.ask(GET))[::2] == (451, b"no")


@pytest_twisted.ensureDeferred
async def test_global_handlers_see_gateway_errors_after_the_route_is_known(made: Any) -> None:
    trace = Trace()
    gateway = made.gateway(
        routes=[(ROUTE, None)], plugins=plugins(trace.handler("a", "access", "header_filter"))
    )
    assert parse(await gateway.ask(GET))[0] == 503
    assert trace.events == ["a.access", "a.header_filter"]


@pytest.mark.parametrize("remove", [False, True])
@pytest_twisted.ensureDeferred
async def test_plugins_see_the_length_and_may_take_it_away(made: Any, remove: bool) -> None:
    seen: list[Any] = []

    def look(request: Any) -> None:
        seen.append(dict(request.response_headers)[b"Content-Length"])
        if remove:
            request.response_headers = [
                header for header in request.response_headers if header[0] != b"Content-Length"
            ]

    def note(request: Any) -> None:
        seen.append(dict(request.response_headers).get(b"Content-Length"))

    upstream = made.upstream(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabc"))
    gateway = made.gateway(upstream, plugins=plugins(Handler("a", header_filter=look, log=note)))
    client = await gateway.connect()
    client.transport.write(GET)
    await client.until(b"abc")
    upstream.connections[0].transport.write(b"def")
    await client.until(b"def")
    await gateway.log.wait()
    _, fields, _ = parse(client.data)
    assert fields.get(b"content-length") == (None if remove else [b"6"])
    assert fields.get(b"transfer-encoding") == ([b"chunked"] if remove else None)
    assert seen == [b"6", None if remove else b"6"]


def set_and_clear(request: Any) -> None:
    request.set_header(b"X-Secret", b"one")
    request.clear_header(b"X-Kept")


def clear_and_add(request: Any) -> None:
    request.clear_header(b"X-Kept")
    request.add_header(b"X-Secret", b"one")


def replace(request: Any) -> None:
    request.replace_headers({b"x-kept", b"x-other"}, HeaderBlock([(b"X-Secret", b"one")]))


@pytest.mark.parametrize("how", [set_and_clear, clear_and_add, replace])
@pytest_twisted.ensureDeferred
async def test_headers_changed_for_one_request_are_not_the_nexts(made: Any, how: Any) -> None:
    def change(request: Any) -> None:
        if request.path.endswith(b"1"):
            how(request)
        assert (request.get_header(b"x-secret") == b"one") is request.path.endswith(b"1")

    upstream = made.upstream()
    gateway = made.gateway(upstream, plugins=plugins(Handler("a", access=change)))
    client = await gateway.connect()
    for count in (0, 1, 2, 3):
        client.transport.write(b"GET /api/%d HTTP/1.1\r\nHost: a\r\nX-Kept: 1\r\n\r\n" % count)
        await client.until(lambda data, count=count: data.count(b"\r\n\r\nok") == count + 1)
    heads = [parse_fields(head) for head in upstream.received.split(b"\r\n\r\n") if head]
    assert [b"x-secret" in fields for fields in heads] == [False, True, False, False]
    assert [b"x-kept" in fields for fields in heads] == [True, False, True, True]


@pytest.mark.parametrize("by_replacing", [False, True])
@pytest_twisted.ensureDeferred
async def test_added_headers_are_each_requests_own(made: Any, by_replacing: bool) -> None:
    def change(request: Any) -> None:
        number = request.path[-1:]
        if number in b"023":
            if by_replacing:
                block = HeaderBlock([(b"X-Who", number), (b"X-Two", b"2")])
                request.replace_headers({b"x-who"}, block)
            else:
                request.add_header(b"X-Who", number)
                request.add_header(b"X-Two", b"2")
        if number == b"3":
            request.add_header(b"X-Forwarded-For", b"1.1.1.1")

    upstream = made.upstream()
    gateway = made.gateway(upstream, plugins=plugins(Handler("a", access=change)))
    client = await gateway.connect()
    for count in range(5):
        client.transport.write(b"GET /api/%d HTTP/1.1\r\nHost: a\r\nX-Kept: 1\r\n\r\n" % count)
        await client.until(lambda data, count=count: data.count(b"\r\n\r\nok") == count + 1)
    heads = [parse_fields(head) for head in upstream.received.split(b"\r\n\r\n") if head]
    assert [fields.get(b"x-who") for fields in heads] == [[b"0"], None, [b"2"], [b"3"], None]
    assert [fields.get(b"x-two") for fields in heads] == [[b"2"], None, [b"2"], [b"2"], None]
    assert [fields[b"x-kept"] for fields in heads] == [[b"1"]] * 5
    assert [fields[b"x-forwarded-for"] for fields in heads] == [
        [b"127.0.0.1"],
        [b"127.0.0.1"],
        [b"127.0.0.1"],
        [b"1.1.1.1, 127.0.0.1"],
        [b"127.0.0.1"],
    ]


@pytest_twisted.ensureDeferred
async def test_headers_cannot_be_changed_in_place(made: Any) -> None:
    def change(request: Any) -> None:
        request.headers.append((b"x-a", b"b"))

    gateway = made.gateway(made.upstream(), plugins=plugins(Handler("a", access=change)))
    assert parse(await gateway.ask(GET))[0] == 500


def test_a_short_circuit_is_an_error_of_kongtx() -> None:
    assert issubclass(ShortCircuit, Exception)
