"""TLS on the standard library's contexts, over real sockets."""

from __future__ import annotations

import socket
import ssl

import pytest
import trustme
from cryptography import x509
from twisted.internet import error, interfaces
from zope.interface.verify import verifyObject

from kongtx.net import handshaking
from kongtx.net.errors import TLSHandshakeError
from kongtx.net.listeners import adopt_listener, listen_tls
from kongtx.net.tls import connect_tls
from tests.net.conftest import Recorders, echo


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture
def server_context(authority):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(context)
    context.set_alpn_protocols(["h2", "http/1.1"])
    return context


@pytest.fixture
def client_context(authority):
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


@pytest.fixture
def listening(any_reactor, server_context):
    """A TLS port, and the factory behind it."""
    factory = Recorders(echo)
    port = listen_tls(any_reactor, 0, factory, server_context, interface="127.0.0.1")
    factory.port = port.getHost().port
    return factory


def test_bytes_go_there_and_back(any_reactor, any_runner, listening, client_context):
    def prepare(client):
        client.on_made = lambda it: it.transport.writeSequence([b"he", b"llo"])
        client.on_data = lambda it: it.received == b"hello" and it.transport.loseConnection()
        client.on_lost = lambda _: any_reactor.stop()

    clients = Recorders(prepare)
    connect_tls(any_reactor, "127.0.0.1", listening.port, clients, client_context, "localhost")
    any_runner.run()
    assert clients.made[0].received == b"hello"
    assert clients.made[0].lost.type is error.ConnectionDone


def test_a_uvloop_of_another_make_speaks_tls_too(
    any_reactor, any_runner, listening, client_context, monkeypatch
):
    monkeypatch.setattr(handshaking, "SSLProtocol", None)
    test_bytes_go_there_and_back(any_reactor, any_runner, listening, client_context)


def test_large_bodies_arrive_whole_in_both_directions(
    any_reactor, any_runner, listening, client_context
):
    body = bytes(range(256)) * 40_000

    def prepare(client):
        client.on_made = lambda it: it.transport.write(body)
        client.on_data = lambda it: len(it.received) == len(body) and any_reactor.stop()

    clients = Recorders(prepare)
    connect_tls(any_reactor, "127.0.0.1", listening.port, clients, client_context, "localhost")
    any_runner.run()
    assert clients.made[0].received == body


def test_both_ends_tell_what_the_handshake_found(
    any_reactor, any_runner, authority, server_context, client_context
):
    seen = {}

    def look(name):
        def made(it):
            transport = it.transport
            der = transport.get_peer_certificate_der()
            seen[name] = (
                transport.get_server_name(),
                transport.get_alpn(),
                transport.negotiatedProtocol,
                transport.get_tls_version(),
                transport.get_cipher().startswith("TLS_"),
                None if der is None else x509.load_der_x509_certificate(der),
                transport.getPeerCertificate(),
            )
            verifyObject(interfaces.ISSLTransport, transport)
            verifyObject(interfaces.INegotiated, transport)
            if len(seen) == 2:
                any_reactor.stop()

        return lambda it: setattr(it, "on_made", made)

    server_context.verify_mode = ssl.CERT_OPTIONAL
    authority.configure_trust(server_context)
    client_context.set_alpn_protocols(["http/1.1"])
    authority.issue_cert("client@example.com").configure_cert(client_context)
    port = listen_tls(
        any_reactor, 0, Recorders(look("server")), server_context, interface="127.0.0.1"
    )
    connect_tls(
        any_reactor,
        "127.0.0.1",
        port.getHost().port,
        Recorders(look("client")),
        client_context,
        "LOCALHOST",
    )
    any_runner.run()
    assert seen["server"][:5] == ("localhost", "http/1.1", b"http/1.1", "TLSv1.3", True)
    assert seen["client"][:5] == ("LOCALHOST", "http/1.1", b"http/1.1", "TLSv1.3", True)
    names = [
        certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        for certificate in (seen["server"][5], seen["client"][5])
    ]
    assert names[0].get_values_for_type(x509.RFC822Name) == ["client@example.com"]
    assert names[1].get_values_for_type(x509.DNSName) == ["localhost"]
    assert seen["server"][6].to_cryptography() == seen["server"][5]


def test_a_certificate_is_chosen_by_server_name(
    any_reactor, any_runner, authority, server_context, client_context
):
    other = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("other.example").configure_cert(other)

    def choose(sslobj, name, context):
        if name == "other.example":
            sslobj.context = other

    server_context.sni_callback = choose
    factory = Recorders()
    port = listen_tls(any_reactor, 0, factory, server_context, interface="127.0.0.1")

    def prepare(client):
        client.on_made = lambda _: any_reactor.stop()

    clients = Recorders(prepare)
    connect_tls(
        any_reactor,
        "127.0.0.1",
        port.getHost().port,
        clients,
        client_context,
        "other.example",
    )
    any_runner.run()
    assert len(clients.made) == 1


def test_a_context_without_names_and_clients_without_certificates_tell_nothing(
    any_reactor, any_runner, listening, client_context
):
    client_context.check_hostname = False
    seen = []

    def prepare(client):
        client.on_made = lambda it: it.transport.write(b"x")
        client.on_data = lambda _: any_reactor.stop()

    clients = Recorders(prepare)
    connect_tls(any_reactor, "127.0.0.1", listening.port, clients, client_context, "")
    any_runner.run()
    transport = listening.made[0].transport
    seen = (
        transport.get_server_name(),
        transport.get_alpn(),
        transport.get_peer_certificate_der(),
        transport.getPeerCertificate(),
    )
    assert seen == (None, None, None, None)


@pytest.mark.parametrize("server_name", ["other.example", None])
def test_a_wrong_certificate_fails_the_connection(
    any_reactor, any_runner, listening, client_context, server_name
):
    if server_name is None:
        client_context = ssl.create_default_context()
    clients = Recorders()
    clients.on_failed = any_reactor.stop
    connect_tls(any_reactor, "127.0.0.1", listening.port, clients, client_context, server_name)
    any_runner.run()
    assert clients.failed.check(TLSHandshakeError)
    assert clients.failed.check(error.ConnectError)
    assert clients.failed.value.untrusted
    assert "certificate verify failed" in str(clients.failed.value)
    assert clients.made == []
    assert listening.made == []


def test_a_peer_that_does_not_speak_tls_fails_the_connection(
    any_reactor, any_runner, client_context
):
    def prepare(server):
        server.on_data = lambda it: it.transport.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    port = any_reactor.listenTCP(0, Recorders(prepare), interface="127.0.0.1")
    clients = Recorders()
    clients.on_failed = any_reactor.stop
    connect_tls(any_reactor, "127.0.0.1", port.getHost().port, clients, client_context, "localhost")
    any_runner.run()
    assert clients.failed.check(TLSHandshakeError)
    assert not clients.failed.value.untrusted


def test_a_peer_that_closes_in_the_handshake_fails_the_connection(
    any_reactor, any_runner, client_context
):
    def prepare(server):
        server.on_data = lambda it: it.transport.loseConnection()

    port = any_reactor.listenTCP(0, Recorders(prepare), interface="127.0.0.1")
    clients = Recorders()
    clients.on_failed = any_reactor.stop
    connect_tls(any_reactor, "127.0.0.1", port.getHost().port, clients, client_context, "localhost")
    any_runner.run()
    assert clients.failed.check(TLSHandshakeError)


def test_the_timeout_counts_for_the_handshake_too(any_reactor, any_runner, client_context):
    servers = Recorders(lambda it: setattr(it, "on_lost", lambda _: any_reactor.stop()))
    port = any_reactor.listenTCP(0, servers, interface="127.0.0.1")
    clients = Recorders()
    connect_tls(
        any_reactor,
        "127.0.0.1",
        port.getHost().port,
        clients,
        client_context,
        "localhost",
        timeout=0.05,
    )
    any_runner.run()
    assert clients.failed.check(error.TimeoutError)
    assert clients.made == []


def test_a_connector_can_be_stopped_in_the_handshake(any_reactor, any_runner, client_context):
    def prepare(server):
        server.on_data = lambda _: connector.disconnect()
        server.on_lost = lambda _: any_reactor.stop()

    servers = Recorders(prepare)
    port = any_reactor.listenTCP(0, servers, interface="127.0.0.1")
    clients = Recorders()
    connector = connect_tls(
        any_reactor, "127.0.0.1", port.getHost().port, clients, client_context, "localhost"
    )
    any_runner.run()
    assert clients.failed.check(error.UserError, TLSHandshakeError)
    assert clients.made == []


def test_a_refused_connection_fails_as_without_tls(any_reactor, any_runner, client_context):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        clients = Recorders()
        clients.on_failed = any_reactor.stop
        connect_tls(any_reactor, "127.0.0.1", unused.getsockname()[1], clients, client_context)
        any_runner.run()
    assert clients.failed.check(error.ConnectionRefusedError)


def test_a_client_that_sends_nothing_is_dropped_after_the_handshake_timeout(
    any_reactor, any_runner, server_context
):
    factory = Recorders()
    port = listen_tls(
        any_reactor,
        0,
        factory,
        server_context,
        interface="127.0.0.1",
        handshake_timeout=0.05,
    )
    clients = Recorders(lambda it: setattr(it, "on_lost", lambda _: any_reactor.stop()))
    any_reactor.connectTCP("127.0.0.1", port.getHost().port, clients)
    any_runner.run()
    assert clients.made[0].lost.check(error.ConnectionDone, error.ConnectionLost)
    assert factory.made == []


def test_a_client_that_speaks_no_tls_is_dropped(any_reactor, any_runner, listening):
    def prepare(client):
        client.on_made = lambda it: it.transport.write(b"GET / HTTP/1.1\r\n\r\n")
        client.on_lost = lambda _: any_reactor.stop()

    any_reactor.connectTCP("127.0.0.1", listening.port, Recorders(prepare))
    any_runner.run()
    assert listening.made == []


def test_an_abort_is_seen_as_a_loss(any_reactor, any_runner, listening, client_context):
    listening.prepare = lambda it: (
        setattr(it, "on_data", lambda server: server.transport.abortConnection()),
    )

    def prepare(client):
        client.on_made = lambda it: it.transport.write(b"x")
        client.on_lost = lambda _: any_reactor.stop()

    clients = Recorders(prepare)
    connect_tls(any_reactor, "127.0.0.1", listening.port, clients, client_context, "localhost")
    any_runner.run()
    assert clients.made[0].lost.type is error.ConnectionLost
    assert listening.made[0].lost.type is error.ConnectionAborted


def test_addresses_outlive_the_connection(any_reactor, any_runner, listening, client_context):
    def prepare(client):
        client.on_made = lambda it: it.transport.loseConnection()
        client.on_lost = lambda _: any_reactor.stop()

    clients = Recorders(prepare)
    connect_tls(any_reactor, "127.0.0.1", listening.port, clients, client_context, "localhost")
    any_runner.run()
    assert clients.made[0].transport.getPeer().port == listening.port
    assert clients.made[0].transport.getPeer().host == "127.0.0.1"


def test_a_listening_socket_is_adopted(any_reactor, any_runner, server_context, client_context):
    def prepare(client):
        client.on_made = lambda _: any_reactor.stop()

    with socket.create_server(("127.0.0.1", 0), backlog=7) as listener:
        listener.setblocking(False)
        number = listener.getsockname()[1]
        port = adopt_listener(
            any_reactor, listener.fileno(), socket.AF_INET, Recorders(), server_context
        )
    assert port.getHost().port == number
    clients = Recorders(prepare)
    connect_tls(any_reactor, "127.0.0.1", number, clients, client_context, "localhost")
    any_runner.run()
    assert len(clients.made) == 1


def test_producers_pause_and_resume(any_reactor, any_runner, listening, client_context):
    body = b"x" * 20_000_000
    chunk = 100_000
    calls = []

    class Producer:
        def __init__(self, transport):
            self.transport = transport
            self.left = len(body)
            self.paused = False

        def produce(self):
            while not self.paused and self.left:
                self.transport.write(body[:chunk])
                self.left -= chunk
            if not self.left:
                self.transport.unregisterProducer()
                self.transport.loseConnection()

        def pauseProducing(self):
            calls.append("pause")
            self.paused = True

        def resumeProducing(self):
            calls.append("resume")
            self.paused = False
            self.produce()

        def stopProducing(self):
            self.left = 0

    def serve(it):
        producer = Producer(it.transport)
        it.transport.registerProducer(producer, True)
        producer.produce()

    listening.prepare = lambda it: setattr(it, "on_made", serve)
    got = []

    def prepare(client):
        def count(it):
            got.append(len(it.received))
            it.received = b""

        client.on_data = count
        client.on_lost = lambda _: any_reactor.stop()

    connect_tls(
        any_reactor,
        "127.0.0.1",
        listening.port,
        Recorders(prepare),
        client_context,
        "localhost",
    )
    any_runner.run()
    assert sum(got) == len(body)
    assert calls[:2] == ["pause", "resume"]
    assert calls.count("pause") - calls.count("resume") in (0, 1)


def test_what_was_written_before_a_close_reaches_a_slow_peer(
    any_reactor, any_runner, server_context, client_context
):
    body = bytes(range(256)) * 40_000

    def answer(it):
        # The kernel shall not take all of it.
        it.transport.getHandle().setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
        it.transport.write(body)
        it.transport.loseConnection()

    def wait(it):
        it.transport.getHandle().setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        it.transport.pauseProducing()
        any_reactor.callLater(0.6, it.transport.resumeProducing)

    def prepare(client):
        client.on_made = wait
        client.on_lost = lambda _: any_reactor.stop()

    servers = Recorders(lambda it: setattr(it, "on_made", answer))
    port = listen_tls(
        any_reactor, 0, servers, server_context, interface="127.0.0.1", shutdown_timeout=0.2
    )
    clients = Recorders(prepare)
    connect_tls(any_reactor, "127.0.0.1", port.getHost().port, clients, client_context, "localhost")
    any_runner.run()
    assert len(clients.made[0].received) == len(body)
    assert clients.made[0].lost.type is error.ConnectionDone


def test_reading_paused_and_resumed_in_connection_made_goes_on(
    any_reactor, any_runner, listening, client_context
):
    def made(it):
        it.transport.pauseProducing()
        it.transport.resumeProducing()

    def prepare(server):
        server.on_made = made
        server.on_data = lambda _: any_reactor.stop()

    listening.prepare = prepare
    connect_tls(
        any_reactor,
        "127.0.0.1",
        listening.port,
        Recorders(lambda it: setattr(it, "on_made", lambda it: it.transport.write(b"x"))),
        client_context,
        "localhost",
    )
    any_runner.run()
    assert listening.made[0].received == b"x"


def test_reading_paused_in_connection_made_begins_when_resumed(
    any_reactor, any_runner, listening, client_context
):
    order = []

    def made(it):
        it.transport.pauseProducing()
        any_reactor.callLater(
            0.05, lambda: (order.append("resume"), it.transport.resumeProducing())
        )

    def prepare(server):
        server.on_made = made
        server.on_data = lambda it: (order.append(it.received), any_reactor.stop())

    listening.prepare = prepare
    connect_tls(
        any_reactor,
        "127.0.0.1",
        listening.port,
        Recorders(lambda it: setattr(it, "on_made", lambda it: it.transport.write(b"x"))),
        client_context,
        "localhost",
    )
    any_runner.run()
    assert order == ["resume", b"x"]
