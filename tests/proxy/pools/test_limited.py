"""A limit to the connections of one peer."""

from __future__ import annotations

from typing import Any

import pytest_twisted
import treq
from twisted.internet import reactor, task
from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.internet.error import ConnectionRefusedError as Refused
from twisted.internet.error import TimeoutError as ConnectTimeout
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure
from zope.interface.verify import verifyObject

from kongtx.http.client import ClientChannel
from kongtx.proxy.interfaces import IUpstreamPool
from kongtx.proxy.pools.limited import LimitedPool
from kongtx.proxy.pools.pool import UpstreamPool
from kongtx.testing.upstream import Received, Reply
from tests.http.test_server import Transport


class Made:
    """A pool that lends two connections, on a reactor that connects when it is told."""

    def __init__(self) -> None:
        self.reactor = MemoryReactorClock()
        self.pool = LimitedPool(UpstreamPool(self.reactor), 2, self.reactor)

    def ask(self, port: int = 80, timeout: float = 5.0) -> Any:
        return self.pool.acquire("127.0.0.1", port, None, timeout)

    def connect(self) -> None:
        """Let the oldest connection attempt succeed."""
        factory = self.reactor.tcpClients.pop(0)[2]
        transport = Transport()
        transport.setTcpNoDelay = lambda on: None  # type: ignore[method-assign]
        factory.buildProtocol(None).makeConnection(transport)

    def lent(self) -> list[ClientChannel]:
        """Two connections in use."""
        waiting = [self.ask(), self.ask()]
        self.connect()
        self.connect()
        return [each.result for each in waiting]


def failure_of(deferred: Deferred[Any]) -> type[BaseException]:
    failures: list[Failure] = []
    deferred.addErrback(failures.append)
    return failures[0].type


def test_it_is_a_pool() -> None:
    assert verifyObject(IUpstreamPool, Made().pool)


def test_more_than_the_limit_wait_for_one_to_be_released_in_their_order() -> None:
    made = Made()
    one, other = made.lent()
    third, fourth = made.ask(), made.ask()
    assert made.reactor.tcpClients == []
    made.pool.release(one)
    assert third.result is one
    assert not fourth.called
    made.pool.release(other)
    assert fourth.result is other


def test_one_that_is_lost_makes_room_for_a_new_connection() -> None:
    made = Made()
    one, _ = made.lent()
    third = made.ask()
    one.connectionLost(Failure(Refused()))
    made.connect()
    assert isinstance(third.result, ClientChannel)
    assert third.result is not one


def test_an_attempt_that_fails_makes_room_too() -> None:
    made = Made()
    first, second, third = made.ask(), made.ask(), made.ask()
    made.reactor.tcpClients.pop(0)[2].clientConnectionFailed(None, Failure(Refused()))
    assert failure_of(first) is Refused
    made.connect()
    made.connect()
    assert isinstance(second.result, ClientChannel)
    assert isinstance(third.result, ClientChannel)


def test_who_waits_too_long_gets_a_timeout() -> None:
    made = Made()
    one, _ = made.lent()
    late = made.ask(timeout=3.0)
    made.reactor.advance(2.9)
    assert not late.called
    made.reactor.advance(0.2)
    assert failure_of(late) is ConnectTimeout
    made.pool.release(one)
    assert made.ask() is one


def test_who_gives_up_leaves_the_line() -> None:
    made = Made()
    one, _ = made.lent()
    first, second = made.ask(), made.ask()
    first.cancel()
    assert failure_of(first) is CancelledError
    made.pool.release(one)
    assert second.result is one


def test_who_gives_up_while_it_is_served_leaves_its_place_to_others() -> None:
    made = Made()
    one, other = made.lent()
    first, second = made.ask(), made.ask()
    one.connectionLost(Failure(Refused()))
    first.cancel()
    assert failure_of(first) is CancelledError
    given_up = made.reactor.tcpClients.pop(0)
    assert made.reactor.connectors[-2].stoppedConnecting
    assert given_up[1] == 80
    made.connect()
    assert isinstance(second.result, ClientChannel)
    made.pool.release(second.result)
    assert made.ask() is second.result
    assert second.result is not other


def test_other_peers_are_not_concerned() -> None:
    made = Made()
    made.lent()
    made.ask(port=81)
    assert made.reactor.tcpClients[0][1] == 81


@pytest_twisted.ensureDeferred
async def test_a_gateway_keeps_to_it(make_gateway: Any, make_upstream: Any) -> None:
    at_work: list[int] = []
    most_at_work: list[int] = []

    def answer(received: Received) -> Deferred[Reply]:
        at_work.append(1)
        most_at_work.append(len(at_work))
        done: Deferred[Reply] = task.deferLater(reactor, 0.05, Reply, 200)
        return done.addCallback(lambda reply: (at_work.pop(), reply)[1])

    upstream = await make_upstream(answer)
    gateway = await make_gateway(
        {"services": [{"name": "s", "url": upstream.url, "routes": [{"paths": ["/"]}]}]},
        upstream_max_connections="2",
    )
    asked = [treq.get(f"{gateway.url}/{n}", persistent=False) for n in range(7)]
    responses = await gatherResults(asked)
    assert [each.code for each in responses] == [200] * 7
    assert max(most_at_work) == 2
