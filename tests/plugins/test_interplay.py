"""Authentication plugins together, and with those around them, in a real gateway."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest_twisted

from kongtx.testing.gateway import GatewayUnderTest
from kongtx.testing.upstream import Upstream
from tests.plugins.proxied import Make, declared

KEY = {"apikey": "k"}
BASIC = {"Authorization": "Basic " + base64.b64encode(b"c:p").decode()}


async def start(
    make_gateway: Make, upstream: Upstream, *plugins: dict[str, Any], **guest: Any
) -> GatewayUnderTest:
    """Keys are of the consumer C{keyed}, passwords of C{named}; there is also a C{guest}."""
    named = [{"username": "c", "password": "p"}]
    return await make_gateway(
        {
            **declared(upstream, *plugins),
            "consumers": [
                {"username": "keyed", "keyauth_credentials": [{"key": "k"}]},
                {"username": "named", "basicauth_credentials": named},
                {"username": "guest", **guest},
            ],
        }
    )


def auth(name: str, anonymous: str | None = None) -> dict[str, Any]:
    return {"name": name, "config": {"anonymous": anonymous} if anonymous else {}}


@pytest_twisted.ensureDeferred
async def test_two_without_anonymous_are_both_required(
    make_gateway: Make, upstream: Upstream
) -> None:
    gateway = await start(make_gateway, upstream, auth("key-auth"), auth("basic-auth"))
    for headers, status in ((KEY, 401), (BASIC, 401), ({**KEY, **BASIC}, 200)):
        assert (await gateway.client.get("/", headers=headers)).status == status
    (seen,) = upstream.received
    assert seen.header("x-consumer-username") == "named"
    assert seen.header("x-credential-identifier") == "c"


@pytest_twisted.ensureDeferred
async def test_two_with_anonymous_are_alternatives(make_gateway: Make, upstream: Upstream) -> None:
    both = (auth("key-auth", "guest"), auth("basic-auth", "guest"))
    gateway = await start(make_gateway, upstream, *both)
    for headers, consumer, anonymous in (
        ({}, "guest", "true"),
        (KEY, "keyed", None),
        (BASIC, "named", None),
        ({**KEY, **BASIC}, "keyed", None),
        ({"apikey": "wrong"}, "guest", "true"),
    ):
        assert (await gateway.client.get("/", headers=headers)).status == 200
        seen = upstream.received[-1]
        assert seen.header("x-consumer-username") == consumer
        assert seen.header("x-anonymous-consumer") == anonymous


@pytest_twisted.ensureDeferred
async def test_one_without_anonymous_demands_its_own_credential(
    make_gateway: Make, upstream: Upstream
) -> None:
    gateway = await start(make_gateway, upstream, auth("key-auth", "guest"), auth("basic-auth"))
    assert (await gateway.client.get("/", headers=KEY)).status == 401
    assert (await gateway.client.get("/", headers=BASIC)).status == 200


@pytest_twisted.ensureDeferred
async def test_the_anonymous_consumer_is_in_groups_like_others(
    make_gateway: Make, upstream: Upstream
) -> None:
    acl = {"name": "acl", "config": {"allow": ["open"]}}
    gateway = await start(make_gateway, upstream, auth("key-auth", "guest"), acl)
    assert (await gateway.client.get("/")).status == 401
    assert (await gateway.client.get("/", headers=KEY)).status == 403
    await gateway.admin.post("/consumers/guest/acls", json={"group": "other"})
    assert (await gateway.client.get("/")).status == 403
    await gateway.admin.post("/consumers/guest/acls", json={"group": "open"})
    assert (await gateway.client.get("/")).status == 200
    assert upstream.received[-1].header("x-consumer-groups") == "open, other"


@pytest_twisted.ensureDeferred
async def test_strangers_are_kept_out_by_a_plugin_for_the_anonymous_consumer(
    make_gateway: Make, upstream: Upstream
) -> None:
    gateway = await start(
        make_gateway,
        upstream,
        auth("key-auth", "guest"),
        plugins=[{"name": "request-termination", "config": {"status_code": 403}}],
    )
    assert (await gateway.client.get("/")).status == 403
    assert (await gateway.client.get("/", headers=KEY)).status == 200


@pytest_twisted.ensureDeferred
async def test_a_refusal_is_logged_and_shaped_but_not_counted(
    make_gateway: Make, upstream: Upstream, tmp_path: Path
) -> None:
    log = tmp_path / "log.json"
    gateway = await start(
        make_gateway,
        upstream,
        auth("key-auth"),
        {"name": "cors"},
        {"name": "response-transformer", "config": {"add": {"headers": ["x-added:1"]}}},
        {"name": "rate-limiting", "config": {"hour": 1}},
        {"name": "file-log", "config": {"path": str(log), "reopen": True}},
    )
    for _ in range(3):
        refused = await gateway.client.get("/")
        assert refused.status == 401
        assert refused.header("access-control-allow-origin") == "*"
        assert refused.header("x-added") == "1"
        assert refused.header("x-ratelimit-remaining-hour") is None
    passed = await gateway.client.get("/", headers=KEY)
    assert (passed.status, passed.header("x-ratelimit-remaining-hour")) == (200, "0")
    await gateway.stop(keep_prefix=True)
    entries = [json.loads(line) for line in log.read_text().splitlines()]
    assert [entry["response"]["status"] for entry in entries] == [401, 401, 401, 200]
    assert entries[0]["source"] == "kong"
    assert entries[3]["consumer"]["username"] == "keyed"


@pytest_twisted.ensureDeferred
async def test_refusals_of_key_auth_tell_the_requests_id_and_those_of_jwt_do_not(
    make_gateway: Make, upstream: Upstream
) -> None:
    keyed = await start(make_gateway, upstream, auth("key-auth"))
    signed = await start(make_gateway, upstream, auth("jwt"))
    answer = await keyed.client.get("/")
    assert answer.json["request_id"] == answer.header("x-kong-request-id")
    assert (await signed.client.get("/")).json == {"message": "Unauthorized"}
