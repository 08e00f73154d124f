"""The declarative configuration of a node without database is read and replaced."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
import yaml
from twisted.internet import reactor
from twisted.internet.defer import Deferred, ensureDeferred

from kongtx.admin.context import AdminContext
from kongtx.admin.settings import AdminSettings
from kongtx.admin.site import make_admin_site, make_status_site
from kongtx.db.declarative import (
    DeclarativeFormat,
    content_hash,
    export_yaml,
    exported_entities,
    transformed,
)
from kongtx.db.interfaces import EMPTY_DIGEST
from kongtx.db.off import OffConnector
from kongtx.db.store import Store
from tests.admin.support import Client, FakeNode, registry, serving

GOOD = {
    "_format_version": "3.0",
    "services": [{"name": "s", "url": "http://h.test", "routes": [{"paths": ["/"]}]}],
    "upstreams": [{"name": "u", "targets": [{"target": "a"}]}],
}


class Loader:
    """Loads into the connector, as the node's own does."""

    def __init__(self, store: Store, connector: OffConnector) -> None:
        self.store = store
        self.connector = connector
        self.gate: Deferred[None] | None = None
        self.waiting = False

    def digest(self) -> Deferred[str]:
        return self.connector.digest()

    async def export(self) -> str:
        parts: list[str] = []
        entities = {
            name: [row async for row in self.store[name].each()]
            for name in exported_entities(self.store.registry)
        }
        export_yaml(entities, self.store.registry, parts.append)
        return "".join(parts)

    async def load(self, document: str | Mapping[str, Any], unless: str | None) -> Any:
        if self.gate is not None:
            self.waiting = True
            await self.gate
        if unless is not None and isinstance(document, str) and content_hash(document) == unless:
            return None
        parse: Any = DeclarativeFormat(self.store.registry)
        read = parse.parse_text if isinstance(document, str) else parse.parse
        declared = read(document, self.store.context())
        rows: dict[str, list[Any]] = {}
        for name, row in transformed(declared, self.store.registry):
            rows.setdefault(name, []).append(row)
        await self.connector.load(rows, declared.hash)
        return {name: {row["id"]: row for row in found} for name, found in rows.items()}


@pytest.fixture
def settings() -> AdminSettings:
    return AdminSettings(database="off")


@pytest.fixture
def connector(tmp_path: Path) -> OffConnector:
    return OffConnector(str(tmp_path / "lmdb"), reactor, 1 << 20)


@pytest_twisted.async_yield_fixture
async def store(connector: OffConnector) -> AsyncIterator[Store]:
    made = Store(registry(), connector, reactor)
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
def loader(store: Store, connector: OffConnector) -> Loader:
    return Loader(store, connector)


@pytest_twisted.async_yield_fixture
async def client(
    store: Store, settings: AdminSettings, node: FakeNode, loader: Loader
) -> AsyncIterator[Client]:
    async with serving(make_admin_site(AdminContext(store, settings, node, loader)), store) as made:
        yield made


YAML = {"Content-Type": "application/yaml"}


@pytest_twisted.ensureDeferred
async def test_every_form_of_a_configuration_is_taken(client: Client) -> None:
    text = yaml.safe_dump(GOOD)
    for options in (
        {"data": GOOD},
        {"data": {"config": text}},
        {"data": {"config": json.dumps(GOOD)}},
        {"form": "config=" + json.dumps(GOOD)},
        {"raw": text.encode(), "headers": YAML},
        {"raw": text.encode(), "headers": {"Content-Type": "text/yaml"}},
    ):
        reply = await client.post("/config", **options)
        assert reply.status == 201, reply.raw
        assert [row["name"] for row in reply.json["services"].values()] == ["s"]
        listed = (await client.get("/services/s/routes")).json["data"]
        assert [row["paths"] for row in listed] == [["/"]]


@pytest_twisted.ensureDeferred
async def test_the_same_content_is_not_loaded_again_when_asked(client: Client) -> None:
    assert (await client.get("/status")).json["configuration_hash"] == EMPTY_DIGEST
    text = yaml.safe_dump(GOOD).encode()
    path = "/config?check_hash=1"
    assert (await client.post(path, raw=text, headers=YAML)).status == 201
    same = await client.post(path, raw=text, headers=YAML)
    assert (same.status, same.raw) == (304, b"")
    body = (await client.get("/status")).json
    assert (body["configuration_hash"], "database" in body) == (content_hash(text), False)
    assert (await client.post("/config", raw=text, headers=YAML)).status == 201


@pytest_twisted.ensureDeferred
async def test_a_bad_configuration_is_refused_whole(client: Client) -> None:
    await client.post("/config", GOOD)
    bad = {"_format_version": "3.0", "services": [{"name": "x", "host": "h", "port": -1}]}
    reply = await client.post("/config", bad)
    assert (reply.status, reply.json) == (
        400,
        {
            "code": 14,
            "name": "invalid declarative configuration",
            "message": "declarative config is invalid: "
            '{services={{port="value should be between 0 and 65535"}}}',
            "fields": {"services": [{"port": "value should be between 0 and 65535"}]},
        },
    )
    flat = (await client.post("/config?flatten_errors=1", bad)).json
    assert (flat["flattened_errors"][0]["entity_type"], flat["fields"]) == ("service", {})
    assert [row["name"] for row in (await client.get("/services")).json["data"]] == ["s"]


@pytest.mark.parametrize(
    "options",
    [
        {"data": {}},
        {"data": {"config": ""}},
        {"data": {"config": 1}},
        {"data": {"config": "x"}},
        {"data": {"config": "a: [b"}},
        {"form": ""},
        {"raw": b"", "headers": YAML},
        {"raw": b"\xff", "headers": YAML},
        {"raw": b"- 1", "headers": YAML},
        {"raw": b"a: \0", "headers": YAML},
        {"data": {"_format_version": 3}},
        {"data": {"_format_version": "3.0", "services": 1}},
        {"data": {"_format_version": "3.0", "nothing": []}},
        {"data": {"_format_version": "3.0", "services": [{"host": "a\0b"}]}},
        {"data": {"_format_version": "3.0", "services": [{"name": "\ud800", "host": "h"}]}},
    ],
    ids=ascii,
)
@pytest_twisted.ensureDeferred
async def test_what_is_no_configuration_is_refused(client: Client, options: Any) -> None:
    reply = await client.post("/config", **options)
    assert reply.status == 400, reply.raw
    assert "message" in reply.json


@pytest_twisted.ensureDeferred
async def test_what_does_not_fit_is_refused(client: Client) -> None:
    services = [{"host": "h", "name": f"s{number}"} for number in range(3000)]
    reply = await client.post("/config", {"_format_version": "3.0", "services": services})
    assert (reply.status, "lmdb_map_size" in reply.json["message"]) == (413, True)
    assert (await client.get("/services")).json["data"] == []


@pytest_twisted.ensureDeferred
async def test_one_configuration_is_loaded_at_a_time(client: Client, loader: Loader) -> None:
    gate = loader.gate = Deferred()
    first = ensureDeferred(client.post("/config", GOOD))
    while not loader.waiting:
        await client.get("/status")
    second = await client.post("/config", GOOD)
    assert (second.status, second.headers["retry-after"]) == (429, "1")
    loader.gate = None
    gate.callback(None)
    assert (await first).status == 201


@pytest_twisted.ensureDeferred
async def test_the_configuration_is_exported_and_loads_again(client: Client) -> None:
    await client.post("/config", GOOD)
    before = (await client.get("/services")).json
    exported = (await client.get("/config")).json["config"]
    assert yaml.safe_load(exported)["_transform"] is False
    reply = await client.post("/config", raw=exported.encode(), headers=YAML)
    assert reply.status == 201
    after = (await client.get("/services")).json
    assert [row["id"] for row in before["data"]] == [row["id"] for row in after["data"]]


@pytest_twisted.ensureDeferred
async def test_entities_can_only_be_read(client: Client) -> None:
    await client.post("/config", GOOD)
    for method, path, data, status in (
        ("POST", "/services", {"host": "h"}, 405),
        ("POST", "/services", {}, 400),
        ("PUT", "/services/x", {"host": "h"}, 405),
        ("PATCH", "/services/s", {"host": "h"}, 405),
        ("PATCH", "/services/none", {"host": "h"}, 404),
        ("DELETE", "/services/s", None, 405),
        ("DELETE", "/services/none", None, 204),
        ("PUT", "/debug/node/log-level/debug", None, 405),
    ):
        reply = await client.ask(method, path, data)
        assert reply.status == status, (method, path)
    reply = await client.post("/services", {"host": "h"})
    assert reply.json == {
        "code": 12,
        "name": "operation unsupported",
        "message": "cannot create 'services' entities when not using a database",
    }
    reply = await client.patch("/services/s", {"host": "h"})
    assert reply.json["message"] == (
        "cannot update 'services' entities by 'name' when not using a database"
    )


@pytest_twisted.ensureDeferred
async def test_status_listeners_show_targets(
    client: Client, store: Store, settings: AdminSettings, node: FakeNode, loader: Loader
) -> None:
    await client.post("/config", GOOD)
    async with serving(
        make_status_site(AdminContext(store, settings, node, loader)), store
    ) as status:
        for path in ("targets", "targets/all", "health", "targets/a:8000"):
            assert (await status.get(f"/upstreams/u/{path}")).status == 200
        assert (await status.delete("/upstreams/u/targets/a:8000")).status == 405
        assert (await status.get("/services")).status == 404
