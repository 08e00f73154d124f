"""request-termination instead of an upstream."""

from __future__ import annotations

from typing import Any

import pytest_twisted

from kongtx.testing.upstream import Upstream
from tests.plugins.proxied import Make, ask, declared


def termination(**config: Any) -> dict[str, Any]:
    return {"name": "request-termination", "config": config}


@pytest_twisted.ensureDeferred
async def test_no_upstream_is_asked(make_gateway: Make, upstream: Upstream) -> None:
    gateway = await make_gateway(
        declared(upstream, termination(status_code=200, body="down", content_type="text/plain"))
    )
    answer = await ask(gateway.url)
    assert (answer.status, answer.body) == (200, b"down")
    assert answer.header("content-type") == "text/plain"
    assert upstream.received == []


@pytest_twisted.ensureDeferred
async def test_no_service_is_needed(make_gateway: Make) -> None:
    gateway = await make_gateway(
        {"routes": [{"paths": ["/"], "plugins": [termination(echo=True, status_code=404)]}]}
    )
    answer = await ask(f"{gateway.url}/x?y=1", "POST", b"hello")
    assert (answer.status, answer.json["message"]) == (404, "Not found")
    assert answer.json["request"]["raw_body"] == "hello"
    assert answer.json["request"]["query"] == {"y": "1"}
    assert answer.json["matched_route"]["paths"] == ["/"]


@pytest_twisted.ensureDeferred
async def test_authentication_comes_first(make_gateway: Make, upstream: Upstream) -> None:
    gateway = await make_gateway(declared(upstream, termination(), {"name": "key-auth"}))
    assert (await ask(gateway.url)).status == 401
