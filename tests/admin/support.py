"""A live Admin API over SQLite, and a client for it."""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import attrs
import pytest
import pytest_twisted
import treq
from twisted.internet import reactor
from twisted.web.client import Agent, FileBodyProducer, HTTPConnectionPool
from twisted.web.http_headers import Headers

from kongtx.admin.settings import AdminSettings
from kongtx.admin.site import make_admin_site
from kongtx.db.sqlite import SQLiteConnector
from kongtx.db.store import Store
from kongtx.plugins.schemas import full_registry
from kongtx.schema import SchemaRegistry

_registry: list[SchemaRegistry] = []


def registry() -> SchemaRegistry:
    """All schemas; made once, for they are many."""
    if not _registry:
        _registry.append(full_registry())
    return _registry[0]


@attrs.frozen
class Reply:
    """What came back."""

    status: int
    headers: dict[str, str]
    raw: bytes

    @property
    def json(self) -> Any:
        """The body as data."""
        return json.loads(self.raw)


@attrs.frozen
class Client:
    """Speaks to one site."""

    port: int
    store: Store
    agent: Agent

    async def ask(
        self,
        method: str,
        path: str,
        data: Any = None,
        *,
        form: Any = None,
        raw: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> Reply:
        """Send a request; C{data} goes as JSON, C{form} url-encoded."""
        sent = dict(headers or {})
        body = raw
        if data is not None:
            sent.setdefault("Content-Type", "application/json")
            body = json.dumps(data).encode()
        if form is not None:
            sent.setdefault("Content-Type", "application/x-www-form-urlencoded")
            body = form.encode()
        url = f"http://127.0.0.1:{self.port}{path}"
        response = await self.agent.request(
            method.encode(),
            url.encode(),
            Headers({name: [value] for name, value in sent.items()}),
            None if body is None else FileBodyProducer(io.BytesIO(body)),
        )
        shown = {
            name.decode().lower(): values[0].decode()
            for name, values in response.headers.getAllRawHeaders()
        }
        if isinstance(response.length, int):
            shown["content-length"] = str(response.length)
        return Reply(response.code, shown, await treq.content(response))

    async def get(self, path: str, **options: Any) -> Reply:
        return await self.ask("GET", path, **options)

    async def post(self, path: str, data: Any = None, **options: Any) -> Reply:
        return await self.ask("POST", path, data, **options)

    async def put(self, path: str, data: Any = None, **options: Any) -> Reply:
        return await self.ask("PUT", path, data, **options)

    async def patch(self, path: str, data: Any = None, **options: Any) -> Reply:
        return await self.ask("PATCH", path, data, **options)

    async def delete(self, path: str, **options: Any) -> Reply:
        return await self.ask("DELETE", path, **options)

    async def make(self, path: str, data: Any) -> Any:
        """Create an entity, which must succeed."""
        reply = await self.post(path, data)
        assert reply.status == 201, reply.raw
        return reply.json


@pytest.fixture
def settings() -> AdminSettings:
    return AdminSettings()


@pytest_twisted.async_yield_fixture
async def client(tmp_path: Path, settings: AdminSettings) -> AsyncIterator[Client]:
    store = Store(registry(), SQLiteConnector(str(tmp_path / "db"), reactor), reactor)
    await store.start()
    site = make_admin_site(store, settings)
    port = reactor.listenTCP(0, site, interface="127.0.0.1")
    pool = HTTPConnectionPool(reactor, persistent=False)
    yield Client(port.getHost().port, store, Agent(reactor, pool=pool))
    await port.stopListening()
    await store.stop()
