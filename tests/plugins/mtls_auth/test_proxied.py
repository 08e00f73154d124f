"""mtls-auth in front of an upstream, over real TLS."""

from __future__ import annotations

import json
import ssl
from collections.abc import Awaitable, Callable
from typing import Any

import pytest_twisted
from twisted.internet.threads import deferToThread

from kongtx.testing.gateway import GatewayUnderTest
from kongtx.testing.upstream import Upstream
from tests.plugins.proxied import declared
from tests.tls.kit import (
    authorities_told,
    authority,
    ca_pem,
    client_context,
    crl_pem,
    get,
    issued,
    port_of,
    with_certificate,
)

Make = Callable[..., Awaitable[GatewayUnderTest]]

CA = "00000000-0000-4000-8000-00000000000a"
LISTEN = {"proxy_listen": "127.0.0.1:0 ssl"}


def entities(upstream: Upstream, **config: Any) -> dict[str, Any]:
    plugin = {"name": "mtls-auth", "config": {"ca_certificates": [CA], **config}}
    return {
        **declared(upstream, plugin),
        "ca_certificates": [{"cert": ca_pem(), "id": CA}],
        "consumers": [
            {"username": "client.test", "custom_id": "c-1"},
            {"username": "other", "custom_id": "b@mail.test"},
            {"username": "guest"},
        ],
    }


def showing(*names: str, number: int = 0, **options: Any) -> ssl.SSLContext:
    return with_certificate(client_context(), issued(*names, number=number, **options))


@pytest_twisted.ensureDeferred
async def test_the_consumer_is_found_by_the_names_in_the_certificate(
    make_gateway: Make, upstream: Upstream
) -> None:
    gateway = await make_gateway(entities(upstream), **LISTEN)
    for context, consumer, name in (
        (showing("client.test"), "client.test", "client.test"),
        (showing("nobody.test", "b@mail.test"), "other", "b@mail.test"),
        (showing("nobody.test", common_name="c-1"), "client.test", "c-1"),
    ):
        assert (await get(port_of(gateway.url), context=context)).status == 200
        received = upstream.received.pop()
        assert received.header("x-consumer-username") == consumer
        assert received.header("x-credential-identifier") == name


@pytest_twisted.ensureDeferred
async def test_clients_without_a_good_certificate_are_refused(
    make_gateway: Make, upstream: Upstream
) -> None:
    revoking = crl_pem(authority(), [issued("revoked.test").cert_chain_pems[0].bytes()])
    gateway = await make_gateway(entities(upstream, crls=[revoking]), **LISTEN)
    for context, message in (
        (client_context(), "No required TLS certificate was sent"),
        (showing("client.test", number=1), "TLS certificate failed verification"),
        (showing("revoked.test"), "TLS certificate failed verification"),
        (showing("nobody.test"), "Unauthorized"),
    ):
        seen = await get(port_of(gateway.url), context=context)
        assert (seen.status, json.loads(seen.body)["message"]) == (401, message)
    assert upstream.received == []


@pytest_twisted.ensureDeferred
async def test_an_anonymous_consumer_is_let_through(make_gateway: Make, upstream: Upstream) -> None:
    gateway = await make_gateway(entities(upstream, anonymous="guest"), **LISTEN)
    assert (await get(port_of(gateway.url))).status == 200
    assert upstream.received[0].header("x-consumer-username") == "guest"
    assert upstream.received[0].header("x-anonymous-consumer") == "true"


@pytest_twisted.ensureDeferred
async def test_without_consumers_the_certificates_name_is_the_group(
    make_gateway: Make, upstream: Upstream
) -> None:
    declared_entities = entities(upstream, skip_consumer_lookup=True)
    route = declared_entities["services"][0]["routes"][0]
    route["plugins"].append({"name": "acl", "config": {"allow": ["crew"]}})
    gateway = await make_gateway(declared_entities, **LISTEN)
    crew, others = showing("x.test", common_name="crew"), showing("x.test", common_name="others")
    forged = "X-Client-Cert-Dn: CN=forged\r\nX-Client-Cert-San: forged\r\n"
    seen = await get(port_of(gateway.url), context=crew, headers=forged)
    assert seen.status == 200
    received = upstream.received[0]
    assert received.headers["x-client-cert-dn"][0].startswith("CN=crew,")
    assert received.headers["x-client-cert-san"] == ["x.test"]
    assert (await get(port_of(gateway.url), context=others)).status == 403


@pytest_twisted.ensureDeferred
async def test_changes_of_consumers_and_authorities_count_at_once(
    make_gateway: Make, upstream: Upstream
) -> None:
    gateway = await make_gateway(entities(upstream), **LISTEN)
    context = showing("later.test", common_name="c-9")
    port = port_of(gateway.url)
    assert (await get(port, context=context)).status == 401
    consumers = gateway.store["consumers"]
    added = await consumers.insert({"custom_id": "c-9"})
    assert (await get(port, context=context)).status == 200
    await consumers.update(added["id"], {"custom_id": "c-10"})
    assert (await get(port, context=context)).status == 401
    await consumers.update(added["id"], {"custom_id": "c-9"})
    await gateway.store["ca_certificates"].update(CA, {"cert": ca_pem(1)})
    assert (await get(port, context=context)).status == 401
    again = showing("later.test", number=1, common_name="c-9")
    assert (await get(port, context=again)).status == 200


@pytest_twisted.ensureDeferred
async def test_a_credential_says_whose_a_name_is_for_an_authority_or_for_all(
    make_gateway: Make, upstream: Upstream
) -> None:
    other = "00000000-0000-4000-8000-00000000000b"
    declared_entities = entities(upstream, ca_certificates=[CA, other])
    declared_entities["ca_certificates"].append({"cert": ca_pem(1), "id": other})
    gateway = await make_gateway(declared_entities, **LISTEN)
    port = port_of(gateway.url)

    async def consumer(context: ssl.SSLContext) -> str | None:
        seen = await get(port, context=context)
        if seen.status != 200:
            return None
        received = upstream.received.pop()
        return received.header("x-consumer-username")

    one, two = showing("shared.test"), showing("shared.test", number=1)
    assert [await consumer(each) for each in (one, two)] == [None, None]
    admin = gateway.admin
    made = await admin.post("/consumers/other/mtls-auth", json={"subject_name": "shared.test"})
    assert made.status == 201
    assert [await consumer(each) for each in (one, two)] == ["other", "other"]
    body = {"subject_name": "shared.test", "ca_certificate": {"id": other}}
    special = await admin.post("/consumers/guest/mtls-auth", json=body)
    assert special.status == 201
    assert [await consumer(each) for each in (one, two)] == ["other", "guest"]
    assert (await admin.post("/consumers/guest/mtls-auth", json=body)).status == 409
    # A credential counts before the consumer's own name.
    named = {"subject_name": "client.test"}
    await admin.post("/consumers/guest/mtls-auth", json=named)
    assert await consumer(showing("client.test")) == "guest"

    listed = (await admin.get("/mtls-auths")).json["data"]
    assert sorted(each["subject_name"] for each in listed) == [
        "client.test", "shared.test", "shared.test",
    ]  # fmt: skip
    assert (await admin.request("DELETE", f"/mtls-auths/{special.json['id']}")).status == 204
    assert [await consumer(each) for each in (one, two)] == ["other", "other"]
    assert (await admin.request("DELETE", "/consumers/other")).status == 204
    assert await consumer(one) is None


@pytest_twisted.ensureDeferred
async def test_a_default_consumer_is_who_nobody_knows(
    make_gateway: Make, upstream: Upstream, errors: list[str]
) -> None:
    gateway = await make_gateway(entities(upstream, default_consumer="guest"), **LISTEN)
    port = port_of(gateway.url)
    for context, name in ((showing("nobody.test"), "guest"), (showing("client.test"),
                                                              "client.test")):  # fmt: skip
        assert (await get(port, context=context)).status == 200
        received = upstream.received.pop()
        assert received.header("x-consumer-username") == name
        assert received.header("x-anonymous-consumer") is None
    assert (await get(port, context=showing("nobody.test", number=1))).status == 401
    await gateway.admin.request("DELETE", "/consumers/guest")
    assert (await get(port, context=showing("nobody.test"))).status == 401
    assert errors == ["default_consumer guest does not exist"]


@pytest_twisted.ensureDeferred
async def test_clients_are_told_whose_certificates_are_welcome_if_so_configured(
    make_gateway: Make, upstream: Upstream
) -> None:
    gateway = await make_gateway(entities(upstream, send_ca_dn=True), **LISTEN)
    port = port_of(gateway.url)
    assert await deferToThread(authorities_told, port) == ["kongtx tests 0"]
    assert (await get(port, context=showing("client.test"))).status == 200
    await gateway.store["ca_certificates"].update(CA, {"cert": ca_pem(1)})
    assert await deferToThread(authorities_told, port) == ["kongtx tests 1"]
    # Another plugin takes certificates of anybody.
    await gateway.admin.post("/plugins", json={"name": "tls-handshake-modifier"})
    assert await deferToThread(authorities_told, port) == []


@pytest_twisted.ensureDeferred
async def test_clients_are_told_nothing_else(make_gateway: Make, upstream: Upstream) -> None:
    gateway = await make_gateway(entities(upstream), **LISTEN)
    assert await deferToThread(authorities_told, port_of(gateway.url)) == []
