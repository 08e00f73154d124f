"""TLS on the listeners of a whole gateway."""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import pytest_twisted

from kongtx.testing.gateway import GatewayUnderTest
from kongtx.testing.upstream import Upstream
from tests.tls.kit import client_context, entity, get, issued, port_of, stored

Make = Callable[..., Awaitable[GatewayUnderTest]]

TLS = {"proxy_listen": "127.0.0.1:0 ssl"}


def services(upstream: Upstream) -> dict[str, Any]:
    route = {"name": "r", "paths": ["/"], "protocols": ["http", "https"]}
    return {"services": [{"name": "s", "url": upstream.url, "routes": [route]}]}


@pytest.fixture
def secure(make_gateway: Make, upstream: Upstream) -> Callable[..., Awaitable[GatewayUnderTest]]:
    """Starts a gateway whose proxy speaks TLS, with a route to an upstream."""

    async def start(**properties: Any) -> GatewayUnderTest:
        return await make_gateway(services(upstream), **{**TLS, **properties})

    return start


@pytest_twisted.ensureDeferred
async def test_a_listener_serves_with_the_certificates_made_at_the_first_start(
    secure: Make, upstream: Upstream
) -> None:
    gateway = await secure()
    seen = await get(port_of(gateway.url), "any.example")
    assert (seen.status, seen.version, seen.alpn) == (200, "TLSv1.3", "http/1.1")
    assert seen.names == ["localhost"]
    assert upstream.received[0].header("x-forwarded-proto") == "https"


@pytest_twisted.ensureDeferred
async def test_admin_and_status_listeners_speak_tls_too(make_gateway: Make) -> None:
    listen = {f"{kind}_listen": "127.0.0.1:0 ssl" for kind in ("admin", "status")}
    gateway = await make_gateway(**listen)
    for url in (gateway.admin_url, gateway.status_url):
        seen = await get(port_of(url), path="/status")
        assert (seen.status, seen.names) == (200, ["localhost"])


@pytest_twisted.ensureDeferred
async def test_the_certificate_follows_the_server_name_and_the_store(secure: Make) -> None:
    gateway = await secure()
    port = port_of(gateway.url)
    names = ("a.example.com", "*.example.com", "www.*")
    for name in names:
        await gateway.add({"certificates": [entity(issued(name.replace("*", "x")), name)]})
    for asked, shown in (
        ("a.example.com", "a.example.com"),
        ("b.example.com", "x.example.com"),
        ("www.other", "www.x"),
        ("www.other.org", "localhost"),
        ("b.c.example.com", "localhost"),
        (None, "localhost"),
    ):
        assert (await get(port, asked)).names == [shown], asked
    rest = await gateway.store["certificates"].insert(stored(issued("all.example"), "*"))
    assert (await get(port, "nobody.org")).names == ["all.example"]
    assert (await get(port, None)).names == ["localhost"]
    changed = stored(issued("other.example"), "*")
    await gateway.store["certificates"].update(rest["id"], changed)
    assert (await get(port, "nobody.org")).names == ["other.example"]
    await gateway.store["certificates"].delete(rest["id"])
    assert (await get(port, "nobody.org")).names == ["localhost"]


@pytest_twisted.ensureDeferred
async def test_a_certificate_comes_in_the_kind_that_the_client_can_use(secure: Make) -> None:
    gateway = await secure()
    pair = entity(issued("two.example", kind="RSA"), "two.example")
    other = entity(issued("two.example", kind="ECDSA"))
    both = {**pair, "cert_alt": other["cert"], "key_alt": other["key"]}
    await gateway.add({"certificates": [both]})
    for ciphers, kind in (
        ("ECDHE-RSA-AES128-GCM-SHA256", "RSAPublic"),
        ("ECDHE+ECDSA", "ECPublic"),
    ):
        context = client_context()
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(ciphers)
        for name, shown in (("two.example", "two.example"), ("default.example", "localhost")):
            seen = await get(port_of(gateway.url), name, context=context)
            assert seen.names == [shown]
            assert kind in type(seen.certificate.public_key()).__name__
