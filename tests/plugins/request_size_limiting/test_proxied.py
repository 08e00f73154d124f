"""request-size-limiting in front of an upstream."""

from __future__ import annotations

import pytest_twisted
from twisted.internet import reactor
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol

from kongtx.testing.upstream import Upstream
from tests.plugins.proxied import Make, ask, declared
from tests.proxy.kit import Recorder

PLUGIN = {
    "name": "request-size-limiting",
    "config": {"allowed_payload_size": 10, "size_unit": "bytes"},
}


@pytest_twisted.ensureDeferred
async def test_long_bodies_do_not_reach_the_upstream(
    make_gateway: Make, upstream: Upstream
) -> None:
    gateway = await make_gateway(declared(upstream, PLUGIN))
    assert (await ask(gateway.url, "POST", b"x" * 10)).json["body"] == "x" * 10
    refused = await ask(gateway.url, "POST", b"x" * 11)
    assert (refused.status, refused.json["message"]) == (413, "Request size limit exceeded")
    assert len(upstream.received) == 1


@pytest_twisted.ensureDeferred
async def test_a_body_without_end_is_refused_on_the_way(
    make_gateway: Make, upstream: Upstream
) -> None:
    gateway = await make_gateway(declared(upstream, PLUGIN))
    port = int(gateway.url.rpartition(":")[2])
    client = Recorder()
    await connectProtocol(TCP4ClientEndpoint(reactor, "127.0.0.1", port), client)
    client.transport.write(
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nb\r\nxxxxxxxxxxx\r\n"
    )
    received = await client.until(b"Request size limit exceeded")
    assert received.startswith(b"HTTP/1.1 413 ")
    assert upstream.received == []
    client.transport.loseConnection()
