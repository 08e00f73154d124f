"""A live Admin API over SQLite, and a client for it."""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest
import pytest_twisted
import treq
from twisted.internet import reactor
from twisted.web.client import Agent, FileBodyProducer, HTTPConnectionPool
from twisted.web.http_headers import Headers
from twisted.web.server import Site
from zope.interface import implementer

from kongtx.admin.context import AdminContext
from kongtx.admin.interfaces import INodeInfo
from kongtx.admin.settings import AdminSettings
from kongtx.admin.site import make_admin_site, make_status_site
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


@implementer(INodeInfo)
class FakeNode:
    """A node that says what it is told to."""

    node_id = "0dc6f45b-8f8d-40d2-a504-473544ee190c"
    hostname = "machine"

    def __init__(self) -> None:
        self.cache: dict[str, Any] = {}
        self.level = "notice"
        self.levels: list[tuple[str, int, bool]] = []
        self.health: dict[str, dict[str, Any]] | None = None
        self.posted: list[tuple[str, str, str | None, bool]] = []
        self.reason: str | None = None
        self.both_ready = True

    def configuration(self) -> dict[str, Any]:
        return {"database": "sqlite", "log_level": self.level}

    def plugins(self) -> dict[str, tuple[str, int]]:
        return {"cors": ("3.9.1", 2000), "key-auth": ("3.9.1", 1250)}

    def pids(self) -> dict[str, Any]:
        return {"master": 1, "workers": [2, 3]}

    def worker(self) -> dict[str, int]:
        return {"id": 0, "count": 2}

    def timers(self) -> dict[str, int]:
        return {"running": 3, "pending": 4}

    def timer_statistics(self) -> dict[str, Any]:
        return {"timers": {}}

    async def workers(self) -> list[dict[str, Any]]:
        return [
            {
                "pid": 7,
                "ready": True,
                "bytes": 3 << 20,
                "server": {"connections_accepted": 1, "total_requests": 2},
            },
            {
                "pid": 8,
                "ready": self.both_ready,
                "bytes": 1 << 20,
                "server": {"connections_accepted": 0, "total_requests": 4},
            },
        ]

    def shared_stores(self) -> dict[str, tuple[int, int]]:
        return {"kong": (1 << 19, 5 << 20)}

    def log_level(self) -> str:
        return self.level

    async def set_log_level(self, level: str, seconds: int, cluster: bool) -> None:
        self.levels.append((level, seconds, cluster))

    async def cache_get(self, key: str) -> Any:
        return self.cache.get(key)

    async def cache_delete(self, key: str) -> None:
        self.cache.pop(key, None)

    async def cache_purge(self) -> None:
        self.cache.clear()

    def upstream_health(self, upstream_id: str) -> dict[str, dict[str, Any]] | None:
        return self.health

    def balancer_health(self, upstream_id: str) -> dict[str, Any] | None:
        return {"health": "HEALTHY", "id": upstream_id}

    async def post_health(
        self, upstream: Mapping[str, Any], target: str, address: str | None, healthy: bool
    ) -> None:
        if upstream["name"] == "unchecked":
            raise ValueError("no healthchecker found for unchecked")
        self.posted.append((upstream["name"], target, address, healthy))

    def not_ready(self) -> str | None:
        return self.reason

    async def drain(self) -> None:
        self.reason = "draining"

    def dns_statistics(self) -> dict[str, Any] | None:
        return None

    async def explain(
        self, method: str, url: str, headers: Iterable[tuple[str, str]], source: str
    ) -> dict[str, Any]:
        if not url.startswith("http"):
            raise ValueError(f"{url}: no URL")
        return {"method": method, "url": url, "headers": list(headers), "source": source}

    async def lint(self) -> dict[str, Any]:
        return {"findings": []}


@pytest.fixture
def settings() -> AdminSettings:
    return AdminSettings()


@pytest.fixture
def node() -> FakeNode:
    return FakeNode()


@pytest_twisted.async_yield_fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    made = Store(registry(), SQLiteConnector(str(tmp_path / "db"), reactor), reactor)
    await made.start()
    yield made
    await made.stop()


@pytest_twisted.async_yield_fixture
async def client(store: Store, settings: AdminSettings, node: FakeNode) -> AsyncIterator[Client]:
    async with serving(make_admin_site(AdminContext(store, settings, node)), store) as made:
        yield made


@pytest_twisted.async_yield_fixture
async def status_client(
    store: Store, settings: AdminSettings, node: FakeNode
) -> AsyncIterator[Client]:
    async with serving(make_status_site(AdminContext(store, settings, node)), store) as made:
        yield made


@asynccontextmanager
async def serving(site: Site, store: Store) -> AsyncIterator[Client]:
    """A client of a site that listens as long as the block runs."""
    port = reactor.listenTCP(0, site, interface="127.0.0.1")
    pool = HTTPConnectionPool(reactor, persistent=False)
    try:
        yield Client(port.getHost().port, store, Agent(reactor, pool=pool))
    finally:
        await port.stopListening()
