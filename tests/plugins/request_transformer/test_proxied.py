"""request-transformer in front of an upstream."""

from __future__ import annotations

from typing import Any

import pytest_twisted

from kongtx.testing.upstream import Upstream
from tests.plugins.proxied import Make, ask, declared


def transformer(**config: Any) -> dict[str, Any]:
    return {"name": "request-transformer", "config": config}


@pytest_twisted.ensureDeferred
async def test_the_upstream_gets_the_changed_request(
    make_gateway: Make, upstream: Upstream
) -> None:
    plugin = transformer(
        http_method="PUT",
        remove={"headers": ["x-gone"], "querystring": ["gone"]},
        replace={"uri": "/items/$(uri_captures.id)", "headers": ["host:inner.test"]},
        add={
            "headers": ["x-path:$(uri_captures['id'])", "x-agent:$(headers['user-agent'])"],
            "querystring": ["who:$(headers.x_who or 'nobody')"],
            "body": ["extra:1"],
        },
    )
    gateway = await make_gateway(
        declared(upstream, plugin, paths=[r"~/things/(?<id>\d+)"], strip_path=False)
    )
    await ask(
        f"{gateway.url}/things/42?gone=1&kept=2",
        "POST",
        b'{"a":1}',
        x_gone="1",
        user_agent="me",
        content_type="application/json",
    )
    (received,) = upstream.received
    assert (received.method, received.target) == ("PUT", "/items/42?kept=2&who=nobody")
    assert received.body == b'{"a":1,"extra":"1"}'
    assert received.header("content-length") == str(len(received.body))
    assert received.header("host") == "inner.test"
    assert received.header("x-path") == "42"
    assert received.header("x-agent") == "me"
    assert received.header("x-gone") is None


@pytest_twisted.ensureDeferred
async def test_what_cannot_be_rendered_is_an_error(make_gateway: Make, upstream: Upstream) -> None:
    plugin = transformer(add={"headers": ["x:$(shared.none.at_all)"]})
    gateway = await make_gateway(declared(upstream, plugin))
    answer = await ask(gateway.url)
    assert (answer.status, answer.json["message"]) == (500, "An unexpected error occurred")
    assert upstream.received == []
