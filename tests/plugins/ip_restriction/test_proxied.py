"""ip-restriction in front of an upstream."""

from __future__ import annotations

import pytest_twisted

from kongtx.testing.upstream import Upstream
from tests.plugins.proxied import Make, ask, declared


@pytest_twisted.ensureDeferred
async def test_the_address_that_a_trusted_proxy_tells_decides(
    make_gateway: Make, upstream: Upstream
) -> None:
    plugin = {"name": "ip-restriction", "config": {"allow": ["10.0.0.0/8"]}}
    gateway = await make_gateway(
        declared(upstream, plugin), trusted_ips="127.0.0.1", real_ip_header="X-Forwarded-For"
    )
    refused = await ask(gateway.url)
    assert (refused.status, refused.json["message"]) == (403, "IP address not allowed: 127.0.0.1")
    assert upstream.received == []
    assert (await ask(gateway.url, x_forwarded_for="10.1.2.3")).status == 200
