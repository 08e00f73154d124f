"""Requests that two servers could read in two ways: what goes upstream, or what is answered.

The cases are made from the rules of RFC 9112 (sections in the comments). The upstream must see one
request for each that the gateway has understood, with one reading, or none.
"""

from __future__ import annotations

import re
from typing import Any

import pytest
import pytest_twisted

from tests.proxy.kit import OK, UpstreamConnection, parse_fields

HOST = b"Host: a\r\n"
HIDDEN = b"GET /api/hidden HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST /api HTTP/1.1\r\n" + HOST


def answer_each(connection: UpstreamConnection, data: bytes) -> None:
    """Answer as many requests as are complete; bodies are as their Content-Length says."""
    rest = connection.data[getattr(connection, "taken", 0) :]
    head, mark, body = rest.partition(b"\r\n\r\n")
    if not mark:
        return
    length = int(parse_fields(head).get(b"content-length", [b"0"])[0])
    if len(body) >= length:
        connection.taken = len(connection.data) - len(body) + length
        connection.transport.write(OK)


@pytest.mark.parametrize(
    ("data", "statuses"),
    [
        # §6.1: Transfer-Encoding and Content-Length together.
        (
            POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + HIDDEN,
            [400],
        ),
        (
            POST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n" + HIDDEN,
            [400],
        ),
        # §6.3: lengths that differ, or are none.
        (POST + b"Content-Length: 0\r\nContent-Length: 40\r\n\r\n" + HIDDEN, [400]),
        (POST + b"Content-Length: 0, 40\r\n\r\n" + HIDDEN, [400]),
        (POST + b"Content-Length: +0\r\n\r\n" + HIDDEN, [400]),
        (POST + b"Content-Length: 0x0\r\n\r\n" + HIDDEN, [400]),
        (POST + b"Content-Length: \r\n\r\n" + HIDDEN, [400]),
        # §5.1: white space before the colon hides a field from one of two readers.
        (POST + b"Content-Length : 40\r\n\r\n" + HIDDEN, [400]),
        (POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + HIDDEN, [400]),
        # §5.2: folding does, too.
        (POST + b"X: y\r\n Content-Length: 40\r\n\r\n" + HIDDEN, [400]),
        (POST + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n" + HIDDEN, [400]),
        # §2.2: lines end in CRLF.
        (POST + b"X: y\nContent-Length: 40\r\n\r\n" + HIDDEN, [400]),
        (POST + b"X: y\rContent-Length: 40\r\n\r\n" + HIDDEN, [400]),
        (b"POST /api HTTP/1.1\nHost: a\nContent-Length: 40\n\n" + HIDDEN, [400]),
        (POST + b"X: \x00\r\n\r\n" + HIDDEN, [400]),
        # §6.1: codings that are not understood, or not last, or said in odd ways.
        (POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + HIDDEN, [400]),
        (POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n" + HIDDEN, [400]),
        (POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n" + HIDDEN, [501]),
        (POST + b'Transfer-Encoding: "chunked"\r\n\r\n0\r\n\r\n' + HIDDEN, [400]),
        (POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n" + HIDDEN, [400]),
        (b"POST /api HTTP/1.0\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", [400]),
        # §7.1: chunk sizes.
        (POST + b"Transfer-Encoding: chunked\r\n\r\n0x0\r\n\r\n" + HIDDEN, [400]),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n" + HIDDEN, [400]),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n1 \r\na\r\n0\r\n\r\n" + HIDDEN, [400]),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n1\na\n0\n\n" + HIDDEN, [400]),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n1;\na\r\n0\r\n\r\n" + HIDDEN, [400]),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n10000000000000000\r\na\r\n" + HIDDEN, [400]),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n" + HIDDEN, [400]),
        (
            POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 5\r\n\r\n" + HIDDEN,
            [400],
        ),
        # §3: request lines.
        (b"POST /api HTTP/1.1 \r\n" + HOST + b"\r\n" + HIDDEN, [400]),
        (b"POST /api\r\n\r\n" + HIDDEN, [400]),
        (b"POST /api HTTP/1.1HTTP/1.1\r\n" + HOST + b"\r\n" + HIDDEN, [400]),
        (b"POST /api HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n" + HIDDEN, [400]),
        # Good ones: one reading each.
        (POST + b"Content-Length: 00\r\n\r\n" + HIDDEN, [200, 200]),
        (POST + b"Content-Length: 37\r\n\r\n" + HIDDEN, [200]),
        (POST + b"content-length:37\r\n\r\n" + HIDDEN, [200]),
        (POST + b"Transfer-Encoding: Chunked\r\n\r\n0\r\n\r\n" + HIDDEN, [200, 200]),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n25\r\n" + HIDDEN + b"\r\n0\r\n\r\n", [200]),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n0;a=b\r\nX: y\r\n\r\n" + HIDDEN, [200, 200]),
        (b"GET /api HTTP/1.1\r\n" + HOST + b"Content-Length: 37\r\n\r\n" + HIDDEN, [200]),
        (b"\r\nGET /api HTTP/1.1\r\n" + HOST + b"\r\n\r\n" + HIDDEN, [200, 200]),
    ],
)
@pytest_twisted.ensureDeferred
async def test_every_request_has_one_reading(made: Any, data: bytes, statuses: list[int]) -> None:
    upstream = made.upstream(answer_each)
    gateway = made.gateway(upstream)
    client = await gateway.connect()
    last = b"GET /api/last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    refused = statuses[-1] != 200
    client.transport.write(data if refused else data + last)
    if refused:
        await client.until(b"request_id: ")
    else:
        await client.closed
    expected = statuses if refused else [*statuses, 200]
    got = [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", client.data)]
    assert got == expected
    received = upstream.received
    understood = expected.count(200)
    assert received.count(b"X-Kong-Request-Id: ") == understood
    assert len(gateway.log.requests) == len(expected)
    if refused:
        assert received == b""
    else:
        # The second request is one of its own, or the first one's body, as the client said.
        assert received.count(b"GET /hidden") == len(statuses) - 1
        assert received.count(b"GET /api/hidden") == 2 - len(statuses)


@pytest_twisted.ensureDeferred
async def test_what_is_forwarded_has_one_length(made: Any) -> None:
    upstream = made.upstream(answer_each)
    gateway = made.gateway(upstream)
    await gateway.ask(
        b"POST /api HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
        b"Connection: Transfer-Encoding, Content-Length, X-Forwarded-For, Host\r\n\r\n"
        b"3\r\nabc\r\n0\r\n\r\n"
    )
    fields = parse_fields(upstream.received.partition(b"\r\n\r\n")[0])
    assert fields[b"content-length"] == [b"3"]
    assert fields[b"host"] == [b"upstream.test:%d" % upstream.number]
    assert fields[b"x-forwarded-for"] == [b"127.0.0.1"]
    assert b"transfer-encoding" not in fields


@pytest_twisted.ensureDeferred
async def test_an_upstream_cannot_answer_two_requests_with_one_reply(made: Any) -> None:
    upstream = made.upstream(
        lambda connection, data: connection.transport.write(
            OK + b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nstolen"
        )
    )
    gateway = made.gateway(upstream)
    client = await gateway.connect()
    for count in (1, 2):
        client.transport.write(b"GET /api HTTP/1.1\r\nHost: a\r\n\r\n")
        await client.until(lambda data, count=count: data.count(b"\r\n\r\nok") == count)
    assert b"stolen" not in client.data
    assert len(upstream.connections) == 2


@pytest_twisted.ensureDeferred
async def test_a_refused_upgrade_leaves_no_tunnel(made: Any) -> None:
    upstream = made.upstream(answer_each)
    gateway = made.gateway(upstream)
    client = await gateway.connect()
    client.transport.write(
        b"GET /api HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
        b"GET /none HTTP/1.1\r\nHost: a\r\n\r\n"
    )
    await client.until(b"no Route matched")
    assert b"/none" not in upstream.received


@pytest_twisted.ensureDeferred
async def test_an_uninvited_101_is_no_answer(made: Any) -> None:
    upstream = made.upstream(
        lambda connection, data: connection.transport.write(
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"
        )
    )
    gateway = made.gateway(upstream)
    answer = await gateway.ask(b"GET /api HTTP/1.1\r\nHost: a\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 502 ")
