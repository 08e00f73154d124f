"""Tunnels after an upgrade: both directions, backpressure, endings."""

from __future__ import annotations

from typing import Any

import pytest_twisted
from twisted.internet import reactor
from twisted.internet.task import deferLater

from tests.proxy.kit import parse
from tests.proxy.request.test_upstream import Pump, memory

UPGRADE = b"GET /api HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\n"
SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: chat\r\n\r\n"
BIG = 64 * 1024 * 1024


def switching(connection: Any, data: bytes) -> None:
    if b"Upgrade: chat\r\n" in data:
        connection.transport.write(SWITCHED)


async def tunnel(made: Any, script: Any = switching, **options: Any) -> tuple[Any, Any, Any]:
    upstream = made.upstream(script)
    gateway = made.gateway(upstream, **options)
    client = await gateway.connect()
    client.transport.write(UPGRADE)
    await client.until(b"\r\n\r\n")
    return gateway, client, upstream.connections[0]


@pytest_twisted.ensureDeferred
async def test_any_protocol_is_tunnelled(made: Any) -> None:
    gateway, client, peer = await tunnel(made)
    status, fields, _ = parse(client.data)
    assert (status, fields[b"upgrade"], fields[b"connection"]) == (101, [b"chat"], [b"upgrade"])
    client.transport.write(b"\x00GET / HTTP/1.1\r\n\r\n")
    await peer.until(b"\x00GET / HTTP/1.1\r\n\r\n")
    peer.transport.write(b"\xff\xfe")
    await client.until(b"\xff\xfe")
    client.transport.loseConnection()
    await peer.closed
    await gateway.log.wait()
    assert (gateway.log.requests[0].status, gateway.log.requests[0].body_bytes_sent) == (101, 2)


@pytest_twisted.ensureDeferred
async def test_what_came_with_the_upgrade_is_passed_on(made: Any) -> None:
    upstream = made.upstream(switching)
    gateway = made.gateway(upstream)
    client = await gateway.connect()
    client.transport.write(UPGRADE + b"early bytes")
    await client.until(b"\r\n\r\n")
    await upstream.connections[0].until(b"\r\n\r\nearly bytes")


@pytest_twisted.ensureDeferred
async def test_a_silent_tunnel_is_closed(made: Any) -> None:
    gateway, client, peer = await tunnel(made, service={"read_timeout": 80})
    for _ in range(3):
        await deferLater(reactor, 0.05)
        client.transport.write(b"x")
    assert not client.is_closed
    await client.closed
    await peer.closed
    assert gateway.log.requests[0].status == 101


@pytest_twisted.ensureDeferred
async def test_a_slow_client_holds_the_upstream_back(made: Any) -> None:
    _, client, peer = await tunnel(made)
    client.transport.pauseProducing()
    received = 0

    def count(data: bytes) -> None:
        nonlocal received
        received += len(data)

    client.dataReceived = count
    before = memory()
    pump = Pump(peer.transport, BIG)
    left = -1
    while left != pump.left:
        left = pump.left
        await deferLater(reactor, 0.05)
    assert left > BIG - 32 * 1024 * 1024
    client.transport.resumeProducing()
    while received < BIG:
        await deferLater(reactor, 0.005)
    assert memory() - before < 16 * 1024 * 1024


@pytest_twisted.ensureDeferred
async def test_a_slow_upstream_holds_the_client_back(made: Any) -> None:
    _, client, peer = await tunnel(made)
    peer.transport.pauseProducing()
    received = 0

    def count(data: bytes) -> None:
        nonlocal received
        received += len(data)

    peer.dataReceived = count
    pump = Pump(client.transport, BIG)
    left = -1
    while left != pump.left:
        left = pump.left
        await deferLater(reactor, 0.05)
    assert left > BIG - 32 * 1024 * 1024
    peer.transport.resumeProducing()
    while received < BIG:
        await deferLater(reactor, 0.005)


@pytest_twisted.ensureDeferred
async def test_what_a_client_said_last_reaches_the_upstream(made: Any) -> None:
    _, client, peer = await tunnel(made)
    client.transport.write(b"x" * 1_000_000 + b"bye")
    client.transport.loseConnection()
    assert await peer.closed == "ConnectionDone"
    assert peer.data.endswith(b"x" * 1_000_000 + b"bye")


@pytest_twisted.ensureDeferred
async def test_what_an_upstream_said_last_reaches_the_client(made: Any) -> None:
    _, client, peer = await tunnel(made)
    peer.transport.write(b"y" * 1_000_000 + b"bye")
    peer.transport.loseConnection()
    assert await client.closed == "ConnectionDone"
    assert client.data.endswith(b"y" * 1_000_000 + b"bye")
