"""Requests through a whole gateway: what goes upstream, and what comes back."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import pytest_twisted
from zope.interface.verify import verifyClass, verifyObject

from kongtx.http.interfaces import IExchange, IReply, IServerChannel
from kongtx.http.limits import Limits
from kongtx.http.server import ServerChannel
from kongtx.proxy.gateway import GatewaySettings
from kongtx.proxy.interfaces import IRequestContext, IUpstreamPool
from kongtx.proxy.pools.pool import UpstreamPool
from kongtx.proxy.request.exchange import Exchange
from tests.proxy.kit import OK, ROUTE, Peer, answering, free_port, is_whole, parse, parse_fields

GET = b"GET /api/things?q=1 HTTP/1.1\r\nHost: example.com\r\n\r\n"


def test_the_classes_provide_what_they_promise(made: Any) -> None:
    verifyClass(IExchange, Exchange)
    verifyClass(IReply, Exchange)
    verifyClass(IServerChannel, ServerChannel, tentative=True)
    verifyClass(IRequestContext, Exchange, tentative=True)
    verifyObject(IUpstreamPool, made.gateway().pool)
    assert issubclass(UpstreamPool, object)


@pytest_twisted.ensureDeferred
async def test_a_request_goes_upstream_with_forwarded_headers(made: Any) -> None:
    upstream = made.upstream()
    gateway = made.gateway(upstream)
    await gateway.ask(
        b"GET /api/things?q=1 HTTP/1.1\r\nHost: Example.com:8080\r\nAccept: */*\r\n"
        b"X-Mixed-Case: a\r\nx_under: b\r\nCookie: c=1\r\nCookie: d=2\r\n"
        b"X-Forwarded-Proto: https\r\nX-Forwarded-Host: evil\r\nX-Forwarded-For: 9.9.9.9\r\n"
        b"X-Real-IP: 9.9.9.9\r\nVia: 1.1 other\r\nX-Kong-Request-Id: mine\r\n\r\n"
    )
    request_id = gateway.log.requests[0].request_id
    assert re.fullmatch(rb"[0-9a-f]{32}", request_id)
    assert upstream.received == (
        b"GET /things?q=1 HTTP/1.1\r\n"
        b"Host: upstream.test:%d\r\n"
        b"Via: 1.1 kong/3.9.1\r\n"
        b"X-Forwarded-For: 9.9.9.9, 127.0.0.1\r\n"
        b"X-Forwarded-Proto: http\r\n"
        b"X-Forwarded-Port: %d\r\n"
        b"X-Real-IP: 127.0.0.1\r\n"
        b"X-Forwarded-Host: example.com\r\n"
        b"X-Forwarded-Path: /api/things\r\n"
        b"X-Forwarded-Prefix: /api\r\n"
        b"X-Kong-Request-Id: %b\r\n"
        b"Connection: keep-alive\r\n"
        b"Accept: */*\r\n"
        b"X-Mixed-Case: a\r\n"
        b"x_under: b\r\n"
        b"Cookie: c=1\r\n"
        b"Cookie: d=2\r\n"
        b"\r\n" % (upstream.number, gateway.number, request_id)
    )


@pytest_twisted.ensureDeferred
async def test_hop_by_hop_headers_stay_on_their_connection(made: Any) -> None:
    upstream = made.upstream()
    gateway = made.gateway(upstream)
    await gateway.ask(
        b"GET /api HTTP/1.1\r\nHost: a\r\nConnection: close, X-Secret\r\nX-Secret: 1\r\n"
        b"Keep-Alive: 5\r\nProxy-Connection: close\r\nUpgrade: websocket\r\nTE: gzip, trailers\r\n"
        b"Proxy: http://evil\r\nTrailer: X-T\r\nProxy-Authorization: Basic x\r\n\r\n"
    )
    fields = parse_fields(upstream.received.partition(b"\r\n\r\n")[0])
    assert fields[b"connection"] == [b"keep-alive"]
    assert fields[b"te"] == [b"trailers"]
    assert fields[b"trailer"] == [b"X-T"]
    assert fields[b"proxy-authorization"] == [b"Basic x"]
    for name in (b"x-secret", b"keep-alive", b"proxy-connection", b"upgrade", b"proxy"):
        assert name not in fields


@pytest_twisted.ensureDeferred
async def test_the_answer_comes_back_with_kongs_headers(made: Any) -> None:
    upstream = made.upstream(
        answering(
            b"HTTP/1.1 299 Very Fine\r\nServer: theirs\r\nX-A: 1\r\nX-A: 2\r\nVia: 1.0 theirs\r\n"
            b"Date: then\r\n"
            b"Connection: X-Hop\r\nX-Hop: 1\r\nKeep-Alive: 3\r\nX-Accel-Redirect: /x\r\n"
            b"Content-Length: 2\r\n\r\nok"
        )
    )
    gateway = made.gateway(upstream)
    answer = await gateway.ask(GET)
    request = gateway.log.requests[0]
    assert answer == (
        b"HTTP/1.1 299 Very Fine\r\nServer: theirs\r\nX-A: 1\r\nX-A: 2\r\nDate: then\r\n"
        b"X-Kong-Upstream-Latency: %d\r\nX-Kong-Proxy-Latency: %d\r\n"
        b"Via: 1.0 theirs, 1.1 kong/3.9.1\r\nX-Kong-Request-Id: %b\r\n"
        b"Content-Length: 2\r\nConnection: keep-alive\r\n\r\nok"
        % (request.upstream_latency_ms, request.proxy_latency_ms, request.request_id)
    )
    assert (request.status, request.response_source) == (299, "service")
    assert [(attempt.address, attempt.port, attempt.state) for attempt in request.tries] == [
        ("127.0.0.1", upstream.number, "")
    ]
    assert gateway.balancer.events == [
        ("started", upstream.number),
        ("finished", upstream.number, 299),
    ]


@pytest_twisted.ensureDeferred
async def test_headers_off_sends_none_of_them(made: Any) -> None:
    upstream = made.upstream()
    gateway = made.gateway(upstream, settings=GatewaySettings(headers=(), headers_upstream=()))
    answer = await gateway.ask(GET)
    assert answer == (
        b"HTTP/1.1 200 OK\r\nDate: then\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nok"
    )
    assert b"X-Kong" not in upstream.received
    _, fields, _ = parse(await gateway.ask(b"GET /none HTTP/1.1\r\nHost: a\r\n\r\n"))
    assert set(fields) == {b"date", b"content-type", b"content-length", b"connection"}


@pytest_twisted.ensureDeferred
async def test_upstream_status_is_sent_when_asked_for(made: Any) -> None:
    gateway = made.gateway(
        made.upstream(), settings=GatewaySettings(headers=("X-Kong-Upstream-Status",))
    )
    _, fields, _ = parse(await gateway.ask(GET))
    assert fields[b"x-kong-upstream-status"] == [b"200"]
    assert b"via" not in fields


@pytest_twisted.ensureDeferred
async def test_one_upstream_connection_serves_many_requests(made: Any) -> None:
    upstream = made.upstream()
    gateway = made.gateway(upstream)
    client = await gateway.connect()
    for count in range(1, 4):
        client.transport.write(GET)
        await client.until(lambda data, count=count: data.count(b"\r\n\r\nok") == count)
    assert len(upstream.connections) == 1
    assert gateway.pool.idle_count() == 1


@pytest_twisted.ensureDeferred
async def test_pipelined_requests_are_answered_in_order(made: Any) -> None:
    def script(connection: Any, data: bytes) -> None:
        path = data.split(b" ")[1]
        connection.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n" + path)

    gateway = made.gateway(made.upstream(script))
    client = await gateway.connect()
    client.transport.write(
        b"".join(b"GET /api/%d HTTP/1.1\r\nHost: a\r\n\r\n" % number for number in range(5))
        + b"GET /none HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    )
    await client.closed
    assert re.findall(rb"\r\n\r\n(/\d)", client.data) == [b"/0", b"/1", b"/2", b"/3", b"/4"]
    assert client.data.count(b"HTTP/1.1 404 Not Found") == 1


@pytest_twisted.ensureDeferred
async def test_a_body_with_a_length_goes_through(made: Any) -> None:
    upstream = made.upstream(
        lambda connection, data: connection.data.endswith(b"end") and connection.transport.write(OK)
    )
    gateway = made.gateway(upstream)
    body = b"x" * 100_000 + b"end"
    head = b"POST /api HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body)
    status, _, answer = parse(await gateway.ask(head + body))
    assert (status, answer) == (200, b"ok")
    sent_head, _, sent = upstream.received.partition(b"\r\n\r\n")
    assert sent == body
    assert parse_fields(sent_head)[b"content-length"] == [b"%d" % len(body)]
    assert gateway.log.requests[0].request_size == len(head) + len(body)


@pytest_twisted.ensureDeferred
async def test_a_chunked_body_is_buffered_and_gets_a_length(made: Any) -> None:
    upstream = made.upstream(
        lambda connection, data: (
            connection.data.endswith(b"hello world") and connection.transport.write(OK)
        )
    )
    gateway = made.gateway(upstream)
    status, _, _ = parse(
        await gateway.ask(
            b"POST /api HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"6\r\nhello \r\n5;x=y\r\nworld\r\n0\r\n\r\n"
        )
    )
    assert status == 200
    head, _, body = upstream.received.partition(b"\r\n\r\n")
    assert body == b"hello world"
    assert parse_fields(head)[b"content-length"] == [b"11"]
    assert b"transfer-encoding" not in parse_fields(head)


@pytest_twisted.ensureDeferred
async def test_an_unbuffered_chunked_body_is_streamed(made: Any) -> None:
    upstream = made.upstream(
        lambda connection, data: (
            connection.data.endswith(b"0\r\n\r\n") and connection.transport.write(OK)
        )
    )
    gateway = made.gateway(upstream, route={"request_buffering": False})
    client = await gateway.connect()
    client.transport.write(
        b"POST /api HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nhello \r\n"
    )
    connection = await upstream.connection()
    await connection.until(b"6\r\nhello \r\n")
    client.transport.write(b"5\r\nworld\r\n0\r\n\r\n")
    await client.until(b"\r\n\r\nok")
    head, _, body = upstream.received.partition(b"\r\n\r\n")
    assert body == b"6\r\nhello \r\n5\r\nworld\r\n0\r\n\r\n"
    assert parse_fields(head)[b"transfer-encoding"] == [b"chunked"]


@pytest_twisted.ensureDeferred
async def test_trailers_of_a_request_stay_here(made: Any) -> None:
    upstream = made.upstream()
    gateway = made.gateway(upstream)
    await gateway.ask(
        b"POST /api HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n"
        b"3\r\nabc\r\n0\r\nX-Consumer-Username: bob\r\nX-T: 1\r\n\r\n"
    )
    assert upstream.received.endswith(b"\r\n\r\nabc")
    assert b"bob" not in upstream.received


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n"


@pytest_twisted.ensureDeferred
async def test_a_chunked_answer_that_comes_whole_gets_a_length(made: Any) -> None:
    upstream = made.upstream(answering(CHUNKED + b"3\r\nabc\r\n3\r\ndef\r\n0\r\nX-T: 1\r\n\r\n"))
    gateway = made.gateway(upstream)
    status, fields, body = parse(await gateway.ask(GET))
    assert (status, body) == (200, b"abcdef")
    assert fields[b"content-length"] == [b"6"]
    assert b"trailer" not in fields
    assert gateway.pool.idle_count() == 1


@pytest_twisted.ensureDeferred
async def test_a_chunked_answer_in_pieces_stays_chunked(made: Any) -> None:
    upstream = made.upstream(answering(CHUNKED + b"3\r\nabc\r\n"))
    gateway = made.gateway(upstream)
    client = await gateway.connect()
    client.transport.write(GET)
    await client.until(b"abc")
    upstream.connections[0].transport.write(b"3\r\ndef\r\n0\r\nX-T: 1\r\n\r\n")
    await client.until(b"0\r\n\r\n")
    assert parse(client.data)[2] == b"3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n"


@pytest_twisted.ensureDeferred
async def test_trailers_go_to_clients_that_take_them(made: Any) -> None:
    upstream = made.upstream(answering(CHUNKED + b"3\r\nabc\r\n0\r\nX-T: 1\r\n\r\n"))
    gateway = made.gateway(upstream)
    data = await gateway.ask(
        b"GET /api HTTP/1.1\r\nHost: a\r\nTE: trailers\r\n\r\n", b"X-T: 1\r\n\r\n"
    )
    _, fields, body = parse(data)
    assert fields[b"trailer"] == [b"X-T"]
    assert body == b"3\r\nabc\r\n0\r\nX-T: 1\r\n\r\n"


@pytest_twisted.ensureDeferred
async def test_an_old_client_gets_a_close_delimited_answer(made: Any) -> None:
    upstream = made.upstream()
    upstream.script = lambda connection, data: connection.transport.write(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"
    )
    gateway = made.gateway(upstream)
    client = await gateway.connect()
    client.transport.write(b"GET /api HTTP/1.0\r\n\r\n")
    await client.until(b"abc")
    upstream.connections[0].transport.write(b"3\r\ndef\r\n0\r\n\r\n")
    await client.closed
    _, fields, body = parse(client.data)
    assert body == b"abcdef"
    assert fields[b"connection"] == [b"close"]
    assert b"transfer-encoding" not in fields


@pytest_twisted.ensureDeferred
async def test_head_gets_the_length_and_no_body(made: Any) -> None:
    upstream = made.upstream(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"))
    gateway = made.gateway(upstream)
    client = await gateway.connect()
    for count in (1, 2):
        client.transport.write(b"HEAD /api HTTP/1.1\r\nHost: a\r\n\r\n")
        await client.until(lambda data, count=count: data.count(b"\r\n\r\n") == count)
    _, fields, _ = parse(client.data[: len(client.data) // 2])
    assert fields[b"content-length"] == [b"1000"]
    assert len(upstream.connections) == 1


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
@pytest_twisted.ensureDeferred
async def test_statuses_without_body_have_none(made: Any, status: bytes) -> None:
    upstream = made.upstream(answering(b"HTTP/1.1 %b\r\nETag: x\r\n\r\n" % status))
    gateway = made.gateway(upstream)
    client = await gateway.connect()
    for count in (1, 2):
        client.transport.write(GET)
        await client.until(lambda data, count=count: data.count(b"\r\n\r\n") == count)
    assert b"Content-Length" not in client.data
    assert b"Transfer-Encoding" not in client.data
    assert client.data.count(b"HTTP/1.1 " + status) == 2


@pytest_twisted.ensureDeferred
async def test_without_a_route_the_answer_is_404_as_json(made: Any) -> None:
    gateway = made.gateway(made.upstream())
    status, fields, body = parse(await gateway.ask(b"GET /none HTTP/1.1\r\nHost: a\r\n\r\n"))
    request = gateway.log.requests[0]
    assert status == 404
    assert fields[b"content-type"] == [b"application/json; charset=utf-8"]
    assert fields[b"server"] == [b"kong/3.9.1"]
    assert b"x-kong-response-latency" in fields
    assert body == (
        b'{\n  "message":"no Route matched with those values",\n  "request_id":"%b"\n}'
        % request.request_id
    )
    assert json.loads(body)["request_id"].encode() == fields[b"x-kong-request-id"][0]


@pytest_twisted.ensureDeferred
async def test_a_route_without_service_is_answered_503(made: Any) -> None:
    gateway = made.gateway(routes=[(ROUTE, None)])
    status, _, body = parse(await gateway.ask(GET))
    assert status == 503
    assert json.loads(body)["message"] == "no Service found with those values"


@pytest_twisted.ensureDeferred
async def test_a_closed_port_is_502_in_plain_text(made: Any) -> None:
    gateway = made.gateway(Peer("127.0.0.1", free_port(), b"x"), service={"retries": 2})
    status, fields, body = parse(await gateway.ask(GET))
    request = gateway.log.requests[0]
    assert status == 502
    assert body == (
        b"An invalid response was received from the upstream server\nrequest_id: %b\n"
        % request.request_id
    )
    assert fields[b"content-type"] == [b"text/plain; charset=utf-8"]
    assert fields[b"via"] == [b"1.1 kong/3.9.1"]
    assert fields[b"server"] == [b"kong/3.9.1"]
    assert b"x-kong-upstream-latency" in fields
    assert b"x-kong-proxy-latency" in fields
    assert b"x-kong-response-latency" not in fields
    assert [attempt.state for attempt in request.tries] == ["next", "next", "failed"]
    assert [event[-1] for event in gateway.balancer.events[1::2]] == ["tcp_failure"] * 3


@pytest.mark.parametrize(
    ("status", "location"),
    [(301, True), (302, True), (307, True), (308, True), (426, False)],
)
@pytest_twisted.ensureDeferred
async def test_an_https_route_sends_plain_clients_away(
    made: Any, status: int, location: bool
) -> None:
    gateway = made.gateway(
        made.upstream(), route={"protocols": ["https"], "https_redirect_status_code": status}
    )
    got, fields, body = parse(await gateway.ask(GET))
    assert got == status
    if location:
        assert fields[b"location"] == [b"https://example.com/api/things?q=1"]
        assert b"<html>" in body
    else:
        assert fields[b"upgrade"] == [b"TLS/1.2, HTTP/1.1"]
        assert json.loads(body)["message"] == "Please use HTTPS protocol"
    assert gateway.log.requests[0].route["id"] == ROUTE["id"]


@pytest_twisted.ensureDeferred
async def test_preserve_host_sends_the_clients_own(made: Any) -> None:
    upstream = made.upstream()
    gateway = made.gateway(upstream, route={"preserve_host": True})
    await gateway.ask(b"GET /api HTTP/1.1\r\nHost: Example.com:81\r\n\r\n")
    assert b"\r\nHost: Example.com:81\r\n" in upstream.received


@pytest_twisted.ensureDeferred
async def test_debug_headers_name_the_route_when_allowed(made: Any) -> None:
    request = b"GET /api HTTP/1.1\r\nHost: a\r\nKong-Debug: 1\r\n\r\n"
    gateway = made.gateway(made.upstream(), settings=GatewaySettings(allow_debug_header=True))
    _, fields, _ = parse(await gateway.ask(request))
    assert fields[b"kong-route-name"] == [b"example-route"]
    assert fields[b"kong-service-name"] == [b"example"]
    closed = made.gateway(made.upstream())
    _, fields, _ = parse(await closed.ask(request))
    assert b"kong-route-name" not in fields


@pytest_twisted.ensureDeferred
async def test_a_trusted_proxys_word_is_taken(made: Any) -> None:
    upstream = made.upstream()
    gateway = made.gateway(
        upstream,
        settings=GatewaySettings(trusted_ips=("127.0.0.0/8",), real_ip_header="X-Forwarded-For"),
    )
    await gateway.ask(
        b"GET /api/x HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 9.9.9.9, 8.8.8.8\r\n"
        b"X-Forwarded-Proto: https\r\nX-Forwarded-Host: outside\r\nX-Forwarded-Port: 443\r\n"
        b"X-Forwarded-Path: /out\r\nX-Forwarded-Prefix: /pre\r\n\r\n"
    )
    fields = parse_fields(upstream.received.partition(b"\r\n\r\n")[0])
    assert {name: fields[name] for name in sorted(fields) if name.startswith(b"x-")} == {
        b"x-forwarded-for": [b"9.9.9.9, 8.8.8.8, 127.0.0.1"],
        b"x-forwarded-host": [b"outside"],
        b"x-forwarded-path": [b"/out"],
        b"x-forwarded-port": [b"443"],
        b"x-forwarded-prefix": [b"/pre"],
        b"x-forwarded-proto": [b"https"],
        b"x-kong-request-id": [gateway.log.requests[0].request_id],
        b"x-real-ip": [b"8.8.8.8"],
    }
    assert gateway.log.requests[0].client_ip == "8.8.8.8"


@pytest_twisted.ensureDeferred
async def test_a_new_snapshot_serves_the_next_request(made: Any) -> None:
    first, second = made.upstream(), made.upstream(answering(OK.replace(b"ok", b"no")))
    gateway = made.gateway(first)
    other = made.gateway(second)
    client = await gateway.connect()
    client.transport.write(GET)
    await client.until(b"\r\n\r\nok")
    gateway.gateway.snapshot = other.snapshot
    client.transport.write(GET)
    await client.until(b"\r\n\r\nno")
    assert len(second.connections) == 1


@pytest_twisted.ensureDeferred
async def test_draining_finishes_what_runs_and_closes_the_rest(made: Any) -> None:
    upstream = made.upstream(lambda connection, data: None)
    gateway = made.gateway(upstream)
    idle, busy = await gateway.connect(), await gateway.connect()
    busy.transport.write(GET)
    connection = await upstream.connection()
    await connection.until(b"\r\n\r\n")
    drained = gateway.gateway.drain()
    assert not drained.called
    connection.transport.write(OK)
    await busy.closed
    assert b"Connection: close\r\n\r\nok" in busy.data
    await idle.closed
    await drained


@pytest_twisted.ensureDeferred
async def test_a_websocket_is_tunnelled(made: Any) -> None:
    def script(connection: Any, data: bytes) -> None:
        if data.startswith(b"GET"):
            connection.transport.write(
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                b"Connection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\nhello"
            )
        else:
            connection.transport.write(b"echo " + data)

    upstream = made.upstream(script)
    gateway = made.gateway(upstream)
    client = await gateway.connect()
    client.transport.write(
        b"GET /api HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\n"
        b"Upgrade: websocket\r\nSec-WebSocket-Key: k\r\n\r\n"
    )
    await client.until(b"hello")
    fields = parse_fields(upstream.received.partition(b"\r\n\r\n")[0])
    assert fields[b"connection"] == [b"keep-alive, Upgrade"]
    assert fields[b"upgrade"] == [b"websocket"]
    assert client.data.startswith(b"HTTP/1.1 101 Switching Protocols\r\n")
    client.transport.write(b"ping")
    await client.until(b"echo ping")
    upstream.connections[0].transport.loseConnection()
    await client.closed
    assert gateway.log.requests[0].status == 101


@pytest_twisted.ensureDeferred
async def test_an_upgrade_to_http2_is_not_passed_on(made: Any) -> None:
    upstream = made.upstream()
    gateway = made.gateway(upstream)
    client = await gateway.connect()
    for count in (1, 2):
        client.transport.write(
            b"GET /api HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\n"
            b"Upgrade: h2c\r\nHTTP2-Settings: x\r\n\r\n"
        )
        await client.until(lambda data, count=count: data.count(b"\r\n\r\nok") == count)
    fields = parse_fields(upstream.received.partition(b"\r\n\r\n")[0])
    assert fields[b"connection"] == [b"keep-alive"]
    assert b"upgrade" not in fields
    assert b"http2-settings" not in fields


@pytest_twisted.ensureDeferred
async def test_an_upgrade_that_is_refused_is_an_ordinary_answer(made: Any) -> None:
    gateway = made.gateway(made.upstream())
    client = await gateway.connect()
    request = b"GET /api HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    for count in (1, 2):
        client.transport.write(request)
        await client.until(lambda data, count=count: data.count(b"\r\n\r\nok") == count)


@pytest.mark.parametrize("framing", [b"Content-Length: 2\r\n\r\nok", b"X: y\r\n\r\nok"])
@pytest_twisted.ensureDeferred
async def test_an_answer_without_a_date_gets_one(made: Any, framing: bytes) -> None:
    upstream = made.upstream(answering(b"HTTP/1.1 200 OK\r\n" + framing))
    gateway = made.gateway(upstream)
    gateway.gateway.time = lambda: 1_800_000_000.0
    client = await gateway.connect()
    client.transport.write(GET)
    await client.until(b"ok")
    _, fields, _ = parse(client.data)
    assert fields[b"date"] == [b"Fri, 15 Jan 2027 08:00:00 GMT"]


@pytest_twisted.ensureDeferred
async def test_an_old_client_without_host_is_served(made: Any) -> None:
    upstream = made.upstream()
    gateway = made.gateway(upstream)
    client = await gateway.connect()
    client.transport.write(b"GET /api HTTP/1.0\r\n\r\n")
    await client.closed
    assert client.data.endswith(b"Connection: close\r\n\r\nok")
    fields = parse_fields(upstream.received.partition(b"\r\n\r\n")[0])
    assert fields[b"via"] == [b"1.0 kong/3.9.1"]
    assert b"x-forwarded-host" not in fields


@pytest_twisted.ensureDeferred
async def test_repeated_header_fields_are_still_each_requests_own(made: Any) -> None:
    upstream = made.upstream()
    gateway = made.gateway(upstream)
    client = await gateway.connect()
    lines = [
        (b"GET /api/1?a HTTP/1.1", b"X: 1"),
        (b"PUT /api/2 HTTP/1.1", b"X: 1"),
        (b"GET /api/3 HTTP/1.1", b"X: 2"),
        (b"GET http://other/api/4 HTTP/1.1", b"X: 2"),
        (b"GET /api/5 HTTP/1.1", b"X: 2"),
        (b"GET /none HTTP/1.1", b"X: 2"),
        (b"GET /api/6 HTTP/1.0", b"X: 2"),
    ]
    for count, (line, field) in enumerate(lines, 1):
        client.transport.write(line + b"\r\nHost: a\r\n" + field + b"\r\n\r\n")
        await client.until(lambda data, count=count: data.count(b"HTTP/1.1 ") == count)
    await client.closed
    heads = [head for head in upstream.received.split(b"\r\n\r\n") if head]
    seen = [(head.split(b" HTTP", 1)[0], parse_fields(head)) for head in heads]
    ids = [request.request_id for request in gateway.log.requests]
    assert [
        (
            line,
            fields[b"x-forwarded-host"][0],
            fields[b"x-forwarded-path"][0],
            fields[b"via"][0][:3],
            fields[b"x"][0],
        )
        for line, fields in seen
    ] == [
        (b"GET /1?a", b"a", b"/api/1", b"1.1", b"1"),
        (b"PUT /2", b"a", b"/api/2", b"1.1", b"1"),
        (b"GET /3", b"a", b"/api/3", b"1.1", b"2"),
        (b"GET /4", b"other", b"/api/4", b"1.1", b"2"),
        (b"GET /5", b"a", b"/api/5", b"1.1", b"2"),
        (b"GET /6", b"a", b"/api/6", b"1.0", b"2"),
    ]
    assert [fields[b"x-kong-request-id"][0] for _, fields in seen] == ids[:5] + ids[6:]
    assert len(set(ids)) == 7


@pytest_twisted.ensureDeferred
async def test_an_unknown_method_is_refused_even_with_known_fields(made: Any) -> None:
    upstream = made.upstream()
    gateway = made.gateway(upstream)
    client = await gateway.connect()
    client.transport.write(GET)
    await client.until(b"\r\n\r\nok")
    client.transport.write(GET.replace(b"GET", b"GARBAGE", 1))
    await client.until(b"HTTP/1.1 400 ")
    assert upstream.received.count(b"HTTP/1.1\r\n") == 1


@pytest.mark.parametrize("framing", [b"Content-Length: 3000000", b"Transfer-Encoding: chunked"])
@pytest_twisted.ensureDeferred
async def test_a_body_over_the_limit_is_answered_413_and_the_answer_arrives(
    made: Any, framing: bytes
) -> None:
    upstream = made.upstream()
    gateway = made.gateway(upstream, settings=GatewaySettings(limits=Limits(body_bytes=1_000_000)))
    client = await gateway.connect()
    client.transport.write(b"POST /api HTTP/1.1\r\nHost: a\r\n" + framing + b"\r\n\r\n")
    client.transport.write(b"2DC6C0\r\n" + b"x" * 3_000_000)
    await client.until(is_whole)
    status, fields, body = parse(client.data)
    assert (status, fields[b"connection"]) == (413, [b"close"])
    assert body.startswith(b"Payload too large\n")
    assert upstream.connections == []
    assert gateway.log.requests[0].status == 413
    client.transport.loseConnection()
    assert await client.closed == "ConnectionDone"
