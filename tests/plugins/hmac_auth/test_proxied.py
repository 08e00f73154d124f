"""hmac-auth in front of an upstream, with signatures that the standard library makes."""

from __future__ import annotations

import base64
import hashlib
import hmac
from email.utils import formatdate
from typing import Any

import pytest_twisted

from kongtx.testing.gateway import GatewayUnderTest
from kongtx.testing.upstream import Upstream
from tests.plugins.proxied import Make, declared


def signed(
    line: str, secret: str = "s3cret", date: str | None = None, **more: str
) -> dict[str, str]:
    """The headers of a request whose line is C{line}; C{more} are headers to sign as well."""
    headers = {"date": date or formatdate(usegmt=True), **more}
    names = [*headers, "request-line"]
    text = "\n".join([f"{name}: {value}" for name, value in headers.items()] + [line])
    made = base64.b64encode(hmac.new(secret.encode(), text.encode(), "sha256").digest()).decode()
    return {
        **headers,
        "Authorization": 'hmac username="b", algorithm="hmac-sha256", '
        f'headers="{" ".join(names)}", signature="{made}"',
    }


async def start(make_gateway: Make, upstream: Upstream, **config: Any) -> GatewayUnderTest:
    gateway = await make_gateway(declared(upstream, {"name": "hmac-auth", "config": config}))
    await gateway.admin.post("/consumers", json={"username": "bob"})
    made = {"username": "b", "secret": "s3cret"}
    assert (await gateway.admin.post("/consumers/bob/hmac-auth", json=made)).status == 201
    return gateway


@pytest_twisted.ensureDeferred
async def test_a_signed_request_passes(make_gateway: Make, upstream: Upstream) -> None:
    gateway = await start(make_gateway, upstream, hide_credentials=True)
    line = "GET /a/b?c=%20d HTTP/1.1"
    answer = await gateway.client.get("/a/b?c=%20d", headers=signed(line))
    assert answer.status == 200
    seen = upstream.received[-1]
    assert seen.header("x-consumer-username") == "bob"
    assert seen.header("x-credential-identifier") == "b"
    assert seen.header("authorization") is None


@pytest_twisted.ensureDeferred
async def test_what_is_signed_cannot_be_changed(make_gateway: Make, upstream: Upstream) -> None:
    gateway = await start(make_gateway, upstream)
    headers = signed("GET /a HTTP/1.1")
    for path, given, message in (
        ("/b", headers, "HMAC signature does not match"),
        ("/a", signed("GET /a HTTP/1.1", "other"), "HMAC signature does not match"),
        ("/a", {}, "Unauthorized"),
    ):
        answer = await gateway.client.get(path, headers=given)
        assert (answer.status, answer.json["message"]) == (401, message)
        assert answer.header("www-authenticate") == "hmac"
    old = signed("GET /a HTTP/1.1", date=formatdate(1_000_000_000, usegmt=True))
    assert "a valid date" in (await gateway.client.get("/a", headers=old)).json["message"]
    assert upstream.received == []


@pytest_twisted.ensureDeferred
async def test_a_body_is_signed_by_its_digest(make_gateway: Make, upstream: Upstream) -> None:
    gateway = await start(
        make_gateway, upstream, validate_request_body=True, enforce_headers=["digest"]
    )
    digest = "SHA-256=" + base64.b64encode(hashlib.sha256(b"body").digest()).decode()
    headers = signed("POST / HTTP/1.1", digest=digest)
    assert (await gateway.client.post("/", headers=headers, data=b"body")).status == 200
    assert upstream.received[-1].body == b"body"
    other = await gateway.client.post("/", headers=headers, data=b"else")
    assert (other.status, other.json["message"]) == (401, "HMAC signature does not match")
    without = await gateway.client.post("/", headers=signed("POST / HTTP/1.1"), data=b"body")
    assert without.json["message"] == "HMAC signature cannot be verified"
