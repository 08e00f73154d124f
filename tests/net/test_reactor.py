"""The native reactor: what Twisted's own cases do not say of it."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from twisted.internet import interfaces
from twisted.internet.protocol import ClientFactory, Factory, Protocol
from twisted.logger import globalLogPublisher
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


SIGNALLED = """
import os, signal, sys
from kongtx.net import reactor
reactor.install()
from twisted.internet import reactor
name = sys.argv[1]
heard = []
def hang_up(number, frame):
    heard.append(signal.Signals(number).name)
    reactor.callFromThread(reactor.stop)
if name == "SIGHUP":
    signal.signal(signal.SIGHUP, hang_up)
reactor.addSystemEventTrigger("during", "shutdown", lambda: heard.append("shutdown"))
reactor.callLater(5, os._exit, 9)  # a loop that sleeps through the signal would end so
reactor.callWhenRunning(lambda: reactor.callInThread(os.kill, os.getpid(), getattr(signal, name)))
reactor.run()
print(*heard)
"""


@pytest.mark.parametrize(
    ("name", "heard"),
    [("SIGINT", "shutdown"), ("SIGTERM", "shutdown"), ("SIGHUP", "SIGHUP shutdown")],
)
def test_a_signal_wakes_the_sleeping_loop(name, heard):
    done = run(SIGNALLED, name)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{heard}\n", "")


def test_every_child_is_reaped_with_its_own_exit_code():
    done = run(
        """
        from kongtx.net import reactor
        reactor.install()
        from twisted.internet import reactor, protocol, defer
        class Child(protocol.ProcessProtocol):
            def __init__(self):
                self.out, self.ended = b"", defer.Deferred()
            def outReceived(self, data):
                self.out += data
            def processEnded(self, reason):
                self.ended.callback((self.out, reason.value.exitCode, reason.value.signal))
        def spawn(number):
            child = Child()
            script = f"echo {number}; exit {number}" if number else "kill -9 $$"
            reactor.spawnProcess(child, "/bin/sh", ["sh", "-c", script], {})
            return child.ended
        def told(results):
            print(sorted((code or 0, sig, out.decode().strip()) for _, (out, code, sig) in results))
            reactor.stop()
        reactor.callWhenRunning(
            lambda: defer.DeferredList([spawn(n) for n in range(20)]).addCallback(told))
        reactor.run()
        """
    )
    assert done.stderr == ""
    expected = [(0, 9, ""), *((number, None, str(number)) for number in range(1, 20))]
    assert done.stdout == f"{expected}\n"


def test_a_site_serves_files_through_a_pull_producer(tmp_path):
    (tmp_path / "file").write_bytes(bytes(range(256)) * 20_000)
    done = run(
        """
        import sys
        from kongtx.net import reactor
        reactor.install()
        from twisted.internet import reactor, task
        from twisted.web import server, static
        import treq
        async def main(reactor):
            site = server.Site(static.File(sys.argv[1]))
            site.noisy = False
            port = reactor.listenTCP(0, site, interface="127.0.0.1")
            url = f"http://127.0.0.1:{port.getHost().port}/file"
            for persistent in (True, False):
                response = await treq.get(url, persistent=persistent)
                body = await response.content()
                print(response.code, len(body), body == bytes(range(256)) * 20_000)
            await port.stopListening()
        task.react(main)
        """,
        str(tmp_path),
    )
    assert done.stderr == ""
    assert done.stdout == "200 5120000 True\n" * 2


def test_timed_calls_are_made_in_order_and_not_early(reactor):
    made = []
    begun = reactor.seconds()

    def call(name, due):
        made.append((name, reactor.seconds() >= begun + due))

    later = reactor.callLater(0.5, call, "reset sooner", 0.01)
    reactor.callLater(0.03, call, "third", 0.03)
    reactor.callLater(0.02, call, "second", 0.02)
    cancelled = reactor.callLater(0.015, call, "cancelled", 0)
    delayed = reactor.callLater(0.005, call, "delayed", 0.035)
    reactor.callLater(0, call, "first", 0)
    reactor.callLater(0, call, "also first", 0)
    reactor.callLater(0.06, reactor.stop)
    later.reset(0.01)
    cancelled.cancel()
    delayed.delay(0.03)
    assert len(reactor.getDelayedCalls()) == 7
    reactor.run(installSignalHandlers=False)
    assert made == [
        ("first", True),
        ("also first", True),
        ("reset sooner", True),
        ("second", True),
        ("third", True),
        ("delayed", True),
    ]


def test_a_sleeping_reactor_does_not_turn(reactor):
    turns = []
    run_until_current = reactor.runUntilCurrent

    def count():
        turns.append(True)
        run_until_current()

    reactor.runUntilCurrent = count
    for number in range(20):
        reactor.callLater(0.05 + number / 10000, int)
    reactor.callLater(0.0604, reactor.stop)
    reactor.run(installSignalHandlers=False)
    assert len(turns) <= 10


def test_a_failing_timed_call_does_not_stop_the_others(reactor):
    made = []
    reactor.callLater(0, lambda: 1 / 0)
    reactor.callLater(0, made.append, True)
    reactor.callLater(0.01, reactor.stop)
    reactor.run(installSignalHandlers=False)
    assert made == [True]


def test_calls_from_a_thread_are_made_in_order_and_failures_are_logged(reactor):
    made, failures = [], []

    def observe(event):
        if "log_failure" in event:
            failures.append(event["log_failure"].type)

    globalLogPublisher.addObserver(observe)

    def thread():
        reactor.callFromThread(made.append, 1)
        reactor.callFromThread(lambda: 1 / 0)
        reactor.callFromThread(made.append, 2)
        reactor.callFromThread(reactor.stop)

    reactor.callInThread(thread)
    reactor.run(installSignalHandlers=False)
    globalLogPublisher.removeObserver(observe)
    assert made == [1, 2]
    assert failures == [ZeroDivisionError]
