"""Balancing as clients and upstreams of a whole worker see it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
import pytest_twisted

from kongtx.testing.gateway import GatewayUnderTest
from kongtx.testing.upstream import Received, Reply, Upstream

Make = Callable[..., Awaitable[GatewayUnderTest]]
MakeUpstream = Callable[..., Awaitable[Upstream]]


def declared(upstreams: list[Upstream], zones: Sequence[str] = (), **pool: Any):
    targets: list[dict[str, Any]] = [{"target": each.host_port} for each in upstreams]
    for target, zone in zip(targets, zones, strict=False):
        target["tags"] = [f"kongtx:zone={zone}"]
    return {
        "upstreams": [{"name": "pool", "targets": targets, **pool}],
        "services": [{"name": "s", "host": "pool", "routes": [{"paths": ["/"]}]}],
    }


@pytest_twisted.ensureDeferred
async def test_a_client_without_the_cookie_gets_it_and_stays_with_its_target(
    make_gateway: Make, make_upstream: MakeUpstream
) -> None:
    upstreams = [await make_upstream() for _ in range(4)]
    gateway = await make_gateway(
        declared(
            upstreams,
            algorithm="consistent-hashing",
            hash_on="cookie",
            hash_on_cookie="sticky",
            hash_on_cookie_path="/app",
        )
    )
    first = await gateway.client.get("/app")
    cookie = first.header("set-cookie")
    assert cookie is not None
    name, _, value = cookie.partition(";")[0].partition("=")
    assert (name, len(value)) == ("sticky", 36)
    assert "path=/app" in cookie.lower()
    (chosen,) = [each for each in upstreams if each.received]
    for _ in range(5):
        again = await gateway.client.get("/app", headers={"Cookie": f"sticky={value}"})
        assert again.header("set-cookie") is None
    assert len(chosen.received) == 6


@pytest_twisted.ensureDeferred
async def test_the_cookie_stands_beside_those_of_the_upstream(
    make_gateway: Make, make_upstream: MakeUpstream
) -> None:
    def answer(received: Received) -> Reply:
        return Reply(200, b"", [("Set-Cookie", "own=1"), ("Set-Cookie", "other=2")])

    gateway = await make_gateway(
        declared(
            [await make_upstream(answer)],
            algorithm="consistent-hashing",
            hash_on="cookie",
            hash_on_cookie="sticky",
        )
    )
    cookies = (await gateway.client.get("/")).headers["set-cookie"]
    assert sorted(cookie.partition("=")[0] for cookie in cookies) == ["other", "own", "sticky"]


@pytest_twisted.ensureDeferred
async def test_a_retry_goes_to_a_target_that_has_not_failed(
    make_gateway: Make, make_upstream: MakeUpstream
) -> None:
    alive, *dead = [await make_upstream() for _ in range(4)]
    configuration = declared([alive, *dead])
    configuration["services"][0]["retries"] = 3
    for each in dead:
        await each.stop()
    gateway = await make_gateway(configuration)
    # With three of four dead, three retries suffice only if none goes to the same target again.
    for _ in range(8):
        assert (await gateway.client.get("/")).status == 200
    assert len(alive.received) == 8


@pytest_twisted.ensureDeferred
async def test_requests_are_shared_out_by_weight(
    make_gateway: Make, make_upstream: MakeUpstream
) -> None:
    upstreams = [await make_upstream() for _ in range(3)]
    configuration = declared(upstreams)
    for target, weight in zip(configuration["upstreams"][0]["targets"], (10, 20, 70), strict=True):
        target["weight"] = weight
    gateway = await make_gateway(configuration)
    for _ in range(50):
        await gateway.client.get("/")
    assert [len(each.received) for each in upstreams] == [5, 10, 35]


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize(("zone", "expected"), [("eu-1", [6, 0]), ("us-1", [0, 6]), (None, [3, 3])])
async def test_the_nodes_own_zone_comes_first(
    make_gateway: Make, make_upstream: MakeUpstream, zone: str | None, expected: list[int]
) -> None:
    upstreams = [await make_upstream() for _ in range(2)]
    settings = {} if zone is None else {"node_zone": zone}
    gateway = await make_gateway(
        declared(upstreams, ("eu-1", "us-1"), tags=["kongtx:zone-aware"]), **settings
    )
    for _ in range(6):
        await gateway.client.get("/")
    assert [len(each.received) for each in upstreams] == expected


@pytest_twisted.ensureDeferred
async def test_an_address_of_a_target_is_set_by_hand(
    make_gateway: Make, make_upstream: MakeUpstream
) -> None:
    upstreams = [await make_upstream() for _ in range(2)]
    passive = {"unhealthy": {"tcp_failures": 1}}
    gateway = await make_gateway(declared(upstreams, healthchecks={"passive": passive}))
    out = upstreams[0].host_port
    pool = "/upstreams/pool"
    answer = await gateway.admin.put(f"{pool}/targets/{out}/{out}/unhealthy")
    assert answer.status == 204
    for _ in range(4):
        await gateway.client.get("/")
    assert [len(each.received) for each in upstreams] == [0, 4]
    health = (await gateway.admin.get(f"{pool}/health")).json
    assert Counter(row["health"] for row in health["data"]) == {"HEALTHY": 1, "UNHEALTHY": 1}
    other = upstreams[1].host_port
    for address in (other, "10.0.0.1:80", "nonsense", "[::1]:80", "%00", "127.0.0.1:99999"):
        answer = await gateway.admin.put(f"{pool}/targets/{out}/{address}/healthy")
        assert answer.status in (204, 400, 404), (address, answer.text)
    await gateway.client.get("/")
    assert len(upstreams[0].received) == 0
    assert (await gateway.admin.put(f"{pool}/targets/{out}/{out}/healthy")).status == 204
    for _ in range(2):
        await gateway.client.get("/")
    assert len(upstreams[0].received) == 1


@pytest_twisted.ensureDeferred
async def test_an_address_may_be_written_in_any_form(
    gateway: GatewayUnderTest, make_upstream: MakeUpstream
) -> None:
    checks = {"passive": {"unhealthy": {"tcp_failures": 1}}}
    await gateway.add({"upstreams": [{"name": "pool", "healthchecks": checks}]})
    pool = "/upstreams/pool"
    made = await gateway.admin.post(f"{pool}/targets", json={"target": "[::1]:80"})
    assert made.json["target"] == "[0000:0000:0000:0000:0000:0000:0000:0001]:80"

    async def health() -> str:
        (row,) = (await gateway.admin.get(f"{pool}/health")).json["data"]
        return str(row["health"])

    for target in ("[::1]:80", made.json["target"], made.json["id"]):
        for address in ("[::1]:80", "[0:0::1]:80", made.json["target"]):
            for verb in ("unhealthy", "healthy"):
                path = f"{pool}/targets/{target}/{address}/{verb}"
                assert (await gateway.admin.put(path)).status == 204
                assert await health() == verb.upper()
    assert (await gateway.admin.request("DELETE", f"{pool}/targets/[::1]:80")).status == 204


@pytest_twisted.ensureDeferred
async def test_the_resolvers_counters_are_shown_with_the_new_client(make_gateway: Make) -> None:
    gateway = await make_gateway(
        {
            "services": [
                {
                    "name": "s",
                    "url": "http://127.0.0.1.nip.invalid:1",
                    "retries": 0,
                    "routes": [{"paths": ["/"]}],
                }
            ]
        },
        new_dns_client="on",
        resolver_address="127.0.0.1:9",
    )
    assert (await gateway.client.get("/")).status == 500
    shown = await gateway.admin.get("/status/dns")
    assert shown.status == 200
    assert any("nip.invalid" in name for name in shown.json["stats"])


@pytest_twisted.ensureDeferred
async def test_the_older_client_shows_no_counters(gateway: GatewayUnderTest) -> None:
    assert (await gateway.admin.get("/status/dns")).status == 501
