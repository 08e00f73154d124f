"""The pool of HTTP/2 connections, with connections that are made when the test says so."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionRefusedError as Refused
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport

from kongtx.http.h2.client import MOST_STREAMS
from kongtx.http.h2.clientstream import ClientStream
from kongtx.proxy.pools.streams import StreamPool

KEY = ("127.0.0.1", 1, None)


class Site:
    def __init__(self) -> None:
        self.clock = Clock()
        self.opening: list[tuple[Deferred[Any], Any]] = []
        self.pool = StreamPool(self.clock, self._connect, 1000, 60)
        self.got: list[Any] = []

    def _connect(self, key: Any, timeout: float, make: Any) -> Deferred[Any]:
        deferred: Deferred[Any] = Deferred()
        self.opening.append((deferred, make(key)))
        return deferred

    def connect(self) -> Any:
        deferred, connection = self.opening.pop(0)
        connection.makeConnection(StringTransport())
        deferred.callback(connection)
        return connection

    def acquire(self) -> Any:
        waiting = self.pool.acquire(KEY, 1)
        if isinstance(waiting, Deferred):
            waiting.addBoth(self._use)
        else:
            self._use(waiting)
        return waiting

    def _use(self, stream: Any) -> None:
        self.got.append(stream)
        if isinstance(stream, ClientStream):
            stream.send(None, b"GET / HTTP/1.1\r\nHost: up\r\n\r\n", True, False, 1, 1)  # type: ignore[arg-type]


@pytest.fixture
def site() -> Site:
    return Site()


def test_requests_that_come_together_share_one_connection(site: Site) -> None:
    for _ in range(5):
        site.acquire()
    assert len(site.opening) == 1
    connection = site.connect()
    site.acquire()
    assert [stream.core for stream in site.got] == [connection] * 6
    assert [stream.stream_id for stream in site.got] == [1, 3, 5, 7, 9, 11]


def test_another_connection_is_made_when_there_is_no_room(site: Site) -> None:
    for _ in range(MOST_STREAMS + 1):
        site.acquire()
    assert len(site.opening) == 2
    first, second = site.connect(), site.connect()
    assert len(first.streams) == MOST_STREAMS
    assert len(second.streams) == 1


def test_another_connection_is_made_when_one_takes_few_requests(site: Site) -> None:
    site.pool = StreamPool(site.clock, site._connect, 2, 60)
    for _ in range(5):
        site.acquire()
    used = [len(site.connect().streams) for _ in range(3)]
    assert used == [2, 2, 1]
    assert site.opening == []


def test_a_failure_fails_all_who_wait(site: Site) -> None:
    for _ in range(3):
        site.acquire()
    site.opening.pop(0)[0].errback(Refused())
    assert [failure.check(Refused) for failure in site.got] == [Refused] * 3
    site.acquire()
    assert len(site.opening) == 1


def test_who_waits_no_longer_gets_none(site: Site) -> None:
    waiting = site.acquire()
    site.acquire()
    waiting.cancel()
    connection = site.connect()
    assert len(connection.streams) == 1


def test_a_connection_that_leaves_is_not_used_again(site: Site) -> None:
    site.acquire()
    connection = site.connect()
    connection.close()
    assert len(connection.streams) == 1
    site.acquire()
    assert len(site.opening) == 1
    other = site.connect()
    assert site.got[-1].core is other


def test_closing_the_pool_closes_idle_connections_at_once(site: Site) -> None:
    site.acquire()
    connection = site.connect()
    site.got[0].detach()
    site.pool.close()
    assert connection.transport.disconnecting
    assert site.pool._connections == {}
