"""The connector without a database reads as every other, and is replaced as a whole."""

from __future__ import annotations

import multiprocessing
import os
import stat
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.task import Clock
from zope.interface.verify import verifyObject

from kongtx.db import errors
from kongtx.db.interfaces import EMPTY_DIGEST, ISnapshotLoader
from kongtx.db.off import OffConnector
from kongtx.db.store import Store
from kongtx.db.tables import Entity
from kongtx.db.writes import Delete, Increment, Insert, Update, Upsert
from kongtx.plugins.schemas import full_registry
from tests.db.conformance import (
    CATALOGUE,
    NOW,
    PARENTS,
    Fill,
    ReadConformance,
    numbers,
    parent,
    uid,
)

DIGEST = "d" * 32


@pytest.fixture
def clock() -> Clock:
    made = Clock()
    made.advance(NOW)
    return made


@pytest_twisted.async_yield_fixture
async def connector(tmp_path: Path, clock: Clock) -> AsyncIterator[OffConnector]:
    made = OffConnector(str(tmp_path / "dbless.lmdb"), reactor, 1 << 24, clock.seconds)
    await made.start(CATALOGUE)
    yield made
    await made.stop()


@pytest.fixture
def fill(connector: OffConnector) -> Fill:
    async def filled(rows: Mapping[str, Sequence[Entity]]) -> None:
        await connector.load(rows, DIGEST)

    return filled


class TestConformance(ReadConformance):
    """See L{ReadConformance}."""


def test_it_can_be_loaded(connector: OffConnector) -> None:
    assert verifyObject(ISnapshotLoader, connector)


@pytest.mark.parametrize(
    ("write", "verb"),
    [
        (Insert(PARENTS, parent(1)), "create"),
        (Update(PARENTS, parent(1)), "update"),
        (Upsert(PARENTS, parent(1)), "create or update"),
        (Increment(PARENTS, parent(1), "value"), "create or update"),
        (Delete(PARENTS, {"id": uid(1)}), "remove"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_writes_are_refused(
    connector: OffConnector, fill: Fill, write: Insert, verb: str
) -> None:
    await fill({"parents": [parent(1, "a")]})
    with pytest.raises(errors.OperationUnsupportedError) as caught:
        await connector.apply([write])
    assert caught.value.message == (f"cannot {verb} 'parents' entities when not using a database")
    assert await connector.select(PARENTS, {"id": uid(1)}) == parent(1, "a")


@pytest_twisted.ensureDeferred
async def test_removing_nothing_is_no_write(connector: OffConnector) -> None:
    assert await connector.apply([Delete(PARENTS, {"id": uid(1)})]) == [[]]


@pytest_twisted.ensureDeferred
async def test_a_load_replaces_everything_and_survives(connector: OffConnector, fill: Fill) -> None:
    assert await connector.digest() == EMPTY_DIGEST
    await fill({"parents": [parent(1, "a", ["t"]), parent(2)]})
    await connector.load({"parents": [parent(3, "b")], "unknown": [{"id": "x"}]}, "e" * 32)
    assert await numbers(connector, PARENTS) == [3]
    assert await connector.select_by(PARENTS, "name", "a") is None
    assert (await connector.page_tags("t", 10, None)).rows == []
    await connector.stop()
    await connector.start(CATALOGUE)
    assert await numbers(connector, PARENTS) == [3]
    assert await connector.digest() == "e" * 32


@pytest_twisted.ensureDeferred
async def test_what_does_not_fit_leaves_what_was(tmp_path: Path) -> None:
    small = OffConnector(str(tmp_path / "small"), reactor, 1 << 17)
    await small.start(CATALOGUE)
    await small.load({"parents": [parent(1, "a")]}, DIGEST)
    many = [parent(number, "x" * 1000 + str(number)) for number in range(500)]
    with pytest.raises(errors.ConfigurationTooLargeError, match="lmdb_map_size"):
        await small.load({"parents": many}, "e" * 32)
    assert await numbers(small, PARENTS) == [1]
    assert await small.digest() == DIGEST
    await small.stop()


@pytest_twisted.ensureDeferred
async def test_long_keys_and_values_are_found(connector: OffConnector, fill: Fill) -> None:
    long = "\u00e9" * 5000
    row = {"id": "k" * 2000, "name": long, "tags": [long], "note": None}
    await fill({"parents": [row]})
    assert await connector.select(PARENTS, {"id": "k" * 2000}) == row
    assert await connector.select_by(PARENTS, "name", long) == row
    assert len((await connector.page_tags(long, 10, None)).rows) == 1


@pytest_twisted.ensureDeferred
async def test_a_closed_connector_says_so(connector: OffConnector) -> None:
    await connector.stop()
    await connector.stop()
    with pytest.raises(errors.DatabaseError, match="closed"):
        await connector.ping()
    await connector.start(CATALOGUE)


def test_only_its_owner_can_read_the_files(connector: OffConnector) -> None:
    mode = os.stat(os.path.join(connector.path, "data.mdb")).st_mode
    assert stat.S_IMODE(mode) == 0o600


def _read_in_child(path: str, pipe: multiprocessing.connection.Connection) -> None:
    child = OffConnector(path, reactor, 1 << 24)
    child.start(CATALOGUE)
    while pipe.recv():
        found: list[str] = []
        child.digest().addCallback(found.append)
        pipe.send(found[0])


@pytest_twisted.ensureDeferred
async def test_other_processes_see_the_new_content_at_once(
    connector: OffConnector, fill: Fill
) -> None:
    await fill({})
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    child = context.Process(target=_read_in_child, args=(connector.path, theirs), daemon=True)
    child.start()
    try:
        ours.send(True)
        assert ours.recv() == DIGEST
        await connector.load({"parents": [parent(1)]}, "e" * 32)
        ours.send(True)
        assert ours.recv() == "e" * 32
        ours.send(False)
    finally:
        child.join(5)
        child.kill()


@pytest_twisted.ensureDeferred
async def test_a_store_without_database_validates_before_it_refuses(tmp_path: Path) -> None:
    store = Store(full_registry(), OffConnector(str(tmp_path / "l"), reactor, 1 << 24), reactor)
    await store.start()
    with pytest.raises(errors.SchemaViolationError):
        await store["services"].insert({})
    with pytest.raises(errors.OperationUnsupportedError):
        await store["services"].insert({"host": "h"})
    with pytest.raises(errors.EntityNotFoundError):
        await store["services"].update(uid(1), {"host": "h"})
    with pytest.raises(errors.OperationUnsupportedError) as caught:
        await store["services"].upsert_by("name", "x", {"host": "h"})
    assert caught.value.message == (
        "cannot create or update 'services' entities by 'name' when not using a database"
    )
    assert not await store["services"].delete(uid(1))
    await store.stop()
