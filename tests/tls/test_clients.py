"""Listeners that demand certificates of their clients."""

from __future__ import annotations

import datetime
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.threads import deferToThread

from kongtx.conf import from_values
from kongtx.conf.errors import ConfigurationError
from kongtx.testing.gateway import GatewayUnderTest
from kongtx.testing.upstream import Upstream
from tests.tls.kit import (
    authorities_told,
    authority,
    ca_pem,
    client_context,
    crl_pem,
    entity,
    get,
    issued,
    port_of,
    with_certificate,
)

Make = Callable[..., Awaitable[GatewayUnderTest]]
PAST = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    """An authority and its revocations."""
    revoked = issued("revoked.test").cert_chain_pems[0].bytes()
    (tmp_path / "ca.pem").write_text(ca_pem())
    (tmp_path / "crl.pem").write_text(crl_pem(authority(), [revoked]))
    return {"ca": str(tmp_path / "ca.pem"), "crl": str(tmp_path / "crl.pem")}


def demanding(files: dict[str, str], mode: str, kind: str = "proxy") -> dict[str, Any]:
    """The properties of listeners that verify their clients."""
    return {
        f"{kind}_listen": "127.0.0.1:0 ssl",
        f"nginx_{kind}_ssl_verify_client": mode,
        f"nginx_{kind}_ssl_client_certificate": files["ca"],
        f"nginx_{kind}_ssl_crl": files["crl"],
    }


def service(upstream: Upstream, *plugins: dict[str, Any]) -> dict[str, Any]:
    """A service with a route, and certificates of its own for some name."""
    return {
        "services": [{"url": upstream.url, "routes": [{"paths": ["/"]}]}],
        "certificates": [entity(issued("own.test"), "own.test")],
        "plugins": list(plugins),
    }


def showing(*names: str, **options: Any) -> ssl.SSLContext:
    """A client with a certificate."""
    return with_certificate(client_context(), issued(*names, **options))


async def status(*arguments: Any, **options: Any) -> int | None:
    """What is answered; L{None} where there is no connection."""
    try:
        seen = await get(*arguments, **options)
    except (ssl.SSLError, ConnectionError):
        return None
    return seen.status or None


BAD = {
    "of another authority": lambda: showing("a.test", number=1),
    "expired": lambda: showing("old.test", not_after=PAST),
    "revoked": lambda: showing("revoked.test"),
}


@pytest.mark.parametrize("name", ["any.test", "own.test", None])
@pytest.mark.parametrize("mode", ["on", "optional"])
@pytest_twisted.ensureDeferred
async def test_a_listener_has_clients_with_good_certificates_alone(
    make_gateway: Make, upstream: Upstream, files: dict[str, str], mode: str, name: str | None
) -> None:
    # The plugin takes any certificate, and the listener does not.
    entities = service(upstream, {"name": "tls-handshake-modifier"})
    gateway = await make_gateway(entities, **demanding(files, mode))
    port = port_of(gateway.url)
    good = await get(port, name, context=showing("client.test"))
    assert (good.status, good.session.has_ticket) == (200, False)
    for what, make in BAD.items():
        assert await status(port, name, context=make()) is None, what
    assert await status(port, name) == (200 if mode == "optional" else None)
    assert await deferToThread(authorities_told, port, name) == ["kongtx tests 0"]
    assert len(upstream.received) == (2 if mode == "optional" else 1)


@pytest_twisted.ensureDeferred
async def test_any_certificate_is_taken_where_plugins_are_to_look_at_it(
    make_gateway: Make, upstream: Upstream
) -> None:
    plugin = {"name": "tls-metadata-headers", "config": {"inject_client_cert_details": True}}
    entities = service(upstream)
    entities["services"][0]["plugins"] = [plugin]
    gateway = await make_gateway(
        entities, proxy_listen="127.0.0.1:0 ssl", nginx_proxy_ssl_verify_client="optional_no_ca"
    )
    for context, told in ((showing("who.test", number=1), True), (client_context(), False)):
        assert (await get(port_of(gateway.url), "own.test", context=context)).status == 200
        header = upstream.received.pop().header("x-client-cert-serial")
        assert (header is not None) is told


@pytest_twisted.ensureDeferred
async def test_the_admin_api_can_be_for_clients_with_certificates_alone(
    make_gateway: Make, files: dict[str, str], logged: list[str]
) -> None:
    properties = {**demanding(files, "on", "admin"), "admin_listen": "0.0.0.0:0 ssl"}
    gateway = await make_gateway(**properties)
    port = port_of(gateway.admin_url)
    seen = await get(port, path="/status", context=showing("client.test"))
    assert seen.status == 200
    assert await status(port, path="/status") is None
    assert not [line for line in logged if "CONTROLS THIS GATEWAY" in line]


@pytest_twisted.ensureDeferred
async def test_an_admin_listener_without_tls_is_still_warned_of(
    make_gateway: Make, files: dict[str, str], logged: list[str]
) -> None:
    properties = {**demanding(files, "on", "admin"), "admin_listen": "0.0.0.0:0"}
    await make_gateway(**properties)
    assert [line for line in logged if "CONTROLS THIS GATEWAY" in line]


def test_clients_cannot_be_verified_by_nothing() -> None:
    with pytest.raises(ConfigurationError) as raised:
        from_values(nginx_admin_ssl_verify_client="on")
    assert "nginx_admin_ssl_client_certificate must be specified" in str(raised.value)
    with pytest.raises(ConfigurationError, match="failed loading certificate from /nowhere"):
        from_values(
            nginx_proxy_ssl_verify_client="on", nginx_proxy_ssl_client_certificate="/nowhere.pem"
        )
    with pytest.raises(ConfigurationError):
        from_values(nginx_admin_ssl_verify_client="optional_no_ca")
