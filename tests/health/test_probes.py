"""Checks against real servers on loopback."""

import ssl as stdlib_ssl

import h2.config
import h2.connection
import h2.events
import pytest
import pytest_twisted
import trustme
from twisted.internet import reactor, ssl
from twisted.internet.defer import CancelledError
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import deferLater
from zope.interface.verify import verifyObject

from kongtx.health.grpc import encode_check, is_serving
from kongtx.health.interfaces import IProber
from kongtx.health.probes import Probe, Prober, http_request
from tests.dns.servers import free_port

from .support import checks_of, upstream_of


def _probe(port, host="a.test", **active):
    checks = checks_of(active={"timeout": 0.5, **active})
    return Probe(upstream_of(healthchecks=checks), "127.0.0.1", port, host)


class Canned(Protocol):
    """Keeps what it gets, answers with bytes; with L{None} it closes, with C{b""} it is silent."""

    received = b""

    def dataReceived(self, data):
        self.received += data
        if b"\r\n\r\n" in self.received:
            self.factory.requests.append(self.received)
            if self.factory.answer is None:
                self.transport.loseConnection()
            elif self.factory.answer:
                self.transport.write(self.factory.answer)

    def connectionMade(self):
        self.factory.connections += 1

    def connectionLost(self, reason):
        self.factory.connections -= 1


@pytest.fixture
def listen():
    ports = []

    def start(answer=b"", tls=None, protocol=Canned):
        factory = Factory.forProtocol(protocol)
        factory.noisy = False
        factory.answer, factory.requests, factory.connections = answer, [], 0
        factory.negotiated = []
        listening = (
            reactor.listenTCP(0, factory, interface="127.0.0.1")
            if tls is None
            else reactor.listenSSL(0, factory, tls, interface="127.0.0.1")
        )
        ports.append(listening)
        factory.port = listening.getHost().port
        return factory

    yield start
    for listening in ports:
        pytest_twisted.blockon(listening.stopListening())


def test_it_provides_its_interface():
    verifyObject(IProber, Prober(reactor))


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", 200),
        (b"HTTP/1.0 503\r\n", 503),
        (b"HTTP/1.1 302 Found\nLocation: /\n\n", 302),
        (b"nonsense\r\n", 0),
        (b"HTTP/1.1 banana\r\n", 0),
        (b"x" * 10000, 0),
        (b"", "timeout"),
        (b"HTTP/1.1 20", "timeout"),
        (None, "tcp_failure"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_http_outcomes(listen, answer, outcome):
    server = listen(answer)

    assert await Prober(reactor).check(_probe(server.port, timeout=0.1)) == outcome


@pytest_twisted.ensureDeferred
async def test_the_request_has_path_host_and_headers(listen):
    server = listen(b"HTTP/1.1 204 No Content\r\n\r\n")
    probe = _probe(server.port, http_path="/up?x=1", headers={"X-A": ["1", "2"], "X-B": ["3"]})

    await Prober(reactor).check(probe)

    assert server.requests == [
        b"GET /up?x=1 HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n"
        b"X-A: 1\r\nX-A: 2\r\nX-B: 3\r\n\r\n"
    ]
    assert http_request(probe) == server.requests[0]


@pytest_twisted.ensureDeferred
async def test_the_connection_is_closed_after_each_outcome(listen):
    servers = [listen(b"HTTP/1.1 200 OK\r\n\r\n"), listen(b"")]
    for server in servers:
        await Prober(reactor).check(_probe(server.port, timeout=0.1))
    await deferLater(reactor, 0.02)

    assert [server.connections for server in servers] == [0, 0]


@pytest.mark.parametrize("kind", ["http", "https", "tcp", "grpc", "grpcs"])
@pytest_twisted.ensureDeferred
async def test_a_closed_port_is_a_tcp_failure(kind):
    assert await Prober(reactor).check(_probe(free_port(), type=kind)) == "tcp_failure"


@pytest_twisted.ensureDeferred
async def test_tcp_needs_a_connection_only(listen):
    assert await Prober(reactor).check(_probe(listen().port, type="tcp")) == "success"


@pytest_twisted.ensureDeferred
async def test_a_cancelled_check_closes_its_connection(listen):
    server = listen(b"")
    before = set(reactor.getDelayedCalls())
    waiting = Prober(reactor).check(_probe(server.port, timeout=30))
    await deferLater(reactor, 0.05)
    waiting.cancel()

    with pytest.raises(CancelledError):
        await waiting
    await deferLater(reactor, 0.02)
    assert server.connections == 0
    assert set(reactor.getDelayedCalls()) <= before


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


def _server_tls(authority, *names, client_ca=None, protocols=None):
    issued = authority.issue_cert(*names)
    own = ssl.PrivateCertificate.loadPEM(issued.private_key_and_cert_chain_pem.bytes())
    trust = client_ca and ssl.trustRootFromCertificates(
        [ssl.Certificate.loadPEM(client_ca.cert_pem.bytes())]
    )
    return ssl.CertificateOptions(
        privateKey=own.privateKey.original,
        certificate=own.original,
        trustRoot=trust,
        acceptableProtocols=protocols,
    )


def _trusting(authority, certificate=None):
    """What the runtime gives: contexts that trust an authority, perhaps with a certificate."""
    seen = []

    def make(upstream, verify, protocols):
        seen.append((upstream["name"], verify, list(protocols)))
        context = stdlib_ssl.create_default_context()
        authority.configure_trust(context)
        if certificate is not None:
            certificate.configure_cert(context)
        if protocols:
            context.set_alpn_protocols(protocols)
        return context

    make.seen = seen
    return make


OK = b"HTTP/1.1 200 OK\r\n\r\n"


@pytest_twisted.ensureDeferred
async def test_https_verifies_the_name(listen, authority):
    server = listen(OK, _server_tls(authority, "a.test"))
    options = _trusting(authority)
    prober = Prober(reactor, options)

    good = await prober.check(_probe(server.port, type="https"))
    wrong = await prober.check(_probe(server.port, "b.test", type="https"))
    sni = await prober.check(_probe(server.port, "b.test", type="https", https_sni="a.test"))

    assert (good, wrong, sni) == (200, "tcp_failure", 200)
    assert options.seen == [("up", True, [])] * 3


@pytest_twisted.ensureDeferred
async def test_https_of_an_unknown_authority_passes_only_unverified(listen, authority):
    server = listen(OK, _server_tls(authority, "other.test"))
    prober = Prober(reactor)

    verified = await prober.check(_probe(server.port, type="https"))
    unverified = await prober.check(
        _probe(server.port, type="https", https_verify_certificate=False)
    )
    by_address = await prober.check(
        _probe(server.port, "127.0.0.1", type="https", https_verify_certificate=False)
    )

    assert (verified, unverified, by_address) == ("tcp_failure", 200, 200)


@pytest_twisted.ensureDeferred
async def test_a_client_certificate_is_shown(listen, authority):
    server = listen(OK, _server_tls(authority, "a.test", client_ca=authority))
    certificate = authority.issue_cert("client.test")

    shown = await Prober(reactor, _trusting(authority, certificate)).check(
        _probe(server.port, type="https")
    )
    missing = await Prober(reactor, _trusting(authority)).check(_probe(server.port, type="https"))

    assert (shown, missing) == (200, "tcp_failure")


@pytest_twisted.ensureDeferred
async def test_plain_http_where_tls_is_expected_is_a_tcp_failure(listen):
    class Greeting(Protocol):
        def connectionMade(self):
            self.transport.write(b"220 hello, this is not TLS\r\n")

    server = listen(protocol=Greeting)

    assert await Prober(reactor).check(_probe(server.port, type="https")) == "tcp_failure"


class GRPCServer(Protocol):
    """Knows the health of services in C{factory.answer}: 1 serves, 2 does not, L{None} is an
    unknown service."""

    def connectionMade(self):
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        self.h2.initiate_connection()
        self.body = b""
        self.transport.write(self.h2.data_to_send())

    def dataReceived(self, data):
        for event in self.h2.receive_data(data):
            if isinstance(event, h2.events.RequestReceived):
                self.factory.negotiated.append(getattr(self.transport, "negotiatedProtocol", None))
                self.factory.requests.append(dict(event.headers))
            elif isinstance(event, h2.events.DataReceived):
                self.body += event.data
            elif isinstance(event, h2.events.StreamEnded):
                self._answer(event.stream_id)
        self.transport.write(self.h2.data_to_send())

    def _answer(self, stream):
        service = self.body[7:].decode()
        status = self.factory.answer.get(service)
        self.h2.send_headers(stream, [(":status", "200"), ("content-type", "application/grpc")])
        if status is not None:
            self.h2.send_data(stream, b"\0\0\0\0\2\x08" + bytes((status,)))
        code = "0" if status is not None else "5"
        self.h2.send_headers(stream, [("grpc-status", code)], end_stream=True)


@pytest.mark.parametrize(
    ("path", "outcome"),
    [("/", 200), ("/shop.Cart", 200), ("/shop.Search", 503), ("/no.Such", 503)],
)
@pytest_twisted.ensureDeferred
async def test_grpc_asks_the_health_service(listen, path, outcome):
    server = listen({"": 1, "shop.Cart": 1, "shop.Search": 2}, protocol=GRPCServer)
    probe = _probe(server.port, type="grpc", http_path=path, headers={"X-Key": ["k"]})

    assert await Prober(reactor).check(probe) == outcome
    request = server.requests[0]
    assert request[b":path"] == b"/grpc.health.v1.Health/Check"
    assert request[b":authority"] == b"a.test"
    assert request[b"x-key"] == b"k"


@pytest_twisted.ensureDeferred
async def test_grpcs_goes_over_tls(listen, authority):
    tls = _server_tls(authority, "a.test", protocols=[b"h2"])
    server = listen({"": 1}, tls, protocol=GRPCServer)
    unverified = _probe(server.port, type="grpcs", https_verify_certificate=False)

    assert (
        await Prober(reactor, _trusting(authority)).check(_probe(server.port, type="grpcs")) == 200
    )
    assert await Prober(reactor).check(unverified) == 200
    assert server.requests[0][b":scheme"] == b"https"
    assert server.negotiated == [b"h2", b"h2"]


@pytest_twisted.ensureDeferred
async def test_grpc_of_something_else_is_no_health(listen):
    class Greeting(Protocol):
        def connectionMade(self):
            self.transport.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    server = listen(protocol=Greeting)

    assert await Prober(reactor).check(_probe(server.port, type="grpc")) == 0


LONG = b"\0\0\0\0\xcb\x0a\xc8\x01" + b"x" * 200


@pytest.mark.parametrize(
    ("service", "frame"),
    [
        ("", b"\0\0\0\0\0"),
        ("ab", b"\0\0\0\0\4\x0a\x02ab"),
        ("x" * 200, b"\0\0\0\0\xcb\x0a\xc8\x01" + b"x" * 200),
    ],
)
def test_grpc_requests_are_framed(service, frame):
    assert encode_check(service) == frame


@pytest.mark.parametrize(
    ("data", "serving"),
    [
        (b"\0\0\0\0\2\x08\x01", True),
        (b"\0\0\0\0\2\x08\x02", False),
        (b"\0\0\0\0\0", False),
        (b"\0\0\0\0\1\x08", False),
        (b"\1\0\0\0\2\x08\x01", False),
        (b"", False),
    ],
)
def test_grpc_responses_are_read(data, serving):
    assert is_serving(data) is serving
