"""response-ratelimiting in front of an upstream, by each policy."""

from __future__ import annotations

from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.task import deferLater

from kongtx.testing.upstream import Reply, Upstream
from tests.plugins.proxied import Make, ask, declared
from tests.plugins.redis_server import RedisServer


@pytest.mark.parametrize("policy", ["local", "cluster", "redis"])
@pytest_twisted.ensureDeferred
async def test_upstreams_say_what_was_used(
    make_gateway: Make, upstream: Upstream, redis: RedisServer, policy: str
) -> None:
    upstream.answer = lambda _: Reply(200, b"hello", [("X-Kong-Limit", "video=2")])
    config: dict[str, Any] = {"limits": {"video": {"year": 3}}, "policy": policy}
    if policy == "redis":
        config["redis"] = {"host": "127.0.0.1", "port": redis.port}
    gateway = await make_gateway(
        declared(upstream, {"name": "response-ratelimiting", "config": config})
    )

    async def answered() -> tuple[int, bytes, str | None]:
        answer = await ask(gateway.url)
        assert answer.header("x-kong-limit") is None
        await deferLater(reactor, 0.05)  # counting goes on after the answer
        return answer.status, answer.body, answer.header("x-ratelimit-remaining-video-year")

    assert await answered() == (200, b"hello", "1")
    assert await answered() == (200, b"hello", "0")
    assert await answered() == (429, b"", "0")
    seen = [each.header("x-ratelimit-remaining-video") for each in upstream.received]
    assert seen == ["3", "1", "0"]
