"""Native connections: what a protocol sees beyond Twisted's own cases."""

from __future__ import annotations

import errno
import os
import socket
import struct
import tempfile

import pytest
from twisted.internet import error, interfaces
from twisted.internet.address import IPv4Address, UNIXAddress
from twisted.logger import globalLogPublisher
from twisted.python.failure import Failure
from zope.interface import implementer

from kongtx.net.connections import ClientConnection
from tests.net.conftest import Recorder, Recorders, echo


@pytest.fixture
def logged():
    """The failures that are logged."""
    failures = []

    def observe(event):
        if "log_failure" in event:
            failures.append(event["log_failure"])

    globalLogPublisher.addObserver(observe)
    yield failures
    globalLogPublisher.removeObserver(observe)


def listen(reactor, prepare):
    factory = Recorders(prepare)
    port = reactor.listenTCP(0, factory, interface="127.0.0.1")
    factory.port = port.getHost().port
    return factory


def connect(reactor, number, prepare):
    factory = Recorders(prepare)
    factory.connector = reactor.connectTCP("127.0.0.1", number, factory)
    return factory


def stop_when_lost(reactor):
    return lambda it: setattr(it, "on_lost", lambda _: reactor.stop())


class Slotted:
    """A protocol whose methods cannot be replaced."""

    __slots__ = ("received", "transport")

    def __init__(self):
        self.received = b""

    def makeConnection(self, transport):
        self.transport = transport

    def dataReceived(self, data):
        self.received += data

    def connectionLost(self, reason):
        self.transport = None


def test_a_protocol_without_a_dictionary_is_called_without_a_step_between(native_reactor, runner):
    slotted = Slotted()
    servers = listen(native_reactor, lambda _: None)
    servers.buildProtocol = lambda addr: slotted

    def look(it):
        it.transport.write(b"hello")
        it.transport.loseConnection()

    def prepare(client):
        client.on_made = look
        client.on_lost = lambda _: native_reactor.callLater(0.01, native_reactor.stop)

    bound = []
    make = slotted.makeConnection

    def made(transport):
        make(transport)
        bound.append(transport.data_received == slotted.dataReceived)

    type(slotted).makeConnection = lambda self, transport: made(transport)
    connect(native_reactor, servers.port, prepare)
    runner.run()
    assert bound == [True]
    assert slotted.received == b"hello"


def test_a_replaced_data_received_is_called(native_reactor, runner):
    got = []

    def prepare(server):
        server.on_made = lambda it: setattr(it, "dataReceived", got.append)

    servers = listen(native_reactor, prepare)

    def talk(client):
        client.on_made = lambda it: (it.transport.write(b"x"), it.transport.loseConnection())
        client.on_lost = lambda _: native_reactor.callLater(0.01, native_reactor.stop)

    connect(native_reactor, servers.port, talk)
    runner.run()
    assert got == [b"x"]


def test_a_replaced_protocol_receives_what_comes_next(native_reactor, runner):
    second = Recorder()
    second.on_data = lambda it: native_reactor.stop()

    def switch(it):
        it.transport.protocol = second
        it.transport.write(b"go on")

    servers = listen(native_reactor, lambda it: setattr(it, "on_data", switch))

    def prepare(client):
        client.on_made = lambda it: it.transport.write(b"first")
        client.on_data = lambda it: it.transport.write(b"second")

    connect(native_reactor, servers.port, prepare)
    runner.run()
    assert servers.made[0].received == b"first"
    assert second.received == b"second"


def test_reading_paused_in_connection_made_begins_when_resumed(native_reactor, runner):
    order = []

    def begin(it):
        it.transport.pauseProducing()
        native_reactor.callLater(0.03, lambda: (order.append("resume"), resume(it)))

    def resume(it):
        it.transport.resumeProducing()

    def prepare(server):
        server.on_made = begin
        server.on_data = lambda it: (order.append(it.received), native_reactor.stop())

    servers = listen(native_reactor, prepare)
    connect(
        native_reactor,
        servers.port,
        lambda it: setattr(it, "on_made", lambda client: client.transport.write(b"early")),
    )
    runner.run()
    assert order == ["resume", b"early"]


def test_after_a_pause_nothing_is_received_until_resumed(native_reactor, runner):
    order = []

    def pause(it):
        order.append(it.received)
        it.received = b""
        if len(order) == 1:
            it.transport.pauseProducing()
            native_reactor.callLater(
                0.03, lambda: (order.append("resume"), it.transport.resumeProducing())
            )
        else:
            native_reactor.stop()

    servers = listen(native_reactor, lambda it: setattr(it, "on_data", pause))

    def talk(it):
        it.transport.write(b"one")
        native_reactor.callLater(0.01, it.transport.write, b"two")

    connect(native_reactor, servers.port, lambda it: setattr(it, "on_made", talk))
    runner.run()
    assert order == [b"one", "resume", b"two"]


def test_what_is_written_in_the_turn_of_lose_connection_is_sent(native_reactor, runner):
    def leave(it):
        it.transport.write(b"one ")
        it.transport.loseConnection()
        it.transport.write(b"two ")
        it.transport.writeSequence([b"three"])

    servers = listen(native_reactor, lambda it: setattr(it, "on_made", leave))
    clients = connect(native_reactor, servers.port, stop_when_lost(native_reactor))
    runner.run()
    assert clients.made[0].received == b"one two three"
    assert clients.made[0].lost.type is error.ConnectionDone
    assert servers.made[0].lost.type is error.ConnectionDone


def test_an_answer_reaches_a_peer_that_has_closed_its_sending_half(native_reactor, runner):
    body = b"x" * 3_000_000
    servers = listen(
        native_reactor,
        lambda it: setattr(it, "on_data", lambda server: server.transport.write(body)),
    )

    def talk(it):
        it.transport.write(b"request")
        it.transport.loseWriteConnection()

    def prepare(client):
        client.on_made = talk
        client.on_lost = lambda _: native_reactor.stop()

    clients = connect(native_reactor, servers.port, prepare)
    runner.run()
    assert len(clients.made[0].received) == len(body)


@implementer(interfaces.IHalfCloseableProtocol)
class HalfCloseable(Recorder):
    """Hears of each half."""

    def __init__(self):
        super().__init__()
        self.events = []
        self.on_read_lost = lambda it: None

    def readConnectionLost(self):
        self.events.append("read")
        self.on_read_lost(self)

    def writeConnectionLost(self):
        self.events.append("write")


def test_each_half_is_closed_alone(native_reactor, runner):
    body = b"y" * 2_000_000
    server, client = HalfCloseable(), HalfCloseable()

    def answer(it):
        it.transport.write(b"done")
        it.transport.loseConnection()

    def send(it):
        it.transport.write(body)
        it.transport.loseWriteConnection()

    server.on_read_lost = answer
    client.on_made = send
    client.on_read_lost = lambda it: it.transport.loseConnection()
    client.on_lost = lambda _: native_reactor.stop()
    servers = listen(native_reactor, lambda _: None)
    servers.buildProtocol = lambda addr: server
    clients = Recorders()
    clients.buildProtocol = lambda addr: client
    native_reactor.connectTCP("127.0.0.1", servers.port, clients)
    runner.run()
    assert server.received == body
    assert server.events == ["read"]
    assert client.events == ["write", "read"]
    assert client.received == b"done"
    assert client.lost.type is error.ConnectionDone


def test_an_exception_in_data_received_is_logged_and_ends_the_connection(
    native_reactor, runner, logged
):
    servers = listen(native_reactor, lambda it: setattr(it, "on_data", lambda _: 1 / 0))

    def prepare(client):
        client.on_made = lambda it: it.transport.write(b"x")
        client.on_lost = lambda _: native_reactor.stop()

    connect(native_reactor, servers.port, prepare)
    runner.run()
    assert servers.made[0].lost.type is ZeroDivisionError
    assert [failure.type for failure in logged] == [ZeroDivisionError]


def test_an_oserror_in_data_received_is_an_error_of_the_application(native_reactor, runner, logged):
    def fail(it):
        raise FileNotFoundError("a file")

    servers = listen(native_reactor, lambda it: setattr(it, "on_data", fail))

    def prepare(client):
        client.on_made = lambda it: it.transport.write(b"x")
        client.on_lost = lambda _: native_reactor.stop()

    connect(native_reactor, servers.port, prepare)
    runner.run()
    assert servers.made[0].lost.type is FileNotFoundError
    assert [failure.type for failure in logged] == [FileNotFoundError]


def test_an_exception_in_connection_made_is_logged_and_ends_the_connection(
    native_reactor, runner, logged
):
    servers = listen(native_reactor, lambda it: setattr(it, "on_made", lambda _: 1 / 0))
    connect(native_reactor, servers.port, stop_when_lost(native_reactor))
    runner.run()
    assert servers.made[0].lost.type is ZeroDivisionError
    assert [failure.type for failure in logged] == [ZeroDivisionError]


def test_an_exception_in_a_factory_is_logged_and_refuses_the_connection(
    native_reactor, runner, logged
):
    servers = listen(native_reactor, lambda _: 1 / 0)
    connect(native_reactor, servers.port, stop_when_lost(native_reactor))
    runner.run()
    assert [failure.type for failure in logged] == [ZeroDivisionError]


def test_an_exception_in_a_client_factory_fails_the_connection(native_reactor, runner, logged):
    servers = listen(native_reactor, lambda _: None)
    clients = connect(native_reactor, servers.port, lambda _: 1 / 0)
    clients.on_failed = native_reactor.stop
    runner.run()
    assert clients.failed.type is ZeroDivisionError
    assert [failure.type for failure in logged] == [ZeroDivisionError]


def test_a_connection_that_is_reset_as_soon_as_it_is_made_fails_and_nothing_is_logged(
    native_reactor, runner, logged, monkeypatch
):
    def gone(_self):
        raise OSError(errno.ENOTCONN, os.strerror(errno.ENOTCONN))

    server = listen(native_reactor, lambda _: None)
    monkeypatch.setattr(ClientConnection, "getPeer", gone)
    client = connect(native_reactor, server.port, lambda _: None)
    client.on_failed = native_reactor.stop
    runner.run()
    assert (client.made, logged) == ([], [])
    assert isinstance(client.failed.value, error.ConnectError)
    assert client.failed.value.osError == errno.ENOTCONN


def test_a_reset_by_the_peer_is_a_loss(native_reactor, runner):
    servers = listen(native_reactor, stop_when_lost(native_reactor))
    with socket.create_connection(("127.0.0.1", servers.port)) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        native_reactor.callLater(0.01, client.close)
        runner.run()
    assert servers.made[0].lost.type is error.ConnectionLost


def test_open_connections_and_ports_are_lost_when_the_reactor_stops(native_reactor, runner):
    stopped = []
    servers = listen(native_reactor, lambda _: None)
    servers.stopFactory = lambda: stopped.append(True)
    clients = connect(
        native_reactor,
        servers.port,
        lambda it: setattr(
            it, "on_made", lambda _: native_reactor.callLater(0.01, native_reactor.stop)
        ),
    )
    runner.run()
    assert clients.made[0].lost.type is error.ConnectionLost
    assert servers.made[0].lost.type is error.ConnectionLost
    assert stopped == [True]
    assert native_reactor.connections == set()
    assert native_reactor.ports == set()


def test_a_stopped_port_can_be_bound_again_at_once(native_reactor, runner):
    port = native_reactor.listenTCP(0, Recorders(), interface="127.0.0.1")
    number = port.getHost().port
    runner.run_until(port.stopListening())
    again = native_reactor.listenTCP(number, Recorders(), interface="127.0.0.1")
    assert again.getHost() == IPv4Address("TCP", "127.0.0.1", number)


def test_a_port_leaves_connections_in_the_queue_while_it_does_not_read(native_reactor, runner):
    factory = Recorders(lambda it: setattr(it, "on_made", lambda _: native_reactor.stop()))
    port = native_reactor.listenTCP(0, factory, interface="127.0.0.1")
    port.stopReading()
    with socket.create_connection(("127.0.0.1", port.getHost().port)):
        native_reactor.callLater(0.02, lambda: (made.append(len(factory.made)), resume()))
        made = []

        def resume():
            port.startReading()

        runner.run()
    assert made == [0]
    assert len(factory.made) == 1


def test_adopting_a_port_keeps_its_backlog(native_reactor):
    with socket.create_server(("127.0.0.1", 0), backlog=17) as listener:
        native_reactor.adoptStreamPort(listener.fileno(), socket.AF_INET, Recorders())
        info = listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
    assert struct.unpack_from("I", info, 28)[0] == 17


def test_a_factory_can_be_replaced_while_listening(native_reactor, runner):
    first, second = Recorders(), Recorders()
    second.prepare = lambda it: setattr(it, "on_made", lambda _: native_reactor.stop())
    port = native_reactor.listenTCP(0, first, interface="127.0.0.1")
    port.factory = second
    connect(native_reactor, port.getHost().port, lambda _: None)
    runner.run()
    assert (len(first.made), len(second.made)) == (0, 1)


def test_addresses_outlive_a_tcp_connection(native_reactor, runner):
    servers = listen(
        native_reactor,
        lambda it: setattr(it, "on_made", lambda server: server.transport.loseConnection()),
    )
    clients = connect(native_reactor, servers.port, stop_when_lost(native_reactor))
    runner.run()
    client, server = clients.made[0].transport, servers.made[0].transport
    assert client.getPeer() == server.getHost() == IPv4Address("TCP", "127.0.0.1", servers.port)
    assert server.getPeer() == client.getHost()
    assert client.fileno() == -1


def test_addresses_outlive_a_unix_connection(native_reactor, runner):
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "socket")
        servers = Recorders(
            lambda it: setattr(it, "on_made", lambda server: server.transport.loseConnection())
        )
        port = native_reactor.listenUNIX(path, servers)
        clients = Recorders(stop_when_lost(native_reactor))
        native_reactor.connectUNIX(path, clients)
        runner.run()
        assert clients.made[0].transport.getPeer() == UNIXAddress(path)
        assert servers.made[0].transport.getHost() == UNIXAddress(path)
        assert servers.made[0].transport.getPeer() == UNIXAddress(None)
        assert not port.connected


def test_options_are_the_sockets(native_reactor, runner):
    seen = []

    def look(it):
        transport = it.transport
        seen.append((transport.getTcpNoDelay(), transport.getTcpKeepAlive()))
        transport.setTcpNoDelay(False)
        transport.setTcpKeepAlive(True)
        seen.append((transport.getTcpNoDelay(), transport.getTcpKeepAlive()))
        native_reactor.stop()

    servers = listen(native_reactor, lambda it: setattr(it, "on_made", look))
    connect(native_reactor, servers.port, lambda _: None)
    runner.run()
    assert seen == [(True, False), (False, True)]


def test_a_closed_connection_ignores_what_is_asked_of_it(native_reactor, runner):
    servers = listen(
        native_reactor,
        lambda it: setattr(it, "on_made", lambda server: server.transport.loseConnection()),
    )
    clients = connect(native_reactor, servers.port, stop_when_lost(native_reactor))
    runner.run()
    transport = clients.made[0].transport
    transport.write(b"x")
    transport.writeSequence([b"x"])
    transport.loseConnection()
    transport.loseWriteConnection()
    transport.abortConnection()
    transport.pauseProducing()
    transport.resumeProducing()
    transport.unregisterProducer()
    transport.connectionLost(Failure(error.ConnectionLost()))
    assert clients.made[0].lost.type is error.ConnectionDone


def test_a_connector_reconnects(native_reactor, runner):
    servers = listen(native_reactor, echo)
    clients = connect(
        native_reactor,
        servers.port,
        lambda it: setattr(it, "on_made", lambda client: client.transport.loseConnection()),
    )

    def lost(connector, reason):
        if len(clients.made) < 3:
            connector.connect()
        else:
            native_reactor.stop()

    clients.clientConnectionLost = lost
    runner.run()
    assert len(clients.made) == 3
    assert clients.connector.state == "disconnected"


def test_a_name_is_looked_up_and_an_unknown_one_fails(native_reactor, runner):
    servers = listen(native_reactor, lambda _: None)
    clients = Recorders(lambda it: setattr(it, "on_made", lambda _: native_reactor.stop()))
    native_reactor.connectTCP("localhost", servers.port, clients)
    runner.run()
    assert len(clients.made) == 1


def test_a_refusal_is_told_as_twisted_does(native_reactor, runner):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        clients = connect(native_reactor, unused.getsockname()[1], lambda _: None)
        clients.on_failed = native_reactor.stop
        runner.run()
    assert clients.failed.type is error.ConnectionRefusedError


def test_connecting_ends_when_the_reactor_stops(native_reactor, runner):
    clients = Recorders()
    connector = native_reactor.connectTCP("127.0.0.1", 9, clients)
    connector.timeout = None
    native_reactor.disconnectAll()
    assert clients.failed.type is error.ConnectionLost
    native_reactor.callLater(0.01, native_reactor.stop)
    runner.run()


def test_a_connect_can_be_stopped_and_nothing_is_logged(native_reactor, runner, logged):
    clients = Recorders()
    clients.on_failed = lambda: native_reactor.callLater(0.02, native_reactor.stop)
    servers = listen(native_reactor, lambda _: None)

    def begin():
        native_reactor.connectTCP("127.0.0.1", servers.port, clients).stopConnecting()

    native_reactor.callWhenRunning(begin)
    runner.run()
    assert clients.failed.type is error.UserError
    assert clients.made == []
    assert logged == []


def test_an_unreachable_address_fails_later(native_reactor, runner):
    clients = Recorders()
    clients.on_failed = native_reactor.stop
    connector = native_reactor.connectTCP("255.255.255.255", 9, clients)
    assert connector.state == "connecting"
    runner.run()
    assert clients.failed.check(error.ConnectError)


def test_what_connection_made_puts_off_comes_before_the_first_data(native_reactor, runner):
    order = []
    servers = listen(
        native_reactor,
        lambda it: setattr(it, "on_made", lambda server: server.transport.write(b"greeting")),
    )

    def prepare(client):
        native_reactor.callLater(0, order.append, "built")
        client.on_made = lambda _: native_reactor.callLater(0, order.append, "made")
        client.on_data = lambda it: (order.append(it.received), native_reactor.stop())

    for _ in range(20):
        clients = Recorders(prepare)
        native_reactor.connectTCP("127.0.0.1", servers.port, clients)
    runner.run()
    assert b"greeting" in order
    for position, each in enumerate(order):
        if each == b"greeting":
            assert order[:position].count("made") > order[:position].count(b"greeting")
