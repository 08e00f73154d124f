"""The upstream pool: what it keeps, gives out again, and gives up."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectError, ConnectionDone
from twisted.internet.error import TimeoutError as ConnectTimeout
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure

from kongtx.http.client import ClientChannel
from kongtx.proxy.pools.pool import UpstreamPool
from tests.http.test_client import Reply
from tests.http.test_server import Transport

KEY = ("127.0.0.1", 80, None)


class Made:
    def __init__(self, **options: Any) -> None:
        self.reactor = MemoryReactorClock()
        self.pool = UpstreamPool(self.reactor, **options)

    def connect(self, timeout: float = 5.0) -> Deferred[ClientChannel]:
        channel = self.pool.acquire("127.0.0.1", 80, None, timeout)
        assert isinstance(channel, Deferred)
        return channel

    def connected(self) -> ClientChannel:
        connecting = self.connect()
        factory = self.reactor.tcpClients[-1][2]
        transport = Transport()
        transport.setTcpNoDelay = lambda on: None  # type: ignore[method-assign]
        factory.buildProtocol(None).makeConnection(transport)
        channel = connecting.result
        assert isinstance(channel, ClientChannel)
        return channel


def test_a_new_connection_is_made_with_the_timeout() -> None:
    made = Made()
    connecting = made.connect(2.5)
    host, port, _, timeout, _ = made.reactor.tcpClients[0]
    assert (host, port, timeout) == ("127.0.0.1", 80, 2.5)
    assert not connecting.called


def test_a_unix_peer_is_connected_to_by_its_path() -> None:
    made = Made()
    made.pool.acquire("unix:/run/app.sock", 0, None, 1.0)
    assert made.reactor.unixClients[0][0] == "/run/app.sock"


def test_the_last_one_released_is_the_first_one_given() -> None:
    made = Made()
    first, second = made.connected(), made.connected()
    made.pool.release(first)
    made.pool.release(second)
    assert made.pool.idle_count() == 2
    assert made.pool.acquire(*KEY, 1.0) is second
    assert made.pool.acquire(*KEY, 1.0) is first
    assert isinstance(made.pool.acquire(*KEY, 1.0), Deferred)


def test_other_peers_and_identities_do_not_share() -> None:
    made = Made()
    made.pool.release(made.connected())
    assert isinstance(made.pool.acquire("127.0.0.1", 81, None, 1.0), Deferred)
    assert isinstance(made.pool.acquire("127.0.0.2", 80, None, 1.0), Deferred)


def test_no_more_than_the_size_is_kept() -> None:
    made = Made(size=1)
    first, second = made.connected(), made.connected()
    made.pool.release(first)
    made.pool.release(second)
    assert (first.transport.ended, second.transport.ended) == ("", "closed")


def test_an_idle_connection_is_closed_in_time() -> None:
    made = Made(idle_timeout=60.0)
    channel = made.connected()
    made.pool.release(channel)
    made.reactor.advance(61)
    assert channel.transport.ended == "closed"
    assert isinstance(made.pool.acquire(*KEY, 1.0), Deferred)
    channel.connectionLost(Failure(ConnectionDone()))
    assert made.pool.idle_count() == 0


def test_a_connection_that_does_not_close_is_cut() -> None:
    made = Made(idle_timeout=60.0)
    channel = made.connected()
    made.pool.release(channel)
    made.reactor.advance(61)
    made.reactor.advance(11)
    assert channel.transport.ended == "aborted"


def test_a_connection_in_use_is_not_idle() -> None:
    made = Made(idle_timeout=60.0)
    channel = made.connected()
    made.pool.release(channel)
    assert made.pool.acquire(*KEY, 1.0) is channel
    channel.send(Reply(), b"x", True, False, 100.0, 100.0)
    made.reactor.advance(61)
    assert channel.transport.ended == ""


@pytest.mark.parametrize("error", [ConnectError, ConnectTimeout])
def test_a_failure_to_connect_is_told(error: type[Exception]) -> None:
    made = Made()
    connecting = made.connect()
    seen: list[type[BaseException]] = []
    connecting.addErrback(lambda failure: seen.append(failure.type))
    factory = made.reactor.tcpClients[0][2]
    factory.clientConnectionFailed(made.reactor.connectors[0], Failure(error()))
    assert seen == [error]


def test_a_connection_that_is_no_longer_wanted_is_not_made() -> None:
    made = Made()
    connecting = made.connect()
    seen: list[type[BaseException]] = []
    connecting.addErrback(lambda failure: seen.append(failure.type))
    made.reactor.tcpClients[0][2].startedConnecting(made.reactor.connectors[0])
    connecting.cancel()
    assert seen == [CancelledError]
    assert made.reactor.connectors[0].stoppedConnecting


def test_closing_waits_for_the_last_connection() -> None:
    made = Made()
    idle, busy = made.connected(), made.connected()
    made.pool.release(idle)
    closed = made.pool.close()
    assert idle.transport.ended == "closed"
    idle.connectionLost(Failure(ConnectionDone()))
    assert not closed.called
    made.pool.release(busy)
    assert busy.transport.ended == "closed"
    busy.connectionLost(Failure(ConnectionDone()))
    assert closed.called
