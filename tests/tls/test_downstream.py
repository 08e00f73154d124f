"""TLS on the listeners of a whole gateway."""

from __future__ import annotations

import datetime
import socket
import ssl
import warnings
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread

from kongtx.pdk.errors import ArgumentError, PhaseError
from kongtx.plugins.base import Plugin
from kongtx.schema import Subschema, boolean, record
from kongtx.testing.gateway import GatewayUnderTest
from kongtx.testing.upstream import Upstream
from kongtx.tls.listening import CertificateChooser
from tests.tls.kit import (
    authorities_told,
    authority,
    ca_pem,
    chain_pem,
    client_context,
    entity,
    get,
    issued,
    port_of,
    stored,
    with_certificate,
)

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


def _speak_http2(port: int, name: str) -> tuple[str | None, int]:
    """What ALPN chose, and the type of the first frame that comes back (RFC 9113 §4.1)."""
    context = client_context()
    context.set_alpn_protocols(["h2", "http/1.1"])
    with (
        socket.create_connection(("127.0.0.1", port), 10) as plain,
        context.wrap_socket(plain, server_hostname=name) as tls,
    ):
        tls.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0)))
        return tls.selected_alpn_protocol(), tls.recv(9)[3]


@pytest_twisted.ensureDeferred
async def test_http2_is_agreed_on_where_the_listener_has_it(secure: Make) -> None:
    gateway = await secure(proxy_listen="127.0.0.1:0 http2 ssl")
    await gateway.add({"certificates": [entity(issued("own.test"), "own.test")]})
    port = port_of(gateway.url)
    for name in ("other.test", "own.test"):
        assert await deferToThread(_speak_http2, port, name) == ("h2", 4)
        assert (await get(port, name)).alpn == "http/1.1"
    plain = await secure()
    context = client_context()
    context.set_alpn_protocols(["h2", "http/1.1"])
    assert (await get(port_of(plain.url), context=context)).alpn == "http/1.1"


@pytest_twisted.ensureDeferred
async def test_the_certificate_phase_can_ask_and_end_sessions(
    make_gateway: Make, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []

    class Asking(Plugin):
        name = "asking"
        priority = 10
        subschema = Subschema({"config": record({"ask": boolean(default=True)})})

        def certificate(self, config: Any, kong: Any) -> None:
            seen.append((kong.raw.sni, config["ask"]))
            with pytest.raises(PhaseError):
                kong.client.tls.get_full_client_certificate_chain()
            with pytest.raises(PhaseError):
                kong.request.get_path()
            if kong.raw.sni == b"broken.test":
                raise RuntimeError("broken")
            kong.client.tls.disable_session_reuse()
            with pytest.raises(ArgumentError):
                kong.client.tls.request_client_certificate("nonsense")
            kong.client.tls.request_client_certificate(ca_pem(1) if config["ask"] else None)

        def access(self, config: Any, kong: Any) -> None:
            seen.append(kong.client.tls.get_full_client_certificate_chain())
            kong.client.tls.set_client_verify("FAILED:not looked at")
            with pytest.raises(ArgumentError):
                kong.client.tls.set_client_verify("maybe")
            with pytest.raises(PhaseError):
                kong.client.tls.request_client_certificate()

    monkeypatch.setattr("kongtx.runtime.node.composition.load", lambda names: {"asking": Asking()})
    gateway = await make_gateway({**services(upstream), "plugins": [{"name": "asking"}]}, **TLS)
    leaf = issued("client.test")
    context = with_certificate(client_context(), leaf)
    first = await get(port_of(gateway.url), "a.test", context=context)
    again = await get(port_of(gateway.url), "a.test", context=context, session=first.session)
    assert (first.status, again.status, again.resumed) == (200, 200, False)
    assert seen == [(b"a.test", True), chain_pem(leaf)] * 2
    port = port_of(gateway.url)
    assert await deferToThread(authorities_told, port, "b.test") == ["kongtx tests 1"]
    with pytest.raises(ssl.SSLError):
        await get(port, "broken.test")


@pytest_twisted.ensureDeferred
async def test_an_unusable_certificate_fails_its_handshakes_alone(
    secure: Make, errors: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway = await secure()
    pair = stored(issued("a.test"), "a.test")
    monkeypatch.setenv("ITS_KEY", stored(issued("b.test"))["key"])
    row = await gateway.store["certificates"].insert({**pair, "key": "{vault://env/its-key}"})
    with pytest.raises(ssl.SSLError):
        await get(port_of(gateway.url), "a.test")
    why = "the private key does not belong to the certificate"
    line = f"TLS handshake for a.test is refused: certificate {row['id']}: {why}"
    assert errors == [line]
    assert (await get(port_of(gateway.url), "other.test")).status == 200


@pytest_twisted.ensureDeferred
async def test_certificates_that_end_soon_are_told_of(secure: Make, logged: list[str]) -> None:
    now = datetime.datetime.now(datetime.UTC)
    past = stored(issued("past.test", not_after=now - datetime.timedelta(days=1)))
    gateway = await secure(
        client_ssl="on", client_ssl_cert=past["cert"], client_ssl_cert_key=past["key"]
    )
    soon = stored(issued("soon.test", not_after=now + datetime.timedelta(days=10)), "soon.test")
    row = await gateway.store["certificates"].insert(soon)
    gateway.node.expiry.warn(now)
    when = (now - datetime.timedelta(days=1)).strftime("%Y-%m-%d %H:%M UTC")
    assert f"client_ssl_cert has expired on {when}" in logged
    [line] = [line for line in logged if "expires" in line]
    assert line.startswith(f"certificate {row['id']} expires on ")
    assert line.endswith(", in 9 days")


@pytest_twisted.ensureDeferred
async def test_a_certificate_that_ends_soon_is_told_of_when_it_comes(
    secure: Make, logged: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kongtx.runtime.node.expiry.SOON", 0.0)
    gateway = await secure()
    now = datetime.datetime.now(datetime.UTC)
    soon = stored(issued("soon.test", not_after=now + datetime.timedelta(days=10)), "soon.test")
    for _ in range(2):
        logged.clear()
        row = await gateway.store["certificates"].insert({**soon, "snis": []})
        await gateway.store["certificates"].insert(stored(issued("long.test")))
        for _ in range(500):
            if not logged:
                await deferLater(reactor, 0.01)
        [line] = logged
        assert line.startswith(f"certificate {row['id']} expires on ")


@pytest.mark.parametrize(
    ("suite", "version", "works"),
    [
        ("modern", "TLSv1_2", False),
        ("modern", "TLSv1_3", True),
        ("intermediate", "TLSv1_1", False),
        ("intermediate", "TLSv1_2", True),
        ("old", "TLSv1", True),
        ("old", "TLSv1_1", True),
        ("fips", "TLSv1_3", False),
    ],
)
@pytest_twisted.ensureDeferred
async def test_the_cipher_suite_allows_versions(
    secure: Make, suite: str, version: str, works: bool
) -> None:
    gateway = await secure(ssl_cipher_suite=suite)
    context = client_context()
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
    if works:
        assert (await get(port_of(gateway.url), context=context)).status == 200
    else:
        with pytest.raises(ssl.SSLError):
            await get(port_of(gateway.url), context=context)


@pytest_twisted.ensureDeferred
async def test_the_whole_chain_is_shown(secure: Make) -> None:
    gateway = await secure()
    leaf = authority().create_child_ca().issue_cert("chain.test")
    row = await gateway.admin.post("/certificates", json=stored(leaf, "chain.test"))
    assert row.status == 201
    # Who trusts the root alone has to be shown what is in between.
    seen = await get(port_of(gateway.url), "chain.test", context=client_context(trust=0))
    assert seen.names == ["chain.test"]


STRONG, QUICK = "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-AES128-GCM-SHA256"


@pytest.mark.parametrize(("prefer", "chosen"), [("on", STRONG), ("off", QUICK)])
@pytest_twisted.ensureDeferred
async def test_the_server_or_the_client_chooses_the_cipher(
    secure: Make, prefer: str, chosen: str
) -> None:
    gateway = await secure(
        ssl_cipher_suite="custom",
        ssl_protocols="TLSv1.2",
        ssl_ciphers=f"{STRONG}:{QUICK}",
        ssl_prefer_server_ciphers=prefer,
    )
    context = client_context()
    context.set_ciphers(f"{QUICK}:{STRONG}")
    assert (await get(port_of(gateway.url), context=context)).cipher == chosen


@pytest.mark.parametrize(("version", "works"), [("TLSv1_1", True), ("TLSv1_2", False)])
@pytest_twisted.ensureDeferred
async def test_versions_may_have_a_gap(secure: Make, version: str, works: bool) -> None:
    gateway = await secure(ssl_cipher_suite="custom", ssl_protocols="TLSv1.1 TLSv1.3")
    context = client_context()
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
    if works:
        assert (await get(port_of(gateway.url), context=context)).version == "TLSv1.1"
    else:
        with pytest.raises(ssl.SSLError):
            await get(port_of(gateway.url), context=context)


@pytest_twisted.ensureDeferred
async def test_a_named_group_turns_on_what_needs_one(secure: Make) -> None:
    gateway = await secure(ssl_dhparam="ffdhe2048")
    context = client_context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("DHE-RSA-AES128-GCM-SHA256")
    seen = await get(port_of(gateway.url), context=context)
    assert (seen.status, seen.cipher) == (200, "DHE-RSA-AES128-GCM-SHA256")


@pytest_twisted.ensureDeferred
async def test_the_configured_certificates_replace_the_default(secure: Make) -> None:
    pairs = [stored(issued("conf.test", kind=kind)) for kind in ("RSA", "ECDSA")]
    gateway = await secure(
        ssl_cert=[pair["cert"] for pair in pairs], ssl_cert_key=[pair["key"] for pair in pairs]
    )
    assert (await get(port_of(gateway.url), "any.test")).names == ["conf.test"]


@pytest_twisted.ensureDeferred
async def test_tickets_can_be_turned_off(secure: Make) -> None:
    for tickets, resumed in (("on", True), ("off", False)):
        gateway = await secure(ssl_session_tickets=tickets)
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context = client_context()
            context.maximum_version = version
            first = await get(port_of(gateway.url), context=context)
            again = await get(port_of(gateway.url), context=context, session=first.session)
            assert again.resumed == resumed


def test_a_name_that_breaks_lines_is_none() -> None:
    asked: list[str | None] = []

    class Certificates:
        def find(self, name: str | None) -> None:
            asked.append(name)

    choose = CertificateChooser(Certificates())  # type: ignore[arg-type]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    for name in ("A.test", "a\n2026 [error]", None):
        assert choose(None, name, context) is None
    assert asked == ["a.test", None, None]


def _behind_a_proxy(port: int) -> bytes:
    """The status line of a request whose connection begins with a PROXY protocol header."""
    with socket.create_connection(("127.0.0.1", port), 10) as plain:
        plain.sendall(b"PROXY TCP4 203.0.113.9 127.0.0.1 4321 443\r\n")
        with client_context().wrap_socket(plain, server_hostname="a.test") as tls:
            tls.sendall(b"GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n")
            return tls.recv(65536).partition(b"\r\n")[0]


@pytest_twisted.ensureDeferred
async def test_the_proxy_protocol_comes_before_tls(secure: Make, upstream: Upstream) -> None:
    gateway = await secure(
        proxy_listen="127.0.0.1:0 ssl proxy_protocol",
        trusted_ips=["127.0.0.1"],
        real_ip_header="proxy_protocol",
    )
    answer = await deferToThread(_behind_a_proxy, port_of(gateway.url))
    assert answer == b"HTTP/1.1 200 OK"
    assert upstream.received[0].header("x-real-ip") == "203.0.113.9"
    assert upstream.received[0].header("x-forwarded-proto") == "https"
