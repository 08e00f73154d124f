"""response-transformer between an upstream and its clients."""

from __future__ import annotations

from typing import Any

import pytest_twisted

from kongtx.testing.upstream import Reply, Upstream
from tests.plugins.proxied import Make, ask, declared


def transformer(**config: Any) -> dict[str, Any]:
    return {"name": "response-transformer", "config": config}


@pytest_twisted.ensureDeferred
async def test_the_client_gets_the_changed_response(make_gateway: Make, upstream: Upstream) -> None:
    body = b'{"secret":1,"old":2}'
    upstream.answer = lambda _: Reply(
        200, body, [("Content-Type", "application/problem+json"), ("X-Inner", "1")]
    )
    plugin = transformer(
        remove={"json": ["secret"], "headers": ["x-inner"]},
        rename={"json": ["old:new"]},
        add={"json": ["n:1"], "json_types": ["number"], "headers": ["x-outer:2"]},
    )
    gateway = await make_gateway(declared(upstream, plugin))
    answer = await ask(gateway.url)
    assert (answer.status, answer.body) == (200, b'{"new":2,"n":1}')
    assert (answer.header("x-inner"), answer.header("x-outer")) == (None, "2")
    head = await ask(gateway.url, "HEAD")
    assert (head.status, head.header("x-outer")) == (200, "2")


@pytest_twisted.ensureDeferred
async def test_answers_of_other_plugins_are_changed_too(
    make_gateway: Make, upstream: Upstream
) -> None:
    plugin = transformer(add={"json": ["help:docs.test"], "headers": ["x-outer:2"]})
    gateway = await make_gateway(declared(upstream, plugin, {"name": "key-auth"}))
    answer = await ask(gateway.url)
    assert (answer.status, answer.header("x-outer")) == (401, "2")
    assert answer.json["message"] == "No API key found in request"
    assert answer.json["help"] == "docs.test"
