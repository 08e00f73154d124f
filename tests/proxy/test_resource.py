"""A gateway in a Site of twisted.web behaves as it does on its own."""

from __future__ import annotations

import json
from typing import Any

import pytest
import pytest_twisted
from twisted.web.resource import IResource
from zope.interface.verify import verifyObject

from kongtx.http.interfaces import IServerChannel
from kongtx.proxy.resource import GatewayResource, WebChannel
from tests.proxy.kit import OK, Handler, Plugins, Step, answering, parse, parse_fields

GET = b"GET /api/things?q=1 HTTP/1.1\r\nHost: example.com\r\n\r\n"


def test_it_is_a_resource(made: Any) -> None:
    resource = GatewayResource(made.gateway(made.upstream()).gateway)
    verifyObject(IResource, resource)
    assert IServerChannel.implementedBy(WebChannel)
    assert resource.isLeaf
    assert resource.getChildWithDefault(b"x", None) is resource


@pytest_twisted.ensureDeferred
async def test_a_request_goes_upstream_with_forwarded_headers(made: Any) -> None:
    upstream = made.upstream()
    gateway = made.gateway(upstream, resource=True)
    await gateway.ask(
        b"GET /api/things?q=1 HTTP/1.1\r\nHost: Example.com:8080\r\nX-A: 1\r\nX-A: 2\r\n\r\n"
    )
    request_id = gateway.log.requests[0].request_id
    assert upstream.received == (
        b"GET /things?q=1 HTTP/1.1\r\nHost: upstream.test:%d\r\nVia: 1.1 kong/3.9.1\r\n"
        b"X-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Port: %d\r\n"
        b"X-Real-IP: 127.0.0.1\r\nX-Forwarded-Host: example.com\r\n"
        b"X-Forwarded-Path: /api/things\r\nX-Forwarded-Prefix: /api\r\n"
        b"X-Kong-Request-Id: %b\r\nConnection: keep-alive\r\nX-A: 1\r\nX-A: 2\r\n\r\n"
        % (upstream.number, gateway.number, request_id)
    )


@pytest_twisted.ensureDeferred
async def test_the_answer_comes_back(made: Any) -> None:
    upstream = made.upstream(
        answering(b"HTTP/1.1 299 Very Fine\r\nX-A: 1\r\nX-A: 2\r\nContent-Length: 2\r\n\r\nok")
    )
    answer = await made.gateway(upstream, resource=True).ask(GET)
    status, fields, body = parse(answer)
    assert answer.startswith(b"HTTP/1.1 299 Very Fine\r\n")
    assert (status, body, fields[b"x-a"]) == (299, b"ok", [b"1", b"2"])
    assert fields[b"via"] == [b"1.1 kong/3.9.1"]
    assert b"server" not in fields
    assert b"x-kong-upstream-latency" in fields


@pytest_twisted.ensureDeferred
async def test_gateway_errors_are_the_same(made: Any) -> None:
    gateway = made.gateway(made.upstream(), resource=True)
    status, fields, body = parse(await gateway.ask(b"GET /none HTTP/1.1\r\nHost: a\r\n\r\n"))
    assert status == 404
    assert fields[b"server"] == [b"kong/3.9.1"]
    assert json.loads(body)["message"] == "no Route matched with those values"


@pytest_twisted.ensureDeferred
async def test_a_bad_host_is_refused(made: Any) -> None:
    gateway = made.gateway(made.upstream(), resource=True)
    assert parse(await gateway.ask(b"GET /api HTTP/1.1\r\nHost: a b\r\n\r\n"))[0] == 400


@pytest_twisted.ensureDeferred
async def test_a_trace_is_refused(made: Any) -> None:
    upstream = made.upstream()
    gateway = made.gateway(upstream, resource=True)
    assert parse(await gateway.ask(b"TRACE /api HTTP/1.1\r\nHost: a\r\n\r\n"))[0] == 405
    assert upstream.connections == []


@pytest.mark.parametrize("buffering", [True, False])
@pytest_twisted.ensureDeferred
async def test_a_long_body_goes_through(made: Any, buffering: bool) -> None:
    upstream = made.upstream(
        lambda connection, data: connection.data.endswith(b"end") and connection.transport.write(OK)
    )
    gateway = made.gateway(upstream, resource=True, route={"request_buffering": buffering})
    body = b"x" * 1_000_000 + b"end"
    status, _, answer = parse(
        await gateway.ask(
            b"POST /api HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
        )
    )
    assert (status, answer) == (200, b"ok")
    head, _, sent = upstream.received.partition(b"\r\n\r\n")
    assert sent == body
    assert parse_fields(head)[b"content-length"] == [b"%d" % len(body)]


@pytest_twisted.ensureDeferred
async def test_a_response_without_length_is_chunked(made: Any) -> None:
    upstream = made.upstream(
        answering(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
    )
    gateway = made.gateway(upstream, resource=True)
    client = await gateway.connect()
    client.transport.write(GET)
    await client.until(b"abc")
    upstream.connections[0].transport.write(b"3\r\ndef\r\n0\r\n\r\n")
    await client.until(b"0\r\n\r\n")
    assert parse(client.data)[2] == b"3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n"


@pytest_twisted.ensureDeferred
async def test_head_gets_the_length_and_no_body(made: Any) -> None:
    upstream = made.upstream(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"))
    gateway = made.gateway(upstream, resource=True)
    data = await gateway.ask(b"HEAD /api HTTP/1.1\r\nHost: a\r\n\r\n", b"\r\n\r\n")
    _, fields, body = parse(data)
    assert (fields[b"content-length"], body) == ([b"1000"], b"")


@pytest_twisted.ensureDeferred
async def test_a_client_that_leaves_is_logged_as_499(made: Any) -> None:
    upstream = made.upstream(lambda connection, data: None)
    gateway = made.gateway(upstream, resource=True)
    client = await gateway.connect()
    client.transport.write(GET)
    connection = await upstream.connection()
    await connection.until(b"\r\n\r\n")
    client.transport.loseConnection()
    await gateway.log.wait()
    await connection.closed
    assert gateway.log.requests[0].status == 499


@pytest_twisted.ensureDeferred
async def test_a_cut_response_cuts_the_client(made: Any) -> None:
    upstream = made.upstream(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc"))
    gateway = made.gateway(upstream, resource=True)
    client = await gateway.connect()
    client.transport.write(GET)
    await client.until(b"abc")
    upstream.connections[0].transport.loseConnection()
    assert await client.closed == "ConnectionLost"


@pytest_twisted.ensureDeferred
async def test_phases_run(made: Any) -> None:
    phases: list[str] = []

    def note(request: Any) -> None:
        phases.append(request.phase)

    handler = Handler("a", access=note, header_filter=note, body_filter=note, log=note)
    gateway = made.gateway(made.upstream(), resource=True, plugins=Plugins([Step(handler)]))
    assert parse(await gateway.ask(GET))[::2] == (200, b"ok")
    assert phases == ["access", "header_filter", "body_filter", "log"]
    request = gateway.log.requests[0]
    assert (request.body_bytes_sent, request.request_size) == (2, len(GET))
