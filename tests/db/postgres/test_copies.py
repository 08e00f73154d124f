"""What is exported from any database and imported into any other is the same there."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
import yaml
from twisted.internet import reactor

from kongtx.db import migrations
from kongtx.db.declarative import DeclarativeFormat, exported_entities, transformed, yaml_chunks
from kongtx.db.interfaces import ISnapshotLoader
from kongtx.db.off import OffConnector
from kongtx.db.postgres import Endpoint, PostgresConnector
from kongtx.db.sqlite import SQLiteConnector
from kongtx.db.store import Store
from kongtx.lib.ids import new_secret, uuid4
from kongtx.plugins.schemas import full_registry
from kongtx.schema import Context
from tests.integration.states import state

REGISTRY = full_registry()
FORMAT = DeclarativeFormat(REGISTRY)
CONTEXT = Context(now=1_700_000_000.25, new_id=uuid4, new_secret=new_secret)

OpenStore = Callable[[str], Awaitable[Store]]


@pytest_twisted.async_yield_fixture
async def open_store(endpoint: Endpoint, tmp_path: Path) -> AsyncIterator[OpenStore]:
    """Opens an empty store on a database of a kind."""
    opened: list[Store] = []

    async def open_one(kind: str) -> Store:
        connector: Any
        if kind == "postgres":
            connector = PostgresConnector(endpoint, reactor)
        elif kind == "sqlite":
            connector = SQLiteConnector(str(tmp_path / "db"), reactor)
        else:
            connector = OffConnector(str(tmp_path / "off"), reactor, 1 << 24)
        store = Store(REGISTRY, connector, reactor)
        opened.append(store)
        if kind == "postgres":
            await connector.start(store.catalogue)
            await migrations.up(connector, store.catalogue)
        await store.start()
        return store

    yield open_one
    for store in opened:
        await store.stop()


async def imported(store: Store, text: str) -> None:
    declared = FORMAT.parse_text(text, CONTEXT)
    rows = list(transformed(declared, REGISTRY))
    if not ISnapshotLoader.providedBy(store.connector):
        await store.restore(rows)
        return
    loader: Any = store.connector
    stored: dict[str, list[Any]] = {}
    for name, row in rows:
        stored.setdefault(name, []).append(store[name].restored(row).entity)
    await loader.load(stored, declared.hash)


async def exported(store: Store) -> str:
    rows = [
        (name, row)
        for name in exported_entities(REGISTRY)
        async for row in store[name].each_stored()
    ]
    return "".join(yaml_chunks(rows, REGISTRY))


@pytest.mark.parametrize(
    "kinds",
    [
        ("postgres", "sqlite"),
        ("sqlite", "postgres"),
        ("postgres", "off"),
        ("off", "postgres"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_a_copy_is_the_same(open_store: OpenStore, kinds: tuple[str, str]) -> None:
    first, second = [await open_store(kind) for kind in kinds]
    document = {name: value for name, value in state().items() if name != "_info"}
    await imported(first, yaml.safe_dump(document))
    text = await exported(first)
    assert text.count("\n- ") > 20
    await imported(second, text)
    assert await exported(second) == text
