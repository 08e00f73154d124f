"""Listeners with the PROXY protocol, with TLS behind it and without, over real sockets."""

from __future__ import annotations

import socket
import ssl
import tempfile

import pytest
import trustme
from twisted.internet import error

from kongtx.net import handshaking
from kongtx.net.facts import keep_server_names
from kongtx.net.listeners import adopt_listener, listen_tls
from kongtx.net.proxy_protocol import (
    InetAddress,
    ProxyHeader,
    Transport,
    encode_v1,
    encode_v2,
)
from tests.net.conftest import Recorders, echo

HEADER = ProxyHeader(
    2, False, Transport.STREAM, InetAddress(b"192.0.2.1", 5), InetAddress(b"192.0.2.2", 6)
)


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture
def server_context(authority):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    return context


class Talk:
    """A blocking client in a thread of the reactor's; the reactor is stopped when it ends."""

    def __init__(self, reactor, any_runner):
        self.reactor = reactor
        self.any_runner = any_runner

    def __call__(self, script):
        result = []

        def thread():
            try:
                result.append(script())
            finally:
                self.reactor.callFromThread(self.reactor.stop)

        self.reactor.callInThread(thread)
        self.any_runner.run()
        return result[0]


@pytest.fixture
def talk(any_reactor, any_runner):
    return Talk(any_reactor, any_runner)


def connected(port):
    return socket.create_connection(("127.0.0.1", port.getHost().port), timeout=2)


@pytest.mark.parametrize("encoded", [encode_v1(HEADER), encode_v2(HEADER, checksum=True)])
@pytest.mark.parametrize("pieces", [1, 3])
def test_the_header_is_told_and_what_follows_is_received(any_reactor, talk, encoded, pieces):
    factory = Recorders(echo)
    port = listen_tls(any_reactor, 0, factory, None, interface="127.0.0.1", proxy_protocol=True)

    def script():
        with connected(port) as client:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            data = encoded + b"hello"
            size = -(-len(data) // pieces)
            for start in range(0, len(data), size):
                client.sendall(data[start : start + size])
            return client.recv(5, socket.MSG_WAITALL)

    assert talk(script) == b"hello"
    told = factory.made[0].transport.proxy_header
    assert (told.source, told.destination) == (HEADER.source, HEADER.destination)
    assert factory.made[0].transport.getPeer().host == "127.0.0.1"


@pytest.mark.parametrize("by_start_tls", [False, True])
@pytest.mark.parametrize("together", [True, False])
def test_tls_begins_behind_the_header(
    any_reactor, talk, authority, server_context, together, by_start_tls, monkeypatch
):
    if by_start_tls:
        monkeypatch.setattr(handshaking, "SSLProtocol", None)
    factory = Recorders(echo)
    port = listen_tls(
        any_reactor, 0, factory, server_context, interface="127.0.0.1", proxy_protocol=True
    )
    context = ssl.create_default_context()
    authority.configure_trust(context)

    def script():
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
        with connected(port) as client:
            if not together:
                client.sendall(encode_v2(HEADER))
            with pytest.raises(ssl.SSLWantReadError):
                tls.do_handshake()
            first = encode_v2(HEADER) if together else b""
            client.sendall(first + outgoing.read())
            while True:
                try:
                    tls.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    incoming.write(client.recv(65536))
            tls.write(b"hello")
            client.sendall(outgoing.read())
            while True:
                try:
                    return tls.read()
                except ssl.SSLWantReadError:
                    incoming.write(client.recv(65536))

    assert talk(script) == b"hello"
    assert factory.made[0].transport.proxy_header == HEADER
    assert factory.made[0].transport.get_server_name() == "localhost"


@pytest.mark.parametrize("sent", [b"GET / HTTP/1.1\r\n\r\n", b"PROXY TCP4 nonsense\r\n", b""])
def test_a_connection_without_a_good_header_is_closed(any_reactor, talk, sent):
    factory = Recorders()
    port = listen_tls(
        any_reactor,
        0,
        factory,
        None,
        interface="127.0.0.1",
        proxy_protocol=True,
        handshake_timeout=0.05,
    )

    def script():
        with connected(port) as client:
            client.sendall(sent)
            try:
                return client.recv(100)
            except ConnectionResetError:
                return b""

    assert talk(script) == b""
    assert factory.made == []


def test_a_header_in_time_stops_the_clock(any_reactor, talk):
    factory = Recorders(echo)
    port = listen_tls(
        any_reactor,
        0,
        factory,
        None,
        interface="127.0.0.1",
        proxy_protocol=True,
        handshake_timeout=0.05,
    )

    def script():
        with connected(port) as client:
            client.sendall(encode_v1(HEADER))
            client.settimeout(0.15)
            with pytest.raises(TimeoutError):
                client.recv(1)
            client.settimeout(2)
            client.sendall(b"x")
            return client.recv(1)

    assert talk(script) == b"x"


def test_an_adopted_unix_socket_has_the_protocol_too(any_reactor, talk):
    factory = Recorders(echo)
    with tempfile.TemporaryDirectory() as directory, socket.socket(socket.AF_UNIX) as listener:
        path = f"{directory}/socket"
        listener.bind(path)
        listener.listen()
        listener.setblocking(False)
        port = adopt_listener(
            any_reactor, listener.fileno(), socket.AF_UNIX, factory, proxy_protocol=True
        )

        def script():
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(2)
                client.connect(path)
                client.sendall(encode_v2(HEADER) + b"x")
                return client.recv(1)

        assert talk(script) == b"x"
        assert factory.made[0].transport.proxy_header == HEADER
        assert not port.connected


def test_an_unknown_family_is_refused(any_reactor):
    with pytest.raises(error.UnsupportedAddressFamily):
        adopt_listener(any_reactor, 0, socket.AF_PACKET, Recorders())


def test_server_names_are_kept_once_however_often_it_is_asked_for(server_context):
    keep_server_names(server_context)
    first = server_context.sni_callback
    keep_server_names(server_context)
    assert server_context.sni_callback is first


def test_a_listener_with_neither_is_a_plain_one(any_reactor, talk):
    factory = Recorders(echo)
    port = listen_tls(any_reactor, 0, factory, None, interface="127.0.0.1")

    def script():
        with connected(port) as client:
            client.sendall(b"x")
            return client.recv(1)

    assert talk(script) == b"x"
    assert getattr(factory.made[0].transport, "proxy_header", None) is None


def test_tls_is_spoken_on_an_adopted_unix_socket(any_reactor, talk, authority, server_context):
    factory = Recorders(echo)
    context = ssl.create_default_context()
    authority.configure_trust(context)
    with tempfile.TemporaryDirectory() as directory, socket.socket(socket.AF_UNIX) as listener:
        path = f"{directory}/socket"
        listener.bind(path)
        listener.listen()
        listener.setblocking(False)
        adopt_listener(any_reactor, listener.fileno(), socket.AF_UNIX, factory, server_context)

        def script():
            with socket.socket(socket.AF_UNIX) as plain:
                plain.settimeout(2)
                plain.connect(path)
                with context.wrap_socket(plain, server_hostname="localhost") as client:
                    client.sendall(b"x")
                    return client.recv(1)

        assert talk(script) == b"x"


@pytest.mark.parametrize(
    ("before", "last", "shutdown_timeout"),
    [(0, 5, 60), (0, 0, 60), (7, 16_384, 60), (0, 50_000, 60), (8_000_000, 5, 0.1)],
)
def test_a_client_that_has_it_all_is_left_without_its_close_notify(
    native_reactor, runner, authority, server_context, before, last, shutdown_timeout
):
    def answer(it):
        it.transport.write(bytes(before))
        it.transport.lose_without_waiting(bytes(last))
        it.transport.write(b"in vain")

    factory = Recorders(lambda it: setattr(it, "on_data", answer))
    port = listen_tls(
        native_reactor,
        0,
        factory,
        server_context,
        interface="127.0.0.1",
        shutdown_timeout=shutdown_timeout,
    )
    context = ssl.create_default_context()
    authority.configure_trust(context)

    def script():
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
        with connected(port) as client:

            def go_on(step):
                while True:
                    try:
                        return step()
                    except ssl.SSLWantReadError:
                        client.sendall(outgoing.read())
                        incoming.write(client.recv(65536))

            go_on(tls.do_handshake)
            tls.write(b"hello")
            received = 0
            while data := go_on(tls.read):  # until close_notify, which is not answered
                received += len(data)
            return received, client.recv(1)

    assert Talk(native_reactor, runner)(script) == (before + last, b"")
    assert factory.made[0].lost.type is error.ConnectionDone
