"""Upstreams that misbehave, clients that leave, and bodies larger than memory."""

from __future__ import annotations

import os
import resource
from types import SimpleNamespace
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred, fail
from twisted.internet.error import TimeoutError as ConnectTimeout
from twisted.internet.task import deferLater

from kongtx.balancer.errors import BalancerError, NoPeerAvailable
from tests.proxy.kit import OK, Peer, UpstreamConnection, answering, free_port, is_whole, parse

GET = b"GET /api HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST /api HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab"


def reset(connection: UpstreamConnection, data: bytes) -> None:
    connection.transport.abortConnection()


def close(connection: UpstreamConnection, data: bytes) -> None:
    connection.transport.loseConnection()


def hang(connection: UpstreamConnection, data: bytes) -> None:
    pass


def outcomes(gateway: Any) -> list[Any]:
    return [event[2] for event in gateway.balancer.events if event[0] == "finished"]


@pytest.mark.parametrize(
    ("script", "status", "outcome"),
    [
        (reset, 502, "tcp_failure"),
        (close, 502, "tcp_failure"),
        (hang, 504, "timeout"),
        (answering(b"SSH-2.0-OpenSSH_9.2\r\n"), 502, "tcp_failure"),
        (answering(b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"), 502, "tcp_failure"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_no_answer_is_told_to_the_client(
    made: Any, script: Any, status: int, outcome: str
) -> None:
    gateway = made.gateway(made.upstream(script), service={"retries": 0, "read_timeout": 60})
    got, fields, body = parse(await gateway.ask(GET))
    assert got == status
    assert outcomes(gateway) == [outcome]
    assert fields[b"content-type"] == [b"text/plain; charset=utf-8"]
    assert body.startswith(
        b"An invalid response was received from the upstream server\n"
        if status == 502
        else b"The upstream server is timing out\n"
    )
    assert gateway.log.requests[0].status == status
    assert gateway.pool.idle_count() == 0


@pytest.mark.parametrize("script", [reset, close, hang])
@pytest_twisted.ensureDeferred
async def test_a_safe_request_goes_to_the_next_peer(made: Any, script: Any) -> None:
    bad, good = made.upstream(script), made.upstream()
    gateway = made.gateway(bad, good, service={"retries": 1, "read_timeout": 60})
    status, _, body = parse(await gateway.ask(GET))
    assert (status, body) == (200, b"ok")
    request = gateway.log.requests[0]
    assert [(attempt.port, attempt.state) for attempt in request.tries] == [
        (bad.number, "next"),
        (good.number, ""),
    ]
    assert len(outcomes(gateway)) == 2


@pytest_twisted.ensureDeferred
async def test_an_unsafe_request_that_was_sent_is_not_sent_again(made: Any) -> None:
    bad, good = made.upstream(close), made.upstream()
    gateway = made.gateway(bad, good, service={"retries": 5})
    status, _, _ = parse(await gateway.ask(POST))
    assert status == 502
    assert good.connections == []


@pytest_twisted.ensureDeferred
async def test_an_unsafe_request_that_was_not_sent_is(made: Any) -> None:
    good = made.upstream(
        lambda connection, data: connection.data.endswith(b"ab") and connection.transport.write(OK)
    )
    gateway = made.gateway(Peer("127.0.0.1", free_port(), b"x"), good)
    status, _, _ = parse(await gateway.ask(POST))
    assert status == 200


@pytest_twisted.ensureDeferred
async def test_a_kept_connection_that_dies_on_use_costs_no_retry(made: Any) -> None:
    def script(connection: UpstreamConnection, data: bytes) -> None:
        if connection.data.count(b"GET") == 2:
            connection.transport.abortConnection()
        else:
            connection.transport.write(OK)

    upstream = made.upstream(script)
    gateway = made.gateway(upstream, service={"retries": 0})
    client = await gateway.connect()
    for count in (1, 2):
        client.transport.write(GET)
        await client.until(lambda data, count=count: data.count(b"\r\n\r\nok") == count)
    assert len(upstream.connections) == 2
    assert b"HTTP/1.1 502" not in client.data


@pytest_twisted.ensureDeferred
async def test_a_peer_that_closes_while_idle_is_forgotten(made: Any) -> None:
    upstream = made.upstream()
    gateway = made.gateway(upstream)
    await gateway.ask(GET)
    assert gateway.pool.idle_count() == 1
    upstream.connections[0].transport.loseConnection()
    while gateway.pool.idle_count():
        await deferLater(reactor, 0.001)
    status, _, _ = parse(await gateway.ask(POST))
    assert status == 200
    assert len(upstream.connections) == 2


@pytest.mark.parametrize(
    "beginning",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
    ],
)
@pytest_twisted.ensureDeferred
async def test_a_cut_response_comes_as_far_as_it_came_and_is_not_completed(
    made: Any, beginning: bytes
) -> None:
    upstream = made.upstream(answering(beginning))
    gateway = made.gateway(upstream)
    client = await gateway.connect()
    client.transport.write(GET)
    await client.until(b"abc")
    upstream.connections[0].transport.loseConnection()
    # A reset could take from the client what has been sent.
    assert await client.closed == "ConnectionDone"
    assert client.data.rstrip(b"\r\n").endswith(b"abc")
    assert gateway.log.requests[0].status == 200


@pytest_twisted.ensureDeferred
async def test_a_cut_response_is_reset_where_its_end_is_that_of_the_connection(made: Any) -> None:
    upstream = made.upstream(
        answering(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
    )
    client = await made.gateway(upstream).connect()
    client.transport.write(GET.replace(b"HTTP/1.1", b"HTTP/1.0"))
    await client.until(b"abc")
    upstream.connections[0].transport.loseConnection()
    assert await client.closed == "ConnectionLost"


@pytest_twisted.ensureDeferred
async def test_interim_answers_are_not_the_answer(made: Any) -> None:
    upstream = made.upstream(
        answering(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK)
    )
    gateway = made.gateway(upstream)
    answer = await gateway.ask(GET)
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"Link" not in answer


@pytest_twisted.ensureDeferred
async def test_an_answer_before_the_body_is_sent_reaches_the_client(made: Any) -> None:
    upstream = made.upstream(answering(b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig"))
    gateway = made.gateway(upstream, route={"request_buffering": False})
    client = await gateway.connect()
    client.transport.write(
        b"POST /api HTTP/1.1\r\nHost: a\r\nContent-Length: 10000000\r\n\r\n" + b"x" * 1000
    )
    await client.until(b"big")
    assert client.data.startswith(b"HTTP/1.1 413 Too Large\r\n")
    assert b"Connection: close" in client.data
    assert gateway.pool.idle_count() == 0


@pytest_twisted.ensureDeferred
async def test_a_client_that_leaves_while_waiting_is_logged_as_499(made: Any) -> None:
    upstream = made.upstream(hang)
    gateway = made.gateway(upstream)
    client = await gateway.connect()
    client.transport.write(GET)
    connection = await upstream.connection()
    await connection.until(b"\r\n\r\n")
    client.transport.loseConnection()
    await gateway.log.wait()
    (request,) = gateway.log.requests
    assert (request.status, request.upstream_status) == (499, 0)
    (asked,) = request.tries
    assert (asked.address, asked.port, asked.state) == ("127.0.0.1", upstream.number, "")
    await connection.closed
    assert outcomes(gateway) == [499]


@pytest_twisted.ensureDeferred
async def test_a_client_that_leaves_within_its_body_is_logged_too(made: Any) -> None:
    gateway = made.gateway(made.upstream())
    client = await gateway.connect()
    client.transport.write(b"POST /api HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc")
    await client.until(lambda data: True)
    await deferLater(reactor, 0.01)
    client.transport.loseConnection()
    await gateway.log.wait()
    assert gateway.log.requests[0].status == 499


@pytest_twisted.ensureDeferred
async def test_a_client_that_leaves_within_the_response_frees_the_upstream(made: Any) -> None:
    upstream = made.upstream(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc"))
    gateway = made.gateway(upstream)
    client = await gateway.connect()
    client.transport.write(GET)
    await client.until(b"abc")
    client.transport.loseConnection()
    await upstream.connections[0].closed
    await gateway.log.wait()
    assert (gateway.log.requests[0].status, gateway.log.requests[0].body_bytes_sent) == (200, 3)


@pytest.mark.parametrize(
    ("error_status", "text"),
    [(503, "name resolution failed"), (500, "something else")],
)
@pytest_twisted.ensureDeferred
async def test_a_balancer_that_has_no_peer_says_why(
    made: Any, error_status: int, text: str
) -> None:
    class NoPeer(BalancerError):
        status = error_status
        message = text

        def __init__(self) -> None:
            Exception.__init__(self, text)

    gateway = made.gateway(NoPeer())
    status, fields, body = parse(await gateway.ask(GET))
    assert status == error_status
    assert b'"message":"%b"' % text.encode() in body
    assert b"x-kong-response-latency" in fields


@pytest_twisted.ensureDeferred
async def test_a_connection_that_takes_too_long_is_504(made: Any) -> None:
    gateway = made.gateway(made.upstream(), service={"retries": 1, "connect_timeout": 1234})
    asked: list[float] = []

    def acquire(address: str, port: int, tls: Any, timeout: float, http2: bool) -> Any:
        asked.append(timeout)
        return fail(ConnectTimeout())

    gateway.gateway.pool = SimpleNamespace(acquire=acquire)
    status, _, body = parse(await gateway.ask(POST))
    assert (status, body[:35]) == (504, b"The upstream server is timing out\nr")
    assert asked == [1.234, 1.234]
    assert outcomes(gateway) == ["timeout", "timeout"]


@pytest_twisted.ensureDeferred
async def test_a_client_that_leaves_while_connecting_stops_it(made: Any) -> None:
    gateway = made.gateway(made.upstream())
    cancelled: list[Any] = []
    gateway.gateway.pool = SimpleNamespace(
        acquire=lambda *arguments: Deferred(canceller=cancelled.append)
    )
    client = await gateway.connect()
    client.transport.write(GET)
    await deferLater(reactor, 0.01)
    client.transport.loseConnection()
    await gateway.log.wait()
    assert len(cancelled) == 1
    assert outcomes(gateway) == [499]
    assert gateway.log.requests[0].status == 499


@pytest_twisted.ensureDeferred
async def test_pool_limits_are_kept(made: Any) -> None:
    upstream = made.upstream()
    once = made.gateway(upstream, pool={"max_requests": 1})
    await once.ask(GET)
    assert once.pool.idle_count() == 0
    never = made.gateway(upstream, pool={"size": 0})
    await never.ask(GET)
    assert never.pool.idle_count() == 0


class Counting(UpstreamConnection):
    """Counts what it receives instead of keeping it."""

    size = 0

    def connectionMade(self) -> None:
        super().connectionMade()
        self.size = 0

    def dataReceived(self, data: bytes) -> None:
        self.size += len(data)
        self.factory.script(self, data)


def memory() -> int:
    """Resident bytes of this process."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


class Pump:
    """Writes zeros as fast as its transport takes them."""

    def __init__(self, transport: Any, size: int) -> None:
        self.transport = transport
        self.left = size
        self.paused = False
        transport.registerProducer(self, True)
        self.resumeProducing()

    def pauseProducing(self) -> None:
        self.paused = True

    def stopProducing(self) -> None:
        self.left = 0

    def resumeProducing(self) -> None:
        self.paused = False
        while self.left and not self.paused:
            size = min(self.left, 65536)
            self.left -= size
            self.transport.write(bytes(size))
        if not self.left:
            self.transport.unregisterProducer()


BIG = 128 * 1024 * 1024


@pytest.mark.parametrize("buffering", [True, False])
@pytest_twisted.ensureDeferred
async def test_a_large_upload_takes_little_memory(made: Any, buffering: bool) -> None:
    def script(connection: Any, data: bytes) -> None:
        if connection.size >= BIG:
            connection.transport.write(OK)

    upstream = made.upstream(script)
    upstream.protocol = Counting
    gateway = made.gateway(
        upstream, route={"request_buffering": buffering}, service={"read_timeout": 20000}
    )
    client = await gateway.connect()
    client.transport.write(b"POST /api HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % BIG)
    before = memory()
    Pump(client.transport, BIG)
    await client.until(b"\r\n\r\nok")
    assert upstream.connections[0].size > BIG
    assert memory() - before < 16 * 1024 * 1024


@pytest.mark.parametrize("buffering", [True, False])
@pytest_twisted.ensureDeferred
async def test_a_large_download_to_a_slow_client_takes_little_memory(
    made: Any, buffering: bool
) -> None:
    pumps: list[Pump] = []

    def script(connection: Any, data: bytes) -> None:
        connection.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % BIG)
        pumps.append(Pump(connection.transport, BIG))

    upstream = made.upstream(script)
    gateway = made.gateway(
        upstream, route={"response_buffering": buffering}, service={"read_timeout": 20000}
    )
    client = await gateway.connect()
    received = 0

    def count(data: bytes) -> None:
        nonlocal received
        received += len(data)
        if received == len(data):
            client.transport.pauseProducing()

    client.dataReceived = count
    before = memory()
    client.transport.write(GET)
    while not pumps or not pumps[0].paused:
        await deferLater(reactor, 0.001)
    left = -1
    while left != pumps[0].left:
        left = pumps[0].left
        await deferLater(reactor, 0.05)
    # The upstream is held back: what is under way fits into a few buffers.
    assert left > BIG - 32 * 1024 * 1024
    client.transport.resumeProducing()
    while received < BIG:
        await deferLater(reactor, 0.005)
    assert memory() - before < 16 * 1024 * 1024


@pytest.mark.long
@pytest_twisted.ensureDeferred
async def test_no_descriptor_is_left_behind(made: Any) -> None:
    def script(connection: Any, data: bytes) -> None:
        kind = data.split(b" ")[1][1:2] if b" " in data else b""
        if kind == b"r":
            connection.transport.abortConnection()
        elif kind == b"g":
            connection.transport.write(b"garbage, not HTTP\r\n\r\n")
        elif kind == b"c":
            connection.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab")
            connection.transport.loseConnection()
        else:
            connection.transport.write(OK)

    gateway = made.gateway(made.upstream(script), service={"retries": 1, "read_timeout": 500})

    async def round_of_requests() -> None:
        for kind in (b"o", b"r", b"g", b"c", b"x"):
            client = await gateway.connect()
            client.transport.write(
                b"GET /api/%b HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" % kind
            )
            if kind == b"x":
                client.transport.abortConnection()
            await client.closed
        gateway.clients.clear()

    await round_of_requests()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(600):
        await round_of_requests()
    await deferLater(reactor, 0.1)
    assert len(os.listdir("/proc/self/fd")) <= before + 4
    assert len(gateway.factory.settings.channels) == 0


@pytest_twisted.ensureDeferred
async def test_a_streamed_body_that_has_gone_is_not_sent_again(made: Any) -> None:
    bad, good = made.upstream(hang), made.upstream()
    gateway = made.gateway(bad, good, route={"request_buffering": False})
    client = await gateway.connect()
    client.transport.write(b"PUT /api HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc")
    connection = await bad.connection()
    await connection.until(b"abc")
    client.transport.write(b"def")
    await connection.until(b"abcdef")
    connection.transport.abortConnection()
    await client.until(is_whole)
    assert client.data.startswith(b"HTTP/1.1 502 ")
    assert good.connections == []


@pytest_twisted.ensureDeferred
async def test_a_buffered_body_is_sent_again(made: Any) -> None:
    bad = made.upstream(close)
    good = made.upstream(
        lambda connection, data: (
            connection.data.endswith(b"abcdef") and connection.transport.write(OK)
        )
    )
    gateway = made.gateway(bad, good)
    status, _, _ = parse(
        await gateway.ask(b"PUT /api HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabcdef")
    )
    assert status == 200
    assert good.received.endswith(b"\r\n\r\nabcdef")


@pytest_twisted.ensureDeferred
async def test_a_balancer_that_runs_out_of_peers_says_its_status(made: Any) -> None:
    gateway = made.gateway(
        Peer("127.0.0.1", free_port(), b"x"), NoPeerAvailable(), service={"retries": 5}
    )
    status, fields, _ = parse(await gateway.ask(GET))
    assert status == 503
    assert b"x-kong-upstream-latency" in fields


@pytest.mark.parametrize("part", ["router", "balancer_for", "pick", "finished", "headers"])
@pytest_twisted.ensureDeferred
async def test_a_fault_within_the_gateway_is_answered_500(made: Any, part: str) -> None:
    def broken(*arguments: Any) -> Any:
        raise RuntimeError("a fault")

    gateway = made.gateway(made.upstream())
    if part == "router":
        gateway.snapshot.router.match = broken
    elif part == "balancer_for":
        gateway.snapshot.balancer_for = broken
    elif part == "headers":
        gateway.gateway.raw_headers = broken
    else:
        setattr(gateway.balancer, part, broken)
        gateway.balancer.started = lambda peer: None
    client = await gateway.connect()
    client.transport.write(GET)
    await client.until(b"request_id: ")
    assert client.data.startswith(b"HTTP/1.1 500 ")
    client.transport.write(GET)
    await client.until(lambda data: data.count(b"HTTP/1.1 500 ") == 2)
    assert len(gateway.log.requests) == 2


@pytest.mark.parametrize("when", ["after the body", "for the next peer"])
@pytest_twisted.ensureDeferred
async def test_a_fault_later_on_is_answered_500_as_well(made: Any, when: str) -> None:
    upstream = made.upstream(lambda connection, data: connection.transport.loseConnection())
    gateway = made.gateway(upstream)
    pick = gateway.balancer.pick

    def pick_once(request: Any, failed: Any) -> Any:
        if when == "for the next peer" and not failed:
            return pick(request, failed)
        raise RuntimeError("a fault")

    gateway.balancer.pick = pick_once
    client = await gateway.connect()
    client.transport.write(b"PUT /api HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n")
    client.transport.write(b"o")
    await deferLater(reactor, 0.02)
    client.transport.write(b"k")
    await client.until(b"request_id: ")
    assert client.data.startswith(b"HTTP/1.1 500 ")
    assert len(gateway.log.requests) == 1
