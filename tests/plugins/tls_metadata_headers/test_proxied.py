"""tls-metadata-headers and tls-handshake-modifier in front of an upstream, over real TLS."""

from __future__ import annotations

import base64
import socket
import ssl
from collections.abc import Awaitable, Callable
from typing import Any

import pytest_twisted
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import ResponseReceived
from twisted.internet.threads import deferToThread

from kongtx.testing.gateway import GatewayUnderTest
from kongtx.testing.upstream import Upstream
from tests.plugins.proxied import declared
from tests.tls.kit import (
    authority,
    chain_pem,
    client_context,
    entity,
    get,
    issued,
    port_of,
    self_signed,
    with_certificate,
    written,
)

Make = Callable[..., Awaitable[GatewayUnderTest]]

ASK: dict[str, Any] = {"name": "tls-handshake-modifier"}
TELL = {
    "name": "tls-metadata-headers",
    "config": {"inject_client_cert_details": True, "rfc9440": True},
}
LISTEN = {"proxy_listen": "127.0.0.1:0 ssl, 127.0.0.1:0"}


@pytest_twisted.ensureDeferred
async def test_an_upstream_is_told_of_the_clients_certificate(
    make_gateway: Make, upstream: Upstream
) -> None:
    gateway = await make_gateway(declared(upstream, ASK, TELL), **LISTEN)
    child = authority().create_child_ca()
    leaf = child.issue_cert("client.test", common_name="c1")
    for context, subject in (
        (with_certificate(client_context(), leaf), "CN=c1"),
        (client_context(), None),
    ):
        forged = "X-Client-Cert: forged\r\nClient-Cert: :Zm9yZ2Vk:\r\n"
        seen = await get(port_of(gateway.url), "a.test", context=context, headers=forged)
        received = upstream.received.pop()
        assert seen.status == 200
        told = received.header("x-client-cert-subject-dn")
        assert (told or "").split(",")[0] == (subject or "")
        for name in ("x-client-cert", "client-cert", "client-cert-chain"):
            assert len(received.headers.get(name, [])) == (1 if subject else 0)


@pytest_twisted.ensureDeferred
async def test_any_certificate_is_taken_and_nobody_believed(
    make_gateway: Make, upstream: Upstream
) -> None:
    gateway = await make_gateway(declared(upstream, ASK, TELL), **LISTEN)
    pair = self_signed("nobody.test")
    context = client_context()
    context.load_cert_chain(written(pair["cert"] + pair["key"]))
    assert (await get(port_of(gateway.url), context=context)).status == 200
    assert upstream.received[0].header("x-client-cert-issuer-dn") == "CN=nobody.test"


@pytest_twisted.ensureDeferred
async def test_clients_are_asked_only_where_a_route_wants_it(
    make_gateway: Make, upstream: Upstream
) -> None:
    asked = declared(upstream, ASK, protocols=["https"], snis=["asked.test", "*.asked.org"])
    gateway = await make_gateway({**asked, "plugins": [TELL]}, **LISTEN)
    everywhere = {"name": "open", "paths": ["/open"], "protocols": ["https"]}
    services = gateway.store["services"]
    service = await services.select_by("name", "s")
    await gateway.store["routes"].insert({**everywhere, "service": {"id": service["id"]}})
    context = with_certificate(client_context(), issued("client.test"))
    for name, is_asked in (("asked.test", True), ("a.asked.org", True), ("other.test", False)):
        await get(port_of(gateway.url), name, "/open", context=context)
        told = upstream.received.pop().header("x-client-cert")
        assert (told is not None) == is_asked
    # Changes are seen by the next handshake.
    await gateway.store["plugins"].insert(ASK)
    await get(port_of(gateway.url), "other.test", "/open", context=context)
    assert upstream.received.pop().header("x-client-cert") is not None


@pytest_twisted.ensureDeferred
async def test_a_certificate_of_the_store_is_shown_to_those_who_are_asked(
    make_gateway: Make, upstream: Upstream
) -> None:
    own = {"certificates": [entity(issued("own.test"), "own.test")]}
    gateway = await make_gateway({**declared(upstream, ASK, TELL), **own}, **LISTEN)
    leaf = issued("client.test")
    context = with_certificate(client_context(), leaf)
    seen = await get(port_of(gateway.url), "own.test", context=context)
    assert (seen.status, seen.names) == (200, ["own.test"])
    assert upstream.received[0].header("x-client-cert") is not None
    assert chain_pem(leaf).count("BEGIN") == 1


@pytest_twisted.ensureDeferred
async def test_a_session_is_not_resumed_where_a_certificate_is_asked_for(
    make_gateway: Make, upstream: Upstream
) -> None:
    gateway = await make_gateway(declared(upstream, ASK, TELL), **LISTEN)
    context = with_certificate(client_context(), issued("client.test"))
    first = await get(port_of(gateway.url), context=context)
    again = await get(port_of(gateway.url), context=context, session=first.session)
    assert (first.resumed, again.resumed) == (False, False)
    assert all(each.header("x-client-cert") for each in upstream.received)


def _ask_over_http2(port: int, context: ssl.SSLContext) -> bytes:
    """The status of one request over HTTP/2."""
    context.set_alpn_protocols(["h2"])
    with (
        socket.create_connection(("127.0.0.1", port), 10) as plain,
        context.wrap_socket(plain, server_hostname="a.test") as tls,
    ):
        client = H2Connection(H2Configuration(header_encoding=None))
        client.initiate_connection()
        headers = {":method": "GET", ":path": "/", ":scheme": "https", ":authority": "a.test"}
        headers["client-cert"] = "forged"
        client.send_headers(1, list(headers.items()), end_stream=True)
        tls.sendall(client.data_to_send())
        while True:
            for event in client.receive_data(tls.recv(65536)):
                if isinstance(event, ResponseReceived):
                    return dict(event.headers)[b":status"]
            tls.sendall(client.data_to_send())


@pytest_twisted.ensureDeferred
async def test_requests_over_http2_show_the_same(make_gateway: Make, upstream: Upstream) -> None:
    listen = {"proxy_listen": "127.0.0.1:0 http2 ssl"}
    gateway = await make_gateway(declared(upstream, ASK, TELL), **listen)
    leaf = issued("client.test")
    context = with_certificate(client_context(), leaf)
    assert await deferToThread(_ask_over_http2, port_of(gateway.url), context) == b"200"
    der = ssl.PEM_cert_to_DER_cert(chain_pem(leaf))
    encoded = f":{base64.b64encode(der).decode()}:"
    assert upstream.received[0].headers["client-cert"] == [encoded]
