"""proxy-cache in front of an upstream, with its Admin API."""

from __future__ import annotations

from typing import Any

import pytest_twisted

from kongtx.admin.call import Call
from kongtx.plugins.proxy_cache import plugin as proxy_cache
from kongtx.testing.gateway import GatewayUnderTest
from kongtx.testing.upstream import Reply, Upstream
from tests.plugins.proxied import Make, ask, declared

PLUGIN = {
    "id": "5b9d0cb0-1b5f-4f83-8e2c-0f5c3c3f7a10",
    "name": "proxy-cache",
    "config": {"strategy": "memory"},
}


def numbered(upstream: Upstream) -> None:
    """Let an upstream answer the number of each request."""
    upstream.answer = lambda _: Reply(
        200,
        str(len(upstream.received)).encode(),
        [("Content-Type", "text/plain"), ("Server", "its own"), ("X-Inner", "1")],
    )


async def manage(
    gateway: GatewayUnderTest, method: str, path: str, **parameters: str
) -> tuple[int, Any]:
    endpoints = proxy_cache.admin_endpoints(gateway.node.plugin_node)
    status, body, _ = await endpoints[path][method](Call(method, parameters))
    return status, body


@pytest_twisted.ensureDeferred
async def test_the_upstream_is_asked_once(make_gateway: Make, upstream: Upstream) -> None:
    numbered(upstream)
    gateway = await make_gateway(declared(upstream, PLUGIN))
    first, second = await ask(gateway.url), await ask(gateway.url)
    assert (first.body, second.body, len(upstream.received)) == (b"1", b"1", 1)
    assert (first.header("x-cache-status"), second.header("x-cache-status")) == ("Miss", "Hit")
    assert first.header("x-cache-key") == second.header("x-cache-key")
    for name in ("content-type", "x-inner", "server", "via"):
        assert second.header(name) == first.header(name)
    assert len(second.headers["date"]) == 1
    assert second.header("age") == "0"
    assert second.header("x-kong-upstream-latency") == "0"
    assert second.header("x-kong-proxy-latency") is not None
    assert second.header("x-kong-response-latency") is None
    assert (await ask(f"{gateway.url}/?x")).body == b"2"


@pytest_twisted.ensureDeferred
async def test_heads_and_bodies_are_kept_apart(make_gateway: Make, upstream: Upstream) -> None:
    numbered(upstream)
    gateway = await make_gateway(declared(upstream, PLUGIN))
    for expected in ("Miss", "Hit"):
        assert (await ask(gateway.url, "HEAD")).header("x-cache-status") == expected
        answer = await ask(gateway.url)
        assert (answer.header("x-cache-status"), answer.body) == (expected, b"2")


@pytest_twisted.ensureDeferred
async def test_what_other_plugins_do_still_counts(make_gateway: Make, upstream: Upstream) -> None:
    numbered(upstream)
    limit = {"name": "rate-limiting", "config": {"hour": 2}}
    gateway = await make_gateway(declared(upstream, PLUGIN, limit))
    answers = [await ask(gateway.url) for _ in range(3)]
    assert [each.status for each in answers] == [200, 200, 429]
    assert answers[1].headers["x-ratelimit-remaining-hour"] == ["0"]
    assert answers[1].headers["x-ratelimit-limit-hour"] == ["2"]


@pytest_twisted.ensureDeferred
async def test_entries_are_shown_and_forgotten(make_gateway: Make, upstream: Upstream) -> None:
    numbered(upstream)
    gateway = await make_gateway(declared(upstream, PLUGIN))
    key = (await ask(gateway.url)).header("x-cache-key") or ""
    one, of_plugin = "/proxy-cache/{cache_key}", "/proxy-cache/{plugin_id}/caches/{cache_key}"
    status, entry = await manage(gateway, "GET", one, cache_key=key)
    assert (status, entry["body"], entry["status"], entry["ttl"]) == (200, "1", 200, 300)
    assert entry["headers"]["X-Inner"] == "1"
    assert set(entry) == {
        *("status", "headers", "body", "body_len", "timestamp", "ttl", "version", "req_body")
    }
    assert await manage(gateway, "GET", one, cache_key="x") == (404, None)
    both = {"plugin_id": PLUGIN["id"], "cache_key": key}
    assert (await manage(gateway, "GET", of_plugin, **both))[0] == 200
    assert (await manage(gateway, "GET", of_plugin, **{**both, "cache_key": "x"}))[0] == 404
    assert (await manage(gateway, "GET", of_plugin, plugin_id=key, cache_key=key))[0] == 404
    assert await manage(gateway, "DELETE", of_plugin, **both) == (204, None)
    assert await manage(gateway, "DELETE", of_plugin, **both) == (404, None)
    assert (await ask(gateway.url)).body == b"2"
    assert await manage(gateway, "DELETE", one, cache_key=key) == (204, None)
    assert await manage(gateway, "DELETE", one, cache_key=key) == (404, None)
    assert (await ask(gateway.url)).body == b"3"
    assert await manage(gateway, "DELETE", "/proxy-cache") == (204, None)
    assert (await ask(gateway.url)).body == b"4"
