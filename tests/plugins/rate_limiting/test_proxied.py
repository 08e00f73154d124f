"""rate-limiting in front of an upstream, by each policy."""

from __future__ import annotations

from typing import Any

import pytest
import pytest_twisted

from kongtx.testing.upstream import Upstream
from tests.plugins.proxied import Make, ask, declared
from tests.plugins.redis_server import RedisServer


def limit(**config: Any) -> dict[str, Any]:
    return {"name": "rate-limiting", "config": {"year": 2, **config}}


@pytest.mark.parametrize("policy", ["local", "cluster", "redis", "synced"])
@pytest_twisted.ensureDeferred
async def test_requests_over_the_limit_do_not_reach_the_upstream(
    make_gateway: Make, upstream: Upstream, redis: RedisServer, policy: str
) -> None:
    config: dict[str, Any] = {"policy": policy}
    if policy in ("redis", "synced"):
        server = {"host": "127.0.0.1", "port": redis.port}
        rate = 0.05 if policy == "synced" else -1
        config = {"policy": "redis", "redis": server, "sync_rate": rate}
    gateway = await make_gateway(declared(upstream, limit(**config)))
    answers = [await ask(gateway.url) for _ in range(4)]
    assert [each.status for each in answers] == [200, 200, 429, 429]
    remaining = [each.header("x-ratelimit-remaining-year") for each in answers]
    assert remaining == ["1", "0", "0", "0"]
    assert answers[2].json["message"] == "API rate limit exceeded"
    assert answers[2].header("retry-after") == answers[2].header("ratelimit-reset")
    assert len(upstream.received) == 2


@pytest.mark.parametrize("shared", ["cluster", "redis"])
@pytest_twisted.ensureDeferred
async def test_nodes_count_together(
    make_gateway: Make, upstream: Upstream, redis: RedisServer, tmp_path: Any, shared: str
) -> None:
    config: dict[str, Any] = {"policy": shared}
    if shared == "redis":
        config["redis"] = {"host": "127.0.0.1", "port": redis.port}
    path = str(tmp_path / "shared.db")
    one = await make_gateway({**declared(upstream), "plugins": [limit(**config)]}, sqlite_path=path)
    other = await make_gateway(sqlite_path=path)
    statuses = [(await ask(each.url)).status for each in (one, other, one, other)]
    assert statuses == [200, 200, 429, 429]


@pytest_twisted.ensureDeferred
async def test_without_redis_requests_pass_or_fail_as_configured(
    make_gateway: Make, upstream: Upstream, redis: RedisServer
) -> None:
    server = {"host": "127.0.0.1", "port": redis.port}
    redis.stop()
    tolerant = limit(policy="redis", redis=server)
    strict = limit(policy="redis", redis=server, fault_tolerant=False)
    gateway = await make_gateway(declared(upstream, tolerant))
    answer = await ask(gateway.url)
    assert (answer.status, answer.header("ratelimit-limit")) == (200, None)
    gateway = await make_gateway(declared(upstream, strict))
    answer = await ask(gateway.url)
    assert (answer.status, answer.json["message"]) == (500, "An unexpected error occurred")
