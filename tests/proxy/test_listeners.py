"""Listeners with TLS and the PROXY protocol, and upstreams that speak TLS."""

from __future__ import annotations

import ssl
from typing import Any

import pytest_twisted
import trustme
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import ClientFactory
from zope.interface.verify import verifyObject

from kongtx.net.listeners import listen_tls
from kongtx.net.proxy_protocol import InetAddress, ProxyHeader, Transport, encode_v1
from kongtx.net.tls import connect_tls
from kongtx.proxy.gateway import GatewaySettings
from kongtx.proxy.interfaces import ITLSConnector
from kongtx.proxy.pools.tls import server_name_of, unverified_tls
from tests.proxy.kit import Peer, Recorder, is_whole, parse, parse_fields

GET = b"GET /api HTTP/1.1\r\nHost: a\r\n\r\n"


def server_context(*names: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert(*names).configure_cert(context)
    return context


class Connecting(ClientFactory):
    noisy = False

    def __init__(self) -> None:
        self.connected: Deferred[Recorder] = Deferred()

    def buildProtocol(self, addr: Any) -> Recorder:
        client = Recorder()
        client.connectionMade = lambda: self.connected.callback(client)
        return client


@pytest_twisted.ensureDeferred
async def test_a_tls_client_is_forwarded_as_https(made: Any) -> None:
    upstream = made.upstream()
    gateway = made.gateway(upstream, route={"protocols": ["https"]})
    port = listen_tls(
        reactor,
        0,
        gateway.gateway.listener_factory(),
        server_context("a.example"),
        interface="127.0.0.1",
    )
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    connecting = Connecting()
    connect_tls(reactor, "127.0.0.1", port.getHost().port, connecting, context, "A.example", 5)
    client = await connecting.connected
    client.transport.write(GET)
    await client.until(is_whole)
    assert parse(client.data)[0] == 200
    fields = parse_fields(upstream.received.partition(b"\r\n\r\n")[0])
    assert fields[b"x-forwarded-proto"] == [b"https"]
    request = gateway.log.requests[0]
    assert (request.scheme, request.sni) == (b"https", b"a.example")
    client.transport.loseConnection()
    await client.closed
    await port.stopListening()


@pytest_twisted.ensureDeferred
async def test_the_proxy_protocol_tells_the_client(made: Any) -> None:
    upstream = made.upstream()
    gateway = made.gateway(
        upstream,
        settings=GatewaySettings(
            trusted_ips=("127.0.0.1",), real_ip_header="proxy_protocol", real_ip_recursive=False
        ),
    )
    port = listen_tls(
        reactor,
        0,
        gateway.gateway.listener_factory(),
        None,
        interface="127.0.0.1",
        proxy_protocol=True,
    )
    await gateway.port.stopListening()
    gateway.number, gateway.port = port.getHost().port, port
    header = encode_v1(
        ProxyHeader(
            1,
            transport=Transport.STREAM,
            source=InetAddress(b"9.8.7.6", 1234),
            destination=InetAddress(b"127.0.0.1", 80),
        )
    )
    await gateway.ask(header + GET)
    fields = parse_fields(upstream.received.partition(b"\r\n\r\n")[0])
    assert fields[b"x-real-ip"] == [b"9.8.7.6"]
    assert fields[b"x-forwarded-for"] == [b"9.8.7.6"]
    assert gateway.log.requests[0].client_ip == "9.8.7.6"


@pytest_twisted.ensureDeferred
async def test_an_https_service_is_asked_by_tls(made: Any) -> None:
    names: list[Any] = []
    context = server_context("upstream.test")
    context.sni_callback = lambda sslobject, name, context: names.append(name)
    upstream = made.upstream()
    port = listen_tls(reactor, 0, upstream, context, interface="127.0.0.1")
    number = port.getHost().port
    gateway = made.gateway(
        Peer("127.0.0.1", number, b"upstream.test"), service={"protocol": "https"}
    )
    client = await gateway.connect()
    for count in (1, 2):
        client.transport.write(GET)
        await client.until(lambda data, count=count: data.count(b"\r\n\r\nok") == count)
    assert names == ["upstream.test"]
    assert len(upstream.connections) == 1
    assert parse_fields(upstream.received.partition(b"\r\n\r\n")[0])[b"host"] == [
        b"upstream.test:%d" % number
    ]
    await gateway.pool.close()
    await port.stopListening()


@pytest_twisted.ensureDeferred
async def test_an_https_service_that_speaks_plainly_is_502(made: Any) -> None:
    upstream = made.upstream(lambda connection, data: connection.transport.write(b"nonsense\r\n"))
    gateway = made.gateway(upstream, service={"protocol": "https", "retries": 0})
    assert parse(await gateway.ask(GET))[0] == 502


def test_names_are_asked_for_and_addresses_are_not() -> None:
    verifyObject(ITLSConnector, unverified_tls(reactor))
    hosts = (b"A.example:8443", b"10.0.0.1:1", b"[::1]", b"bad host")
    assert [server_name_of(host) for host in hosts] == ["a.example", "", "", ""]
