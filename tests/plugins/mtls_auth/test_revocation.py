"""mtls-auth asking authorities what they have revoked, over real TLS and HTTP."""

from __future__ import annotations

import json
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from cryptography.hazmat.primitives.serialization import Encoding
from twisted.logger import LogLevel, formatEvent, globalLogPublisher

from kongtx.plugins.mtls_auth import revocation
from kongtx.testing.gateway import GatewayUnderTest
from kongtx.testing.upstream import Upstream
from tests.plugins.mtls_auth.issuers import Answers, Leaf, answering, free_port, issue, responder
from tests.plugins.mtls_auth.test_proxied import LISTEN, entities
from tests.tls.kit import authority, client_context, crl_pem, get, port_of

Make = Callable[..., Awaitable[GatewayUnderTest]]

CA = authority()


@pytest.fixture
def answers() -> Iterator[Answers]:
    """A server of lists."""
    with answering() as server:
        yield server


@pytest.fixture
def warnings() -> Iterator[list[str]]:
    """What the plugin warns of."""
    lines: list[str] = []

    def observe(event: dict[str, Any]) -> None:
        if event.get("log_level") is LogLevel.warn and "mtls-auth" in str(event["log_format"]):
            lines.append(formatEvent(event))

    globalLogPublisher.addObserver(observe)
    yield lines
    globalLogPublisher.removeObserver(observe)


def listing(*revoked: Leaf) -> bytes:
    pems = [leaf.certificate.public_bytes(Encoding.PEM) for leaf in revoked]
    return crl_pem(CA, pems).encode()


async def standing(gateway: GatewayUnderTest, leaf: Leaf) -> str:
    """What the gateway answers who shows a certificate."""
    context = client_context()
    leaf.configure_cert(context)
    seen = await get(port_of(gateway.url), context=context)
    return "accepted" if seen.status == 200 else str(json.loads(seen.body)["message"])


REFUSED = "TLS certificate failed verification"


@pytest_twisted.ensureDeferred
async def test_openssls_responder_tells_what_is_revoked(
    make_gateway: Make, upstream: Upstream, tmp_path: Path
) -> None:
    port = free_port()
    good, bad, unknown = (
        issue(CA, "client.test", ocsp=f"http://127.0.0.1:{port}/") for _ in range(3)
    )
    known = {good.certificate: "V", bad.certificate: "R"}
    config: dict[str, Any]
    for config, told in (
        ({}, ["accepted", REFUSED, "accepted"]),
        ({"revocation_check_mode": "STRICT"}, ["accepted", REFUSED, REFUSED]),
        ({"revocation_check_mode": "SKIP"}, ["accepted"] * 3),
    ):
        gateway = await make_gateway(entities(upstream, **config), **LISTEN)
        with responder(tmp_path, CA, port, known):
            found = [await standing(gateway, each) for each in (good, bad, unknown)]
        assert found == told


@pytest_twisted.ensureDeferred
async def test_a_list_is_fetched_once_and_holds_for_a_while(
    make_gateway: Make, upstream: Upstream, answers: Answers
) -> None:
    good, bad = (issue(CA, "client.test", crl=f"{answers.url}/crl") for _ in range(2))
    answers.bodies["/crl"] = listing(bad)
    gateway = await make_gateway(entities(upstream, revocation_check_mode="STRICT"), **LISTEN)
    assert [await standing(gateway, each) for each in (good, bad, good)] == [
        "accepted", REFUSED, "accepted",
    ]  # fmt: skip
    assert answers.asked == ["/crl"]


@pytest_twisted.ensureDeferred
async def test_what_was_told_is_asked_again_when_its_time_is_over(
    make_gateway: Make, upstream: Upstream, answers: Answers
) -> None:
    leaf = issue(CA, "client.test", crl=f"{answers.url}/crl")
    answers.bodies["/crl"] = listing()
    config = {"cert_cache_ttl": 0, "cache_ttl": 0}
    gateway = await make_gateway(entities(upstream, **config), **LISTEN)
    assert await standing(gateway, leaf) == "accepted"
    answers.bodies["/crl"] = listing(leaf)
    assert await standing(gateway, leaf) == REFUSED


@pytest_twisted.ensureDeferred
async def test_a_responder_that_tells_nothing_leaves_it_to_the_list(
    make_gateway: Make, upstream: Upstream, answers: Answers, warnings: list[str]
) -> None:
    leaf = issue(CA, "client.test", ocsp=f"{answers.url}/ocsp", crl=f"{answers.url}/crl")
    answers.bodies["/crl"] = listing(leaf)
    gateway = await make_gateway(entities(upstream), **LISTEN)
    assert await standing(gateway, leaf) == REFUSED
    assert answers.asked == ["/ocsp", "/crl"]
    assert warnings == [
        f"mtls-auth: {answers.url}/ocsp does not tell whether a certificate is revoked: "
        "the answer has status 404"
    ]


@pytest_twisted.ensureDeferred
async def test_who_cannot_be_asked_is_ignored_or_not_as_the_mode_says(
    make_gateway: Make,
    upstream: Upstream,
    answers: Answers,
    warnings: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(revocation, "LARGEST", 100)
    monkeypatch.setattr(revocation, "UNKNOWN_LIVES", 0.0)
    answers.bodies["/long"] = bytes(200)
    answers.bodies["/other"] = b"nonsense"
    with ExitStack() as ending:
        silent = ending.enter_context(socket.create_server(("127.0.0.1", 0)))
        urls = {
            f"http://127.0.0.1:{silent.getsockname()[1]}/": "no answer within 0.6 seconds",
            f"{answers.url}/long": "the answer has more than 100 bytes",
            f"{answers.url}/other": "this is no revocation list",
            "http://127.0.0.1:999999/": "",
            f"http://127.0.0.1:{free_port()}/": "Connection was refused by other side",
        }
        gateways = [
            await make_gateway(
                entities(upstream, http_timeout=600, revocation_check_mode=mode), **LISTEN
            )
            for mode in ("STRICT", "IGNORE_CA_ERROR")
        ]
        for url, why in urls.items():
            leaf = issue(CA, "client.test", crl=url)
            warnings.clear()
            assert [await standing(each, leaf) for each in gateways] == [REFUSED, "accepted"]
            assert all(f"{url} does not tell" in line and why in line for line in warnings)
            assert len(warnings) == 2
    answers.bodies["/late"] = b""
    leaf = issue(CA, "client.test", crl=f"{answers.url}/late")
    strict = gateways[0]
    assert await standing(strict, leaf) == REFUSED
    monkeypatch.undo()
    answers.bodies["/late"] = listing()
    assert await standing(strict, leaf) == "accepted"


@pytest_twisted.ensureDeferred
async def test_a_proxy_stands_on_the_way_if_so_configured(
    make_gateway: Make, upstream: Upstream, answers: Answers, warnings: list[str]
) -> None:
    port = int(answers.url.rpartition(":")[2])
    config = {"http_proxy_host": "127.0.0.1", "http_proxy_port": port}
    leaf = issue(CA, "client.test", crl="http://crl.invalid/list")
    answers.bodies["http://crl.invalid/list"] = listing(leaf)
    gateway = await make_gateway(entities(upstream, **config), **LISTEN)
    assert await standing(gateway, leaf) == REFUSED
    assert answers.asked == ["http://crl.invalid/list"]
    secured = issue(CA, "client.test", crl="https://crl.invalid/list")
    assert await standing(gateway, secured) == "accepted"
    assert warnings == [
        "mtls-auth: https://crl.invalid/list does not tell whether a certificate is revoked: "
        "https is not spoken through http_proxy_host"
    ]


@pytest_twisted.ensureDeferred
async def test_configured_lists_spare_the_asking(
    make_gateway: Make, upstream: Upstream, answers: Answers
) -> None:
    good, bad = (issue(CA, "client.test", crl=f"{answers.url}/crl") for _ in range(2))
    crls = [listing(bad).decode()]
    gateway = await make_gateway(entities(upstream, crls=crls), **LISTEN)
    assert [await standing(gateway, each) for each in (good, bad)] == ["accepted", REFUSED]
    assert answers.asked == []
