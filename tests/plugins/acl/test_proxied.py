"""acl behind key-auth in front of an upstream."""

from __future__ import annotations

from typing import Any

import pytest_twisted

from kongtx.testing.gateway import GatewayUnderTest
from kongtx.testing.upstream import Upstream
from tests.plugins.proxied import Make, declared

FORBIDDEN = "You cannot consume this service"


async def start(make_gateway: Make, upstream: Upstream, **config: Any) -> GatewayUnderTest:
    return await make_gateway(
        {
            **declared(upstream, {"name": "key-auth"}, {"name": "acl", "config": config}),
            "consumers": [{"username": "bob", "keyauth_credentials": [{"key": "k"}]}],
        }
    )


@pytest_twisted.ensureDeferred
async def test_groups_are_joined_and_left(make_gateway: Make, upstream: Upstream) -> None:
    gateway = await start(make_gateway, upstream, allow=["gold", "silver"])
    client, admin, key = gateway.client, gateway.admin, {"apikey": "k"}
    answer = await client.get("/", headers=key)
    assert (answer.status, answer.json["message"]) == (403, FORBIDDEN)
    for group in ("silver", "bronze"):
        assert (await admin.post("/consumers/bob/acls", json={"group": group})).status == 201
    assert (await client.get("/", headers=key)).status == 200
    assert upstream.received[-1].header("x-consumer-groups") == "bronze, silver"
    assert (await admin.put("/consumers/bob/acls/gold", json={})).status == 200
    assert (await admin.delete("/consumers/bob/acls/silver")).status == 204
    assert (await client.get("/", headers=key)).status == 200
    assert upstream.received[-1].header("x-consumer-groups") == "bronze, gold"
    assert (await admin.delete("/consumers/bob/acls/gold")).status == 204
    assert (await client.get("/", headers=key)).status == 403


@pytest_twisted.ensureDeferred
async def test_a_group_can_be_kept_out(make_gateway: Make, upstream: Upstream) -> None:
    gateway = await start(make_gateway, upstream, deny=["banned"], hide_groups_header=True)
    client, key = gateway.client, {"apikey": "k", "X-Consumer-Groups": "forged"}
    assert (await client.get("/", headers=key)).status == 200
    assert upstream.received[-1].header("x-consumer-groups") is None
    await gateway.admin.post("/consumers/bob/acls", json={"group": "banned"})
    assert (await client.get("/", headers=key)).status == 403


@pytest_twisted.ensureDeferred
async def test_without_authentication_nobody_is_in_a_group(
    make_gateway: Make, upstream: Upstream
) -> None:
    gateway = await make_gateway(declared(upstream, {"name": "acl", "config": {"allow": ["g"]}}))
    answer = await gateway.client.get("/")
    assert (answer.status, answer.json["message"]) == (401, "Unauthorized")
