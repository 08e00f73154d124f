"""Nodes that share a database: one asks, and the other is looked at."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest_twisted
from twisted.internet import reactor
from twisted.internet.task import deferLater

from kongtx.testing.gateway import GatewayUnderTest
from tests.plugins.acme.pebble import pebble
from tests.postgres_server import Database
from tests.runtime.fleets import set_up
from tests.tls.kit import get, port_of

Make = Callable[..., Awaitable[GatewayUnderTest]]


@pytest_twisted.ensureDeferred
async def test_any_node_answers_the_authority_and_all_show_the_certificate(
    make_gateway: Make, postgres_database: Database, tmp_path: Path
) -> None:
    with pebble(tmp_path) as authority:
        shared = {
            **postgres_database.properties(),
            "db_update_frequency": "1",
            "lua_ssl_trusted_certificate": authority.authority,
            "acme_challenge": "tls-alpn-01",
        }
        await set_up(shared)
        looked_at = await make_gateway(**shared, proxy_listen=f"127.0.0.1:{authority.tls_port} ssl")
        asks = await make_gateway(**shared, proxy_listen="127.0.0.1:0 ssl")
        config = {
            "account_email": "a@b.test",
            "api_uri": authority.directory,
            "cert_type": "ecc",
            "domains": ["both.test"],
            "storage": "kong",
        }
        made = await asks.admin.post("/plugins", json={"name": "acme", "config": config})
        assert made.status == 201, made.text
        answer = await asks.admin.post("/acme", json={"host": "both.test"})
        assert answer.json == {"message": "certificate for host both.test is created"}
        for port in (port_of(asks.url), authority.tls_port):
            for _ in range(100):
                seen = await get(port, "both.test")
                if seen.names == ["both.test"]:
                    break
                await deferLater(reactor, 0.05)
            assert seen.names == ["both.test"]
        assert looked_at.node.listener_tls.validations.names == {}
