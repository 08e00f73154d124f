"""proxy-cache in front of an upstream, with its Admin API."""

from __future__ import annotations

import pytest_twisted

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
    key = (await ask(gateway.url)).header("x-cache-key")
    all_of_them = f"{gateway.admin_url}/proxy-cache"
    one, of_plugin = f"{all_of_them}/{key}", f"{all_of_them}/{PLUGIN['id']}/caches/{key}"
    shown = await ask(one)
    assert (shown.status, shown.json["body"], shown.json["status"]) == (200, "1", 200)
    assert shown.json["headers"]["X-Inner"] == "1"
    assert set(shown.json) == {
        *("status", "headers", "body", "body_len", "timestamp", "ttl", "version", "req_body")
    }
    assert (await ask(of_plugin)).json == shown.json
    for nothing in (f"{all_of_them}/x", f"{of_plugin}x", f"{all_of_them}/{key}/caches/{key}"):
        for method in ("GET", "DELETE"):
            assert (await ask(nothing, method)).status == 404
    for path, body in ((of_plugin, b"2"), (one, b"3"), (all_of_them, b"4")):
        assert (await ask(path, "DELETE")).status == 204
        assert (await ask(gateway.url)).body == body
    assert (await ask(one, "DELETE")).status == 204
    assert (await ask(one, "DELETE")).status == 404
