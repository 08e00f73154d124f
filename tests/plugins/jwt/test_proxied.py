"""jwt in front of an upstream, with tokens that PyJWT signs."""

from __future__ import annotations

import time
from typing import Any

import jwt
import pytest_twisted
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from kongtx.testing.gateway import GatewayUnderTest
from kongtx.testing.upstream import Upstream
from tests.plugins.proxied import Make, declared

SECRET = "a secret of at least thirty-two bytes"


async def start(make_gateway: Make, upstream: Upstream, **config: Any) -> GatewayUnderTest:
    gateway = await make_gateway(declared(upstream, {"name": "jwt", "config": config}))
    await gateway.admin.post("/consumers", json={"username": "bob"})
    made = {"key": "issuer", "secret": SECRET}
    assert (await gateway.admin.post("/consumers/bob/jwt", json=made)).status == 201
    return gateway


def bearer(key: Any = SECRET, algorithm: str = "HS256", **claims: Any) -> dict[str, str]:
    token = jwt.encode({"iss": "issuer", **claims}, key, algorithm)
    return {"Authorization": f"Bearer {token}"}


@pytest_twisted.ensureDeferred
async def test_a_signed_token_tells_who_asks(make_gateway: Make, upstream: Upstream) -> None:
    gateway = await start(make_gateway, upstream)
    assert (await gateway.client.get("/", headers=bearer())).status == 200
    seen = upstream.received[-1]
    assert seen.header("x-consumer-username") == "bob"
    assert seen.header("x-credential-identifier") == "issuer"
    token = bearer()["Authorization"].removeprefix("Bearer ")
    assert (await gateway.client.get(f"/?jwt={token}")).status == 200
    assert upstream.received[-1].target == f"/?jwt={token}"


@pytest_twisted.ensureDeferred
async def test_refusals_are_the_plugins_own_json(make_gateway: Make, upstream: Upstream) -> None:
    gateway = await start(make_gateway, upstream, claims_to_verify=["exp"], realm="api")
    client = gateway.client
    answer = await client.get("/", headers={"Accept": "text/html"})
    assert (answer.status, answer.json) == (401, {"message": "Unauthorized"})
    assert answer.header("content-type") == "application/json; charset=utf-8"
    assert answer.header("www-authenticate") == 'Bearer realm="api"'
    now = int(time.time())
    for headers, body in (
        (bearer("another secret that is long enough"), {"message": "Invalid signature"}),
        (bearer(exp=now - 60), {"exp": "token expired"}),
        (bearer(), {"exp": "must be a number"}),
        (bearer(iss="x"), {"message": "No credentials found for given 'iss'"}),
        ({"Authorization": "Bearer a.b.c"}, {"message": "Bad token; invalid JSON"}),
    ):
        answer = await client.get("/", headers=headers)
        assert (answer.status, answer.json) == (401, body)
        assert answer.header("www-authenticate") == 'Bearer realm="api" error="invalid_token"'
    assert (await client.get("/", headers=bearer(exp=now + 60))).status == 200


@pytest_twisted.ensureDeferred
async def test_a_public_key_verifies_what_its_owner_signs(
    make_gateway: Make, upstream: Upstream
) -> None:
    gateway = await start(make_gateway, upstream)
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    made = await gateway.admin.post(
        "/consumers/bob/jwt",
        json={"key": "signer", "algorithm": "ES256", "rsa_public_key": pem.decode()},
    )
    assert made.status == 201
    headers = bearer(key, "ES256", iss="signer")
    assert (await gateway.client.get("/", headers=headers)).status == 200
    confused = bearer(iss="signer")
    assert (await gateway.client.get("/", headers=confused)).json == {
        "message": "Invalid algorithm"
    }
