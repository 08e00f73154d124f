"""bot-detection in front of an upstream."""

from __future__ import annotations

import pytest_twisted

from kongtx.testing.upstream import Upstream
from tests.plugins.proxied import Make, ask, declared


@pytest_twisted.ensureDeferred
async def test_bots_do_not_reach_the_upstream(make_gateway: Make, upstream: Upstream) -> None:
    plugin = {"name": "bot-detection", "config": {"deny": ["^old-client"]}}
    gateway = await make_gateway(declared(upstream, plugin))
    assert (await ask(gateway.url, user_agent="Firefox")).status == 200
    refused = await ask(gateway.url, user_agent="Googlebot/2.1")
    assert (refused.status, refused.json["message"]) == (403, "Forbidden")
    assert (await ask(gateway.url, user_agent="old-client/1")).status == 403
    twice = await ask(gateway.url, user_agent=["a", "b"])
    assert (twice.status, twice.json["message"]) == (400, "Only one User-Agent header allowed")
    assert len(upstream.received) == 1
