"""A reactor of its own for each test, run until the test stops it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import uvloop
from twisted.internet.defer import Deferred
from twisted.internet.epollreactor import EPollReactor
from twisted.internet.protocol import ClientFactory, Factory, Protocol
from twisted.python.failure import Failure

from kongtx.net.reactor import KongtxReactor


class Recorder(Protocol):
    """Keeps what happens, and does what a test says when it does."""

    def __init__(self) -> None:
        self.received = b""
        self.lost: Failure | None = None
        self.on_made: Callable[[Recorder], Any] = lambda _: None
        self.on_data: Callable[[Recorder], Any] = lambda _: None
        self.on_lost: Callable[[Recorder], Any] = lambda _: None

    def connectionMade(self) -> None:
        self.on_made(self)

    def dataReceived(self, data: bytes) -> None:
        self.received += data
        self.on_data(self)

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        self.lost = reason
        self.on_lost(self)


class Recorders(ClientFactory):
    """Makes recorders, prepared by the test, and keeps them."""

    noisy = False

    def __init__(self, prepare: Callable[[Recorder], Any] = lambda _: None) -> None:
        self.prepare = prepare
        self.made: list[Recorder] = []
        self.failed: Failure | None = None
        self.on_failed: Callable[[], Any] = lambda: None

    def buildProtocol(self, addr: Any) -> Recorder:
        recorder = Recorder()
        recorder.factory = self
        self.prepare(recorder)
        self.made.append(recorder)
        return recorder

    def clientConnectionFailed(self, connector: Any, reason: Failure) -> None:
        self.failed = reason
        self.on_failed()


class Runner:
    """Runs a reactor until it is stopped, at most two seconds."""

    def __init__(self, reactor: Any) -> None:
        self.reactor = reactor

    def run(self) -> None:
        reactor = self.reactor
        overdue = []

        def give_up() -> None:
            overdue.append(True)
            reactor.stop()

        call = reactor.callLater(2, give_up)
        reactor.run(installSignalHandlers=False)
        if call.active():
            call.cancel()
        assert not overdue, "the reactor was not stopped within two seconds"

    def run_until(self, deferred: Deferred[Any]) -> Any:
        """Run until a Deferred fires; return its result or raise its failure."""
        outcome: list[Any] = []

        def stop(result: Any) -> None:
            outcome.append(result)
            self.reactor.stop()

        self.reactor.callWhenRunning(deferred.addBoth, stop)
        self.run()
        if isinstance(outcome[0], Failure):
            outcome[0].raiseException()
        return outcome[0]


@pytest.fixture
def native_reactor() -> Iterator[KongtxReactor]:
    loop = uvloop.new_event_loop()
    reactor = KongtxReactor(loop)
    yield reactor
    reactor.disconnectAll()
    loop.call_soon(loop.stop)
    loop.run_forever()
    loop.close()
    asyncio.set_event_loop(None)


@pytest.fixture
def runner(native_reactor: KongtxReactor) -> Runner:
    return Runner(native_reactor)


@pytest.fixture(params=["native", "epoll"])
def any_reactor(request: pytest.FixtureRequest) -> Iterator[Any]:
    """The native reactor, and Twisted's own for where uvloop is missing."""
    if request.param == "native":
        yield request.getfixturevalue("native_reactor")
        return
    reactor = EPollReactor()
    yield reactor
    reactor.disconnectAll()
    for reader in list(reactor._internalReaders):
        reactor.removeReader(reader)
        reader.connectionLost(None)


@pytest.fixture
def any_runner(any_reactor: Any) -> Runner:
    return Runner(any_reactor)


def echo(recorder: Recorder) -> None:
    """Answer with what has been received."""

    def answer(it: Recorder) -> None:
        it.transport.write(it.received)
        it.received = b""

    recorder.on_data = answer


__all__ = ["Factory", "Recorder", "Recorders", "Runner", "echo"]
