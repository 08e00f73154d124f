"""basic-auth in front of an upstream, with credentials that the Admin API makes."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import pytest_twisted

from kongtx.lib import passwords
from kongtx.testing.upstream import Upstream
from tests.plugins.proxied import Make, declared


def basic(**config: Any) -> dict[str, Any]:
    return {"name": "basic-auth", "config": config}


def login(text: str, header: str = "Authorization") -> dict[str, str]:
    return {header: "Basic " + base64.b64encode(text.encode()).decode()}


@pytest_twisted.ensureDeferred
async def test_a_password_is_set_used_and_changed(make_gateway: Make, upstream: Upstream) -> None:
    gateway = await make_gateway(declared(upstream, basic()))
    client, admin = gateway.client, gateway.admin
    bob = (await admin.post("/consumers", json={"username": "bob"})).json["id"]
    made = await admin.post(
        "/consumers/bob/basic-auth", json={"username": "b", "password": "pa:ss"}
    )
    assert made.json["password"] == hashlib.sha1(b"pa:ss" + bob.encode()).hexdigest()

    refused = await client.get("/")
    assert (refused.status, refused.json["message"]) == (401, "Unauthorized")
    assert refused.header("www-authenticate") == 'Basic realm="service"'
    assert (await client.get("/", headers=login("b:pa:ss"))).status == 200
    seen = upstream.received[-1]
    assert seen.header("x-consumer-username") == "bob"
    assert seen.header("x-credential-identifier") == "b"
    assert seen.header("authorization") == login("b:pa:ss")["Authorization"]

    changed = await admin.patch("/consumers/bob/basic-auth/b", json={"password": "new"})
    assert changed.status == 200, changed.json
    assert changed.json["password"] == hashlib.sha1(b"new" + bob.encode()).hexdigest()
    assert (await client.get("/", headers=login("b:pa:ss"))).status == 401
    assert (await client.get("/", headers=login("b:new"))).status == 200


@pytest_twisted.ensureDeferred
async def test_a_hash_is_kept_in_place_of_a_password(
    make_gateway: Make, upstream: Upstream
) -> None:
    gateway = await make_gateway(declared(upstream, basic()))
    client, admin = gateway.client, gateway.admin
    await admin.post("/consumers", json={"username": "bob"})
    hashed = passwords.make("pa:ss", rounds=1000)
    made = await admin.post("/consumers/bob/basic-auth", json={"username": "b", "password": hashed})
    assert (made.status, made.json["password"]) == (201, hashed)
    for _ in range(2):
        assert (await client.get("/", headers=login("b:pa:ss"))).status == 200
        assert (await client.get("/", headers=login("b:pa:sS"))).status == 401
        assert (await client.get("/", headers=login(f"b:{hashed}"))).status == 401
    assert (await admin.patch("/basic-auths/b", json={"tags": ["kept"]})).json["password"] == hashed

    wrong = await admin.patch("/consumers/bob/basic-auth/b", json={"password": hashed[:-1]})
    assert wrong.status == 400
    assert wrong.json["fields"] == {"password": "not a hash as kongtx password makes it"}


@pytest_twisted.ensureDeferred
async def test_proxy_authorization_is_tried_first(make_gateway: Make, upstream: Upstream) -> None:
    credentials = [{"username": "b", "password": "p"}]
    gateway = await make_gateway(
        {
            **declared(upstream, basic(hide_credentials=True)),
            "consumers": [{"username": "bob", "basicauth_credentials": credentials}],
        }
    )
    own = login("their:own")
    both = {**login("b:p", "Proxy-Authorization"), **own}
    assert (await gateway.client.get("/", headers=both)).status == 200
    seen = upstream.received[-1]
    assert seen.header("proxy-authorization") is None
    assert seen.header("authorization") == own["Authorization"]
    other = {**login("nobody:p", "Proxy-Authorization"), **login("b:p")}
    assert (await gateway.client.get("/", headers=other)).status == 200
    wrong = {**login("b:x", "Proxy-Authorization"), **login("b:p")}
    assert (await gateway.client.get("/", headers=wrong)).status == 401
