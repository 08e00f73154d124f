"""Several gateways in this process on one database, as nodes of a cluster."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import treq
from twisted.internet import reactor
from twisted.internet.task import deferLater

from kongtx.conf import from_values
from kongtx.db import migrations
from kongtx.db.connectors import make_connector
from kongtx.db.store import Store
from kongtx.plugins.schemas import full_registry
from kongtx.testing.gateway import GatewayUnderTest


async def set_up(properties: dict[str, str]) -> None:
    """Do what C{kongtx migrations bootstrap} does."""
    conf = from_values({**properties, "prefix": "/nonexistent"})
    store = Store(full_registry(), make_connector(conf, reactor), reactor)
    connector: Any = store.connector
    await connector.start(store.catalogue)
    await migrations.up(connector, store.catalogue)
    await store.stop()


async def until(
    holds: Callable[[], Awaitable[bool]], seconds: float = 20.0, every: float = 0.005
) -> float:
    """Wait for something; the seconds it took."""
    began = reactor.seconds()
    while not await holds():
        assert reactor.seconds() - began < seconds, f"not within {seconds} seconds"
        await deferLater(reactor, every)
    return float(reactor.seconds() - began)


async def status(gateway: GatewayUnderTest, path: str, **headers: str) -> int:
    """The status of a request to a gateway's proxy."""
    response = await treq.get(f"{gateway.url}{path}", headers=headers, persistent=False)
    await response.content()
    return int(response.code)


async def asked(url: str, method: str = "GET", data: Any = None) -> tuple[int, Any]:
    """Status and body of a request to an Admin API."""
    sent = {} if data is None else {"json": data}
    response = await treq.request(method, url, persistent=False, **sent)
    content = await response.content()
    return response.code, json.loads(content) if content else None
