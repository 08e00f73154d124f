"""correlation-id in front of an upstream."""

from __future__ import annotations

import pytest_twisted

from kongtx.testing.upstream import Upstream
from tests.plugins.proxied import Make, ask, declared


@pytest_twisted.ensureDeferred
async def test_client_and_upstream_see_the_same(make_gateway: Make, upstream: Upstream) -> None:
    plugin = {"name": "correlation-id", "config": {"echo_downstream": True}}
    gateway = await make_gateway({**declared(upstream), "plugins": [plugin]})
    answer = await ask(gateway.url)
    assert answer.header("kong-request-id") == upstream.received[0].header("kong-request-id")
    answer = await ask(gateway.url, kong_request_id="mine")
    assert answer.header("kong-request-id") == "mine"
    assert upstream.received[1].headers["kong-request-id"] == ["mine"]


@pytest_twisted.ensureDeferred
async def test_requests_without_a_route_have_one_too(make_gateway: Make) -> None:
    plugin = {"name": "correlation-id", "config": {"echo_downstream": True, "generator": "uuid"}}
    gateway = await make_gateway({"plugins": [plugin]})
    answer = await ask(gateway.url)
    assert (answer.status, len(answer.header("kong-request-id") or "")) == (404, 36)
