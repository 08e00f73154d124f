"""redirect instead of an upstream."""

from __future__ import annotations

import pytest_twisted

from tests.plugins.proxied import Make, ask


@pytest_twisted.ensureDeferred
async def test_clients_are_sent_to_the_same_path_elsewhere(make_gateway: Make) -> None:
    plugin = {
        "name": "redirect",
        "config": {
            "location": "https://a.test/old",
            "status_code": 302,
            "keep_incoming_path": True,
        },
    }
    gateway = await make_gateway({"routes": [{"paths": ["/"], "plugins": [plugin]}]})
    answer = await ask(f"{gateway.url}/p/%2e%2e/q%2Fr?a=%20")
    assert (answer.status, answer.body) == (302, b"redirecting")
    assert answer.header("location") == "https://a.test/q%2Fr?a=%20"
    assert answer.header("content-type") is None
