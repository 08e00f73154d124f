"""Proofs over TLS for authorities, and no difference for anybody else."""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable

import pytest
import pytest_twisted
from zope.interface.verify import verifyObject

from kongtx.net import openssl
from kongtx.testing.gateway import GatewayUnderTest
from kongtx.tls.interfaces import IServerNames
from kongtx.tls.pairs import Pair
from tests.tls.kit import chain_pem, client_context, get, issued, key_pem, port_of

Make = Callable[..., Awaitable[GatewayUnderTest]]


def offering(*protocols: str) -> ssl.SSLContext:
    """A client that speaks some protocols."""
    context = client_context()
    if not protocols:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    else:
        context.set_alpn_protocols(list(protocols))
    return context


@pytest_twisted.ensureDeferred
async def test_only_who_validates_sees_the_proof(make_gateway: Make) -> None:
    gateway = await make_gateway(proxy_listen="127.0.0.1:0 ssl")
    port, tls = port_of(gateway.url), gateway.node.listener_tls
    verifyObject(IServerNames, tls)
    leaf = issued("proof.test")
    tls.prove("a.test", Pair(chain_pem(leaf), key_pem(leaf)))
    for name, protocols, names, chosen in (
        ("A.test", ("acme-tls/1",), ["proof.test"], "acme-tls/1"),
        ("a.test", ("http/1.1", "h2"), ["localhost"], "http/1.1"),
        ("a.test", (), ["localhost"], None),
        ("b.test", ("acme-tls/1",), ["localhost"], None),
        (None, ("acme-tls/1",), ["localhost"], None),
        ("a.test", ("x", "acme-tls/1x", "acme-tls"), ["localhost"], None),
        ("a.test", ("h2", "acme-tls/1"), ["proof.test"], "acme-tls/1"),
    ):
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context = offering(*protocols)
            context.maximum_version = version
            seen = await get(port, name, context=context)
            assert (seen.names, seen.alpn) == (names, chosen), (name, protocols)
    tls.prove("a.test", None)
    tls.prove("a.test", None)
    assert (await get(port, "a.test", context=offering("acme-tls/1"))).names == ["localhost"]


@pytest_twisted.ensureDeferred
async def test_certificates_of_plugins_count_where_the_store_has_none(make_gateway: Make) -> None:
    gateway = await make_gateway(proxy_listen="127.0.0.1:0 ssl http2")
    port, tls = port_of(gateway.url), gateway.node.listener_tls
    mine = issued("mine.test")
    tls.show("a.test", Pair(chain_pem(mine), key_pem(mine)))
    assert (await get(port, "A.test")).names == ["mine.test"]
    assert (await get(port, "b.test")).names == ["localhost"]
    stored = issued("stored.test")
    body = {"cert": chain_pem(stored), "key": key_pem(stored), "snis": ["*"]}
    assert (await gateway.admin.post("/certificates", json=body)).status == 201
    assert (await get(port, "a.test")).names == ["stored.test"]
    tls.show("a.test", None)
    tls.show("a.test", None)


def test_what_a_client_offers_is_forgotten_when_nobody_watches_any_more() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    openssl.watch_offers(context, True)
    hello = ssl.MemoryBIO()
    client = offering("acme-tls/1").wrap_bio(ssl.MemoryBIO(), hello, server_hostname="a.test")
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    received = ssl.MemoryBIO()
    received.write(hello.read())
    connection = context.wrap_bio(received, ssl.MemoryBIO(), server_side=True)
    with pytest.raises(ssl.SSLError, match="NO_SHARED_CIPHER"):  # it has no certificate
        connection.do_handshake()
    assert openssl.offers(connection, b"acme-tls/1")
    openssl.watch_offers(context, False)
    assert not openssl.offers(connection, b"acme-tls/1")
