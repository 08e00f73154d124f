"""The native reactor: what Twisted's own cases do not say of it."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from twisted.internet import interfaces
from twisted.internet.protocol import ClientFactory, Factory, Protocol
from zope.interface.verify import verifyObject

ROOT = Path(__file__).parents[2]


def run(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a program in a fresh interpreter, where it may install a reactor."""
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), *arguments],
        capture_output=True,
        text=True,
        timeout=30,
        cwd=ROOT,
        check=False,
    )


ECHO = """
from kongtx.net import reactor
reactor.install()
from twisted.internet import reactor, protocol, endpoints, defer, task

class Echo(protocol.Protocol):
    def dataReceived(self, data):
        self.transport.write(data)

class Client(protocol.Protocol):
    def __init__(self):
        self.got, self.lost = b"", defer.Deferred()
    def connectionMade(self):
        self.transport.writeSequence([b"he", b"llo"])
    def dataReceived(self, data):
        self.got += data
        if self.got == b"hello":
            self.transport.loseConnection()
    def connectionLost(self, reason):
        self.lost.callback(reason.type.__name__)

@task.react
@defer.inlineCallbacks
def main(reactor):
    port = yield endpoints.serverFromString(reactor, "tcp:0:interface=127.0.0.1").listen(
        protocol.Factory.forProtocol(Echo))
    client = Client()
    yield endpoints.connectProtocol(
        endpoints.TCP4ClientEndpoint(reactor, "127.0.0.1", port.getHost().port), client)
    reason = yield client.lost
    print(type(reactor).__name__, type(client.transport).__name__, client.got.decode(), reason)
"""


def test_the_installed_reactor_serves_tcp_by_native_transports():
    done = run(ECHO)
    assert done.stderr == ""
    assert done.stdout == "KongtxReactor ClientConnection hello ConnectionDone\n"


def test_without_uvloop_the_epoll_reactor_serves_with_one_log_line():
    done = run(
        """
        import sys
        sys.modules["uvloop"] = None
        from twisted.logger import globalLogBeginner, formatEvent
        lines = []
        globalLogBeginner.beginLoggingTo([lambda event: lines.append(formatEvent(event))],
                                         redirectStandardIO=False, discardBuffer=True)
        from kongtx.net import reactor
        reactor.install()
        from twisted.internet import reactor
        print(type(reactor).__name__)
        print(*[line for line in lines if "uvloop" in line], sep="\\n")
        """
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "EPollReactor",
        "uvloop cannot be imported (import of uvloop halted; None in sys.modules): "
        "the epoll reactor serves in its place",
    ]


def test_twistd_finds_the_reactor_by_name():
    done = run(
        """
        from twisted.application.reactors import installReactor
        installReactor("kongtx")
        from twisted.internet import reactor
        print(type(reactor).__module__, type(reactor).__name__)
        """
    )
    assert done.stderr == ""
    assert done.stdout == "kongtx.net.reactor KongtxReactor\n"


@pytest.fixture
def reactor():
    import uvloop  # noqa: PLC0415

    from kongtx.net.reactor import KongtxReactor  # noqa: PLC0415

    loop = uvloop.new_event_loop()
    yield KongtxReactor(loop)
    loop.close()


@pytest.mark.parametrize(
    "interface",
    [
        interfaces.IReactorCore,
        interfaces.IReactorFDSet,
        interfaces.IReactorProcess,
        interfaces.IReactorSSL,
        interfaces.IReactorSocket,
        interfaces.IReactorTCP,
        interfaces.IReactorThreads,
        interfaces.IReactorTime,
        interfaces.IReactorUDP,
        interfaces.IReactorUNIX,
    ],
)
def test_the_reactor_provides(reactor, interface):
    assert verifyObject(interface, reactor)


@pytest.mark.parametrize(
    "interface",
    [
        interfaces.ITransport,
        interfaces.ITCPTransport,
        interfaces.ITLSTransport,
        interfaces.IConsumer,
        interfaces.IPushProducer,
        interfaces.ISystemHandle,
    ],
)
def test_a_connection_provides(reactor, interface):
    made = []

    class Listener(Protocol):
        def connectionMade(self):
            made.append(self.transport)
            reactor.stop()

    port = reactor.listenTCP(0, Factory.forProtocol(Listener), interface="127.0.0.1")
    reactor.connectTCP("127.0.0.1", port.getHost().port, ClientFactory.forProtocol(Protocol))
    reactor.run(installSignalHandlers=False)
    assert verifyObject(interface, made[0])
