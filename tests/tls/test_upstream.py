"""TLS to upstreams, against servers that demand client certificates and servers to be verified."""

from __future__ import annotations

import datetime
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import pytest_twisted
import treq
from twisted.internet import reactor
from twisted.internet.task import deferLater

from kongtx.plugins.base import Plugin
from kongtx.schema import Subschema, record
from kongtx.testing.gateway import GatewayUnderTest
from tests.tls.kit import authority, ca_pem, chain_pem, entity, issued, key_pem, self_signed, stored

Make = Callable[..., Awaitable[GatewayUnderTest]]

GOOD = "00000000-0000-4000-8000-000000000001"
CA = "00000000-0000-4000-8000-00000000000a"
PAST = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)

#: What an upstream demands and does not get, with what the log says of it.
REFUSED = {
    "missing": (None, "it refused the connection: certificate required"),
    "wrong": (lambda: entity(issued("client.test", number=1)), "unknown ca"),
    "expired": (lambda: entity(issued("old.test", not_after=PAST)), "certificate expired"),
    "self-signed": (lambda: self_signed("client.test"), "unknown ca"),
    "revoked": (lambda: entity(issued("revoked.test")), "certificate revoked"),
}


def declared(port: int, **service: Any) -> dict[str, Any]:
    """A service behind TLS on a port, and a good client certificate."""
    return {
        "certificates": [{**entity(issued("client.test")), "id": GOOD}],
        "ca_certificates": [{"cert": ca_pem(), "id": CA}],
        "services": [
            {
                "name": "secured",
                "url": f"https://127.0.0.1:{port}",
                "retries": 0,
                "routes": [{"paths": ["/"]}],
                **service,
            }
        ],
    }


async def ask(gateway: GatewayUnderTest, **headers: str) -> tuple[int, str]:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    response = await treq.get(f"{gateway.url}/", headers=names, persistent=False)
    return response.code, (await response.content()).decode("latin-1")


@pytest_twisted.ensureDeferred
async def test_nginx_is_shown_the_certificate_of_the_service(
    make_gateway: Make, nginx: Callable[..., int], errors: list[str]
) -> None:
    gateway = await make_gateway(declared(nginx(), client_certificate=GOOD))
    code, told = await ask(gateway)
    verified, subject, _, _ = told.split("|")
    assert (code, verified, errors) == (200, "SUCCESS", [])
    assert "O=trustme" in subject


@pytest_twisted.ensureDeferred
async def test_openssl_is_shown_the_certificate_of_the_service(
    make_gateway: Make, openssl_server: int, errors: list[str]
) -> None:
    gateway = await make_gateway(declared(openssl_server, client_certificate=GOOD))
    code, told = await ask(gateway)
    assert (code, errors) == (200, [])
    assert "Client certificate" in told


@pytest.mark.parametrize("case", REFUSED)
@pytest_twisted.ensureDeferred
async def test_what_openssl_refuses_is_502_and_one_line_in_the_log(
    make_gateway: Make, openssl_server: int, errors: list[str], case: str
) -> None:
    make, reason = REFUSED[case]
    entities = declared(openssl_server)
    secret = "nothing"
    if make is not None:
        shown = {**make(), "id": GOOD}
        secret = shown["key"].splitlines()[1]
        entities["certificates"] = [shown]
        entities["services"][0]["client_certificate"] = GOOD
    gateway = await make_gateway(entities)
    code, page = await ask(gateway)
    why = reason if reason.startswith("it ") else f"it refused the connection: {reason}"
    line = f"TLS with upstream 127.0.0.1:{openssl_server} of service secured failed: {why}"
    assert (code, errors) == (502, [line])
    assert secret not in page


@pytest.mark.parametrize("case", REFUSED)
@pytest_twisted.ensureDeferred
async def test_what_nginx_refuses_it_answers_itself(
    make_gateway: Make, nginx: Callable[..., int], case: str
) -> None:
    make, _ = REFUSED[case]
    entities = declared(nginx())
    if make is not None:
        entities["certificates"] = [{**make(), "id": GOOD}]
        entities["services"][0]["client_certificate"] = GOOD
    gateway = await make_gateway(entities)
    code, page = await ask(gateway)
    assert code == 400
    what = "No required SSL certificate was sent" if make is None else "SSL certificate error"
    assert what in page


UNKNOWN = "unable to get local issuer certificate"
VERIFIED = {"tls_verify": True, "ca_certificates": [CA]}


@pytest.mark.parametrize(
    ("service", "host", "why"),
    [
        (VERIFIED, "upstream.test", None),
        (VERIFIED, "", None),  # the address is in the certificate
        ({"tls_verify": False}, "other.test", None),
        (VERIFIED, "other.test", "hostname mismatch, certificate is not valid for 'other.test'"),
        ({"tls_verify": True}, "upstream.test", "unable to get local issuer certificate"),
        (
            {"tls_verify": True, "ca_certificates": [GOOD]},
            "upstream.test",
            f"CA certificate {GOOD} does not exist",
        ),
    ],
)
@pytest_twisted.ensureDeferred
async def test_the_name_and_the_authority_of_an_upstream_are_verified(
    make_gateway: Make,
    nginx: Callable[..., int],
    errors: list[str],
    service: dict[str, Any],
    host: str,
    why: str | None,
) -> None:
    port = nginx("off")
    entities = declared(port, **service)
    if host:
        entities["services"][0]["url"] = "https://farm"
        entities["upstreams"] = [
            {"name": "farm", "host_header": host, "targets": [{"target": f"127.0.0.1:{port}"}]}
        ]
    gateway = await make_gateway(entities)
    code, told = await ask(gateway)
    if why is None:
        assert (code, errors) == (200, [])
        assert told.split("|")[2] == host
        return
    if "does not exist" not in why:
        why = f"its certificate is not trusted: {why}"
    line = f"TLS with upstream 127.0.0.1:{port} of service secured failed: {why}"
    assert (code, errors) == (502, [line])


@pytest_twisted.ensureDeferred
async def test_each_request_is_told_the_same_of_an_upstream_that_is_not_believed(
    make_gateway: Make, nginx: Callable[..., int], errors: list[str]
) -> None:
    port = nginx("off")
    entities = declared(port, **VERIFIED, retries=2)
    entities["ca_certificates"] = [{"cert": ca_pem(1), "id": CA}]
    entities["services"][0]["url"] = "https://farm"
    target = {"target": f"127.0.0.1:{port}"}
    entities["upstreams"] = [{"name": "farm", "host_header": "upstream.test", "targets": [target]}]
    gateway = await make_gateway(entities)
    for _ in range(3):
        code, _ = await ask(gateway)
        assert code == 502
    why = f"its certificate is not trusted: {UNKNOWN}"
    line = f"TLS with upstream 127.0.0.1:{port} of service secured failed: {why}"
    assert errors == [line] * 3


@pytest_twisted.ensureDeferred
async def test_the_host_that_is_preserved_is_asked_for(
    make_gateway: Make, nginx: Callable[..., int]
) -> None:
    entities = declared(nginx("off"), **VERIFIED)
    entities["services"][0]["routes"][0]["preserve_host"] = True
    gateway = await make_gateway(entities)
    assert (await ask(gateway, Host="upstream.test"))[1].split("|")[2] == "upstream.test"
    assert (await ask(gateway, Host="evil.test"))[0] == 502


@pytest_twisted.ensureDeferred
async def test_an_upstreams_certificate_counts_where_the_service_has_none(
    make_gateway: Make, nginx: Callable[..., int]
) -> None:
    port = nginx()
    entities = declared(port, url="https://farm")
    entities["upstreams"] = [
        {
            "name": "farm",
            "client_certificate": GOOD,
            "targets": [{"target": f"127.0.0.1:{port}"}],
        }
    ]
    gateway = await make_gateway(entities)
    assert (await ask(gateway))[1].startswith("SUCCESS|")
    other = await gateway.store["certificates"].insert(stored(issued("client.test", number=1)))
    service = await gateway.store["services"].select_by("name", "secured")
    change = {"client_certificate": {"id": other["id"]}}
    await gateway.store["services"].update(service["id"], change)
    assert (await ask(gateway))[0] == 400


@pytest_twisted.ensureDeferred
async def test_the_configurations_certificate_counts_last(
    make_gateway: Make, nginx: Callable[..., int]
) -> None:
    pair = entity(issued("client.test"))
    entities = declared(nginx())
    gateway = await make_gateway(
        entities,
        client_ssl="on",
        client_ssl_cert=pair["cert"],
        client_ssl_cert_key=pair["key"],
    )
    assert (await ask(gateway))[1].startswith("SUCCESS|")


@pytest_twisted.ensureDeferred
async def test_a_changed_certificate_is_shown_to_the_next_request(
    make_gateway: Make, nginx: Callable[..., int]
) -> None:
    entities = declared(nginx(), client_certificate=GOOD)
    entities["certificates"] = [{**entity(issued("client.test", number=1)), "id": GOOD}]
    gateway = await make_gateway(entities)
    assert (await ask(gateway))[0] == 400
    await gateway.store["certificates"].update(GOOD, stored(issued("client.test")))
    assert (await ask(gateway))[1].startswith("SUCCESS|")


@pytest_twisted.ensureDeferred
async def test_a_certificate_may_come_from_a_vault(
    make_gateway: Make, nginx: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = entity(issued("client.test"))
    monkeypatch.setenv("SECRET_CERT", pair["cert"])
    monkeypatch.setenv("SECRET_KEY", pair["key"])
    entities = declared(nginx(), client_certificate=GOOD)
    references = {"cert": "{vault://mine/cert}", "key": "{vault://env/secret-key}"}
    entities["certificates"] = [{**references, "id": GOOD}]
    entities["vaults"] = [{"name": "env", "prefix": "mine", "config": {"prefix": "SECRET_"}}]
    gateway = await make_gateway(entities)
    assert (await ask(gateway))[1].startswith("SUCCESS|")


@pytest_twisted.ensureDeferred
async def test_the_depth_of_a_chain_is_limited(
    make_gateway: Make, nginx: Callable[..., int], directory: Any, errors: list[str]
) -> None:
    low = authority().create_child_ca().create_child_ca().issue_cert("upstream.test")
    (directory / "server.pem").write_text(entity(low)["cert"])
    (directory / "server.key").write_text(entity(low)["key"])
    entities = declared(nginx("off"), **VERIFIED, tls_verify_depth=2)
    entities["services"][0]["routes"][0]["preserve_host"] = True
    gateway = await make_gateway(entities)
    assert (await ask(gateway, Host="upstream.test"))[0] == 200
    service = await gateway.store["services"].select_by("name", "secured")
    await gateway.store["services"].update(service["id"], {"tls_verify_depth": 1})
    assert (await ask(gateway, Host="upstream.test"))[0] == 502
    assert errors[0].endswith("its certificate is not trusted: certificate chain too long")


@pytest_twisted.ensureDeferred
async def test_sessions_are_resumed(make_gateway: Make, nginx: Callable[..., int]) -> None:
    entities = declared(nginx("off", requests=1))
    entities["services"][0]["routes"][0]["preserve_host"] = True
    gateway = await make_gateway(entities)
    reused = [(await ask(gateway, Host="upstream.test"))[1].split("|")[3] for _ in range(3)]
    assert reused == [".", "r", "r"]


@pytest_twisted.ensureDeferred
async def test_connections_are_shared_only_where_all_of_tls_agrees(
    make_gateway: Make, nginx: Callable[..., int]
) -> None:
    url = f"https://127.0.0.1:{nginx('optional_no_ca')}"
    entities = declared(1, url=url, client_certificate=GOOD)
    others = {"plain": {}, "verified": VERIFIED, "same": {"client_certificate": GOOD}}
    for name, fields in others.items():
        service = {"name": name, "url": url, "routes": [{"paths": [f"/{name}"]}], **fields}
        entities["services"].append(service)
    gateway = await make_gateway(entities)
    pool = gateway.node.pool
    for path, idle in (("", 1), ("same", 1), ("plain", 2), ("verified", 3), ("plain", 3)):
        response = await treq.get(f"{gateway.url}/{path}", persistent=False)
        told = (await response.content()).decode()
        assert told.startswith("NONE|" if path in others and path != "same" else "SUCCESS|")
        assert pool.idle_count() == idle


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: entity(issued("upstream.test", not_after=PAST)), "certificate has expired"),
        (lambda: self_signed("upstream.test"), "self-signed certificate"),
        (
            lambda: entity(issued("upstream.test", number=1)),
            "unable to get local issuer certificate",
        ),
    ],
)
@pytest_twisted.ensureDeferred
async def test_an_upstream_that_cannot_be_believed_is_502(
    make_gateway: Make,
    nginx: Callable[..., int],
    directory: Any,
    errors: list[str],
    make: Callable[[], dict[str, Any]],
    why: str,
) -> None:
    shown = make()
    (directory / "server.pem").write_text(shown["cert"])
    (directory / "server.key").write_text(shown["key"])
    port = nginx("off")
    entities = declared(port, **VERIFIED)
    entities["services"][0]["routes"][0]["preserve_host"] = True
    gateway = await make_gateway(entities)
    assert (await ask(gateway, Host="upstream.test"))[0] == 502
    start = f"TLS with upstream 127.0.0.1:{port} of service secured failed: "
    assert errors == [f"{start}its certificate is not trusted: {why}"]


@pytest_twisted.ensureDeferred
async def test_the_operating_systems_authorities_count_where_none_are_named(
    make_gateway: Make, nginx: Callable[..., int]
) -> None:
    port = nginx("off")
    for trusted, code in ((["system"], 502), (["system", ca_pem()], 200)):
        entities = declared(port, tls_verify=True)
        gateway = await make_gateway(entities, lua_ssl_trusted_certificate=trusted)
        assert (await ask(gateway))[0] == code


class Overriding(Plugin):
    """Asks for TLS as the request's headers say."""

    name = "overriding"
    priority = 1
    subschema = Subschema({"config": record({})})

    def access(self, config: Any, kong: Any) -> None:
        service, leaf = kong.service, issued("client.test")
        match kong.request.get_header("x-do"):
            case "show":
                service.set_tls_cert_key(chain_pem(leaf), key_pem(leaf))
            case "spoil":
                service.set_tls_cert_key(chain_pem(leaf), "nonsense")
            case "verify":
                service.set_tls_verify(True)
                service.set_tls_verify_store([CA])
                service.set_tls_verify_depth(1)
            case "distrust":
                service.set_tls_verify(True)


@pytest_twisted.ensureDeferred
async def test_a_plugin_has_the_last_word(
    make_gateway: Make,
    nginx: Callable[..., int],
    errors: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        "kongtx.runtime.node.composition.load", lambda names: {"overriding": Overriding()}
    )
    port = nginx("optional_no_ca")
    entities = {**declared(port), "plugins": [{"name": "overriding"}]}
    gateway = await make_gateway(entities)
    for asked, answered in (
        ("nothing", (200, "NONE")),
        ("show", (200, "SUCCESS")),
        ("nothing", (200, "NONE")),
        ("verify", (200, "NONE")),
    ):
        code, told = await ask(gateway, X_Do=asked)
        assert (code, told.split("|")[0]) == answered, asked
    assert errors == []
    for asked in ("spoil", "distrust"):
        assert (await ask(gateway, X_Do=asked))[0] == 502
    start = f"TLS with upstream 127.0.0.1:{port} of service secured failed: "
    untrusted = "its certificate is not trusted: unable to get local issuer certificate"
    spoilt = "the certificate of a plugin: the certificate or its private key cannot be read"
    assert errors == [start + spoilt, start + untrusted]


@pytest_twisted.ensureDeferred
async def test_health_checks_show_the_upstreams_certificate(
    make_gateway: Make, openssl_server: int
) -> None:
    healthy = {"interval": 0.1, "successes": 1}
    unhealthy = {"interval": 0.1, "tcp_failures": 1, "http_failures": 1, "timeouts": 1}
    checks = {"type": "https", "https_verify_certificate": False, "timeout": 1}
    for certificate, health in ((GOOD, "HEALTHY"), (None, "UNHEALTHY")):
        entities = declared(openssl_server)
        entities["upstreams"] = [
            {
                "name": "farm",
                "client_certificate": certificate,
                "healthchecks": {"active": {**checks, "healthy": healthy, "unhealthy": unhealthy}},
                "targets": [{"target": f"127.0.0.1:{openssl_server}"}],
            }
        ]
        gateway = await make_gateway(entities)
        seen = ""
        for _ in range(40):
            answer = await treq.get(f"{gateway.admin_url}/upstreams/farm/health", persistent=False)
            [target] = (await answer.json())["data"]
            seen = target["health"]
            if seen == health and health == "UNHEALTHY":
                break
            await deferLater(reactor, 0.02, lambda: None)
        assert seen == health
        await gateway.node.store["upstreams"].delete(
            (await gateway.node.store["upstreams"].select_by("name", "farm"))["id"]
        )
