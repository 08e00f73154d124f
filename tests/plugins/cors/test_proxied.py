"""cors in front of an upstream."""

from __future__ import annotations

from typing import Any

import pytest_twisted

from kongtx.testing.upstream import Reply, Upstream
from tests.plugins.proxied import Make, ask, declared


def cors(**config: Any) -> dict[str, Any]:
    return {"name": "cors", "config": config}


@pytest_twisted.ensureDeferred
async def test_preflights_are_answered_before_authentication(
    make_gateway: Make, upstream: Upstream
) -> None:
    gateway = await make_gateway(declared(upstream, cors(max_age=5), {"name": "key-auth"}))
    asked = {"origin": "http://a.test", "access_control_request_method": "PUT"}
    answer = await ask(gateway.url, "OPTIONS", **asked)
    assert (answer.status, answer.body) == (200, b"")
    assert answer.header("access-control-allow-origin") == "*"
    assert answer.header("access-control-max-age") == "5"
    assert upstream.received == []


@pytest_twisted.ensureDeferred
async def test_refusals_are_shared_too(make_gateway: Make, upstream: Upstream) -> None:
    gateway = await make_gateway(
        declared(upstream, cors(origins=["http://a.test"]), {"name": "key-auth"})
    )
    answer = await ask(gateway.url, origin="http://a.test")
    assert answer.status == 401
    assert answer.header("access-control-allow-origin") == "http://a.test"
    assert answer.header("vary") == "Origin"


@pytest_twisted.ensureDeferred
async def test_what_the_upstream_says_is_replaced(make_gateway: Make, upstream: Upstream) -> None:
    upstream.answer = lambda _: Reply(
        200, b"", [("Access-Control-Allow-Origin", "http://its.own"), ("Vary", "Accept")]
    )
    gateway = await make_gateway(declared(upstream, cors(origins=[r".*\.test", "http://b"])))
    answer = await ask(gateway.url, origin="https://x.test:444")
    assert answer.header("access-control-allow-origin") == "https://x.test:444"
    assert answer.header("vary") == "Accept, Origin"
    answer = await ask(gateway.url, origin="https://x.other")
    assert answer.header("access-control-allow-origin") is None
