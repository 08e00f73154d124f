"""key-auth in front of an upstream, with credentials that the Admin API makes."""

from __future__ import annotations

import json
from typing import Any

import pytest_twisted

from kongtx.testing.upstream import Upstream
from tests.plugins.proxied import Make, declared


def keyed(**config: Any) -> dict[str, Any]:
    return {"name": "key-auth", "config": config}


@pytest_twisted.ensureDeferred
async def test_a_key_is_made_used_and_taken_away(make_gateway: Make, upstream: Upstream) -> None:
    gateway = await make_gateway(declared(upstream, keyed()))
    client, admin = gateway.client, gateway.admin
    await admin.post("/consumers", json={"username": "bob", "custom_id": "42"})
    made = await admin.post("/consumers/bob/key-auth", json={})
    key, identifier = made.json["key"], made.json["id"]
    assert (made.status, len(key)) == (201, 32)

    refused = await client.get("/")
    assert (refused.status, refused.json["message"]) == (401, "No API key found in request")
    assert len(refused.json["request_id"]) == 32
    assert refused.header("www-authenticate") == "Key"
    assert upstream.received == []

    for path, headers in (("/", {"ApiKey": key}), (f"/?apikey={key}", {})):
        assert (await client.get(path, headers=headers)).status == 200
        seen = upstream.received[-1]
        assert seen.header("x-consumer-username") == "bob"
        assert seen.header("x-consumer-custom-id") == "42"
        assert seen.header("x-credential-identifier") == identifier
        assert seen.header("x-anonymous-consumer") is None

    assert (await admin.delete(f"/consumers/bob/key-auth/{key}")).status == 204
    gone = await client.get("/", headers={"apikey": key})
    assert (gone.status, gone.json["message"]) == (401, "Unauthorized")


@pytest_twisted.ensureDeferred
async def test_a_hidden_key_does_not_reach_the_upstream(
    make_gateway: Make, upstream: Upstream
) -> None:
    gateway = await make_gateway(
        {
            **declared(upstream, keyed(hide_credentials=True, key_in_body=True)),
            "consumers": [{"username": "bob", "keyauth_credentials": [{"key": "k"}]}],
        }
    )
    await gateway.client.get("/x?b=%201&apikey=k&a=2")
    assert upstream.received[-1].target == "/x?b=%201&a=2"
    await gateway.client.get("/", headers={"apikey": "k"})
    assert upstream.received[-1].header("apikey") is None
    await gateway.client.post("/", json={"apikey": "k", "n": 1})
    assert json.loads(upstream.received[-1].body) == {"n": 1}


@pytest_twisted.ensureDeferred
async def test_headers_of_a_client_are_no_proof(make_gateway: Make, upstream: Upstream) -> None:
    gateway = await make_gateway(
        {
            **declared(upstream, keyed(anonymous="guest")),
            "consumers": [{"username": "guest"}],
        }
    )
    forged = {
        "X-Consumer-Username": "root",
        "X-Consumer-Custom-ID": "0",
        "X-Credential-Identifier": "x",
    }
    await gateway.client.get("/", headers=forged)
    seen = upstream.received[-1]
    assert seen.headers["x-consumer-username"] == ["guest"]
    assert seen.header("x-consumer-custom-id") is None
    assert seen.header("x-credential-identifier") is None
    assert seen.header("x-anonymous-consumer") == "true"


@pytest_twisted.ensureDeferred
async def test_a_missing_anonymous_consumer_is_a_500(
    make_gateway: Make, upstream: Upstream
) -> None:
    gateway = await make_gateway(declared(upstream, keyed(anonymous="nobody")))
    answer = await gateway.client.get("/")
    assert (answer.status, answer.json["message"]) == (500, "An unexpected error occurred")


@pytest_twisted.ensureDeferred
async def test_preflights_may_pass(make_gateway: Make, upstream: Upstream) -> None:
    gateway = await make_gateway(declared(upstream, keyed(run_on_preflight=False)))
    assert (await gateway.client.request("OPTIONS", "/")).status == 200
    assert (await gateway.client.get("/")).status == 401


@pytest_twisted.ensureDeferred
async def test_a_known_key_follows_the_changes_of_its_consumer(
    make_gateway: Make, upstream: Upstream
) -> None:
    gateway = await make_gateway(
        {
            **declared(upstream, keyed()),
            "consumers": [{"username": "bob", "keyauth_credentials": [{"key": "k"}]}],
        }
    )

    async def seen_username() -> str | None:
        assert (await gateway.client.get("/", headers={"apikey": "k"})).status == 200
        return upstream.received[-1].header("x-consumer-username")

    assert [await seen_username(), await seen_username()] == ["bob", "bob"]
    await gateway.admin.patch("/consumers/bob", json={"username": "robert"})
    assert await seen_username() == "robert"
    await gateway.admin.delete("/consumers/robert")
    assert (await gateway.client.get("/", headers={"apikey": "k"})).status == 401


@pytest_twisted.ensureDeferred
async def test_a_key_that_is_unknown_is_looked_up_once_and_known_once_it_is_made(
    make_gateway: Make, upstream: Upstream
) -> None:
    gateway = await make_gateway(
        {**declared(upstream, keyed()), "consumers": [{"username": "bob"}]}
    )
    cache = gateway.node.cache

    async def status() -> int:
        return (await gateway.client.get("/", headers={"apikey": "new"})).status

    before = cache.statistics.loads
    assert [await status() for _ in range(5)] == [401] * 5
    assert cache.statistics.loads == before + 1
    made = await gateway.admin.post("/consumers/bob/key-auth", json={"key": "new"})
    assert made.status == 201
    assert await status() == 200
