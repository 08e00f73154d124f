"""The SQLite connector does what every connector has to, and loses nothing."""

from __future__ import annotations

import os
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.task import Clock
from zope.interface.verify import verifyObject

from kongtx.db import errors
from kongtx.db.interfaces import IMigratable
from kongtx.db.paging import Query
from kongtx.db.sqlite import SQLiteConnector
from kongtx.db.tables import Catalogue, Entity, Reference, Table
from kongtx.db.writes import Delete, Insert
from tests.db.conformance import (
    CATALOGUE,
    CHILDREN,
    NOW,
    PARENTS,
    Fill,
    WriteConformance,
    child,
    extra,
    filling,
    numbers,
    parent,
    uid,
)


@pytest.fixture
def clock() -> Clock:
    made = Clock()
    made.advance(NOW)
    return made


@pytest_twisted.async_yield_fixture
async def connector(tmp_path: Path, clock: Clock) -> AsyncIterator[SQLiteConnector]:
    made = SQLiteConnector(str(tmp_path / "data" / "kongtx.db"), reactor, clock.seconds)
    await made.start(CATALOGUE)
    await made.create(CATALOGUE)
    yield made
    await made.stop()


@pytest.fixture
def fill(connector: SQLiteConnector) -> Fill:
    return filling(connector)


class TestConformance(WriteConformance):
    """See L{WriteConformance}."""


async def opened(path: Path, catalogue: Catalogue = CATALOGUE) -> SQLiteConnector:
    made = SQLiteConnector(str(path), reactor)
    await made.start(catalogue)
    await made.create(catalogue)
    return made


def test_it_keeps_a_record_of_migrations(connector: SQLiteConnector) -> None:
    assert verifyObject(IMigratable, connector)


def test_only_its_owner_can_read_the_file(connector: SQLiteConnector) -> None:
    assert stat.S_IMODE(os.stat(connector.path).st_mode) == 0o600
    for suffix in ("-wal", "-shm"):
        assert stat.S_IMODE(os.stat(connector.path + suffix).st_mode) == 0o600


@pytest_twisted.ensureDeferred
async def test_rows_are_there_after_reopening(tmp_path: Path) -> None:
    first = await opened(tmp_path / "db")
    await first.apply([Insert(PARENTS, parent(1, "a"))])
    await first.stop()
    second = await opened(tmp_path / "db")
    assert await second.select(PARENTS, {"id": uid(1)}) == parent(1, "a")
    await second.stop()


@pytest_twisted.ensureDeferred
async def test_stopping_waits_for_writes_and_may_be_repeated(tmp_path: Path) -> None:
    first = await opened(tmp_path / "db")
    writes = [first.apply([Insert(PARENTS, parent(number))]) for number in range(20)]
    await first.stop()
    await first.stop()
    assert all(len(self_result) == 1 for self_result in [await write for write in writes])
    with pytest.raises(errors.DatabaseError, match="closed"):
        await first.select(PARENTS, {"id": uid(1)})
    with pytest.raises(errors.DatabaseError, match="closed"):
        await first.apply([Insert(PARENTS, parent(99))])
    second = await opened(tmp_path / "db")
    assert len(await numbers(second, PARENTS)) == 20
    await second.stop()


@pytest_twisted.ensureDeferred
async def test_a_second_user_of_the_file_sees_and_respects_the_first(tmp_path: Path) -> None:
    first, second = await opened(tmp_path / "db"), await opened(tmp_path / "db")
    await first.apply([Insert(PARENTS, parent(1, "a"))])
    assert await second.select_by(PARENTS, "name", "a") == parent(1, "a")
    with pytest.raises(errors.UniqueViolationError):
        await second.apply([Insert(PARENTS, parent(2, "a"))])
    await second.apply([Insert(CHILDREN, child(1, of=1))])
    with pytest.raises(errors.ForeignKeyViolationError):
        await first.apply([Delete(PARENTS, {"id": uid(1)})])
    await first.stop()
    await second.stop()


OTHER_PROCESS = """
import sqlite3, sys
with sqlite3.connect(sys.argv[1]) as connection:
    print(connection.execute("SELECT count(*) FROM parents").fetchone()[0])
connection.close()
"""


@pytest_twisted.ensureDeferred
async def test_another_process_that_closes_the_file_leaves_its_log_to_those_that_go_on(
    connector: SQLiteConnector,
) -> None:
    await connector.apply([Insert(PARENTS, parent(1, "a"))])
    # Reading opens a second connection; none may give up the locks that the first has.
    assert await connector.select_by(PARENTS, "name", "a") == parent(1, "a")
    for count in (1, 2):
        counted = subprocess.run(
            [sys.executable, "-c", OTHER_PROCESS, connector.path],
            capture_output=True,
            text=True,
            check=True,
        )
        assert counted.stdout == f"{count}\n"
        assert Path(f"{connector.path}-wal").exists()
        await connector.apply([Insert(PARENTS, parent(count + 1, f"b{count}"))])


@pytest_twisted.ensureDeferred
async def test_a_file_that_is_no_database_is_a_database_error(tmp_path: Path) -> None:
    path = tmp_path / "db"
    path.write_text("nonsense" * 1000)
    made = SQLiteConnector(str(path), reactor)
    with pytest.raises(errors.DatabaseError, match="file is not a database"):
        await made.start(CATALOGUE)
    await made.stop()


@pytest_twisted.ensureDeferred
async def test_a_folder_that_cannot_be_made_is_a_database_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    made = SQLiteConnector(str(tmp_path / "file" / "db"), reactor)
    with pytest.raises(errors.DatabaseError, match="File exists"):
        await made.start(CATALOGUE)
    await made.stop()


@pytest_twisted.ensureDeferred
async def test_new_search_fields_are_filled_from_the_rows_that_exist(tmp_path: Path) -> None:
    before = Catalogue.of([Table("parents"), Table("children")])
    first = await opened(tmp_path / "db", before)
    await first.apply(
        [
            Insert(before["parents"], parent(1, "a", ["t"])),
            Insert(before["children"], child(1, of=1, name='it\'s "x"')),
        ]
    )
    await first.stop()
    second = await opened(tmp_path / "db")
    assert (await second.select_by(PARENTS, "name", "a"))["id"] == uid(1)
    assert (await second.select_by(CHILDREN, "name", 'it\'s "x"'))["id"] == uid(1)
    page = await second.page(CHILDREN, Query(10, reference=("parent", uid(1))))
    assert len(page.rows) == 1
    with pytest.raises(errors.ForeignKeyViolationError):
        await second.apply([Delete(PARENTS, {"id": uid(1)})])
    await second.stop()


@pytest_twisted.ensureDeferred
async def test_rows_of_a_plugin_that_is_off_still_go_with_their_parent(tmp_path: Path) -> None:
    first = await opened(tmp_path / "db")
    await first.apply([Insert(PARENTS, parent(1)), Insert(CATALOGUE["extras"], extra(1, "x", 1))])
    await first.stop()
    without = await opened(tmp_path / "db", Catalogue.of([PARENTS]))
    await without.apply([Delete(PARENTS, {"id": uid(1)})])
    await without.stop()
    again = await opened(tmp_path / "db")
    assert await numbers(again, CATALOGUE["extras"]) == []
    await again.stop()


@pytest_twisted.ensureDeferred
async def test_locks_are_held_renewed_released_and_run_out(
    connector: SQLiteConnector, clock: Clock
) -> None:
    assert await connector.acquire("l", "one", 10)
    assert not await connector.acquire("l", "two", 10)
    assert await connector.acquire("other", "two", 10)
    clock.advance(9)
    assert await connector.acquire("l", "one", 10)
    clock.advance(9)
    assert not await connector.acquire("l", "two", 10)
    await connector.release("l", "two")
    assert not await connector.acquire("l", "two", 10)
    clock.advance(1)
    assert await connector.acquire("l", "two", 10)
    await connector.release("l", "two")
    assert await connector.acquire("l", "three", 10)


@pytest_twisted.ensureDeferred
async def test_a_reset_removes_everything(connector: SQLiteConnector) -> None:
    await connector.record("core", "000_base", False)
    assert await connector.executed() == {"core": [("000_base", False)]}
    await connector.apply([Insert(PARENTS, parent(1)), Insert(CHILDREN, child(1, of=1))])
    await connector.reset()
    assert await connector.executed() is None
    await connector.create(CATALOGUE)
    assert await numbers(connector, PARENTS) == []


WRITER = """
import sys
from twisted.internet import reactor
from twisted.internet.defer import ensureDeferred
from kongtx.db.sqlite import SQLiteConnector
from kongtx.db.writes import Insert, Upsert
from tests.db.conformance import CATALOGUE, CHILDREN, PARENTS, child, parent

async def write():
    connector = SQLiteConnector(sys.argv[1], reactor)
    await connector.start(CATALOGUE)
    await connector.create(CATALOGUE)
    number = 0
    while True:
        number += 1
        rows = [Insert(PARENTS, parent(number, f"p{number}", ["t"]))]
        rows.append(Insert(CHILDREN, child(number, of=number)))
        await connector.apply(rows)
        print(number, flush=True)

ensureDeferred(write())
reactor.run()
"""


@pytest_twisted.ensureDeferred
async def test_no_acknowledged_write_is_lost_when_the_process_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "db"
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert writer.stdout is not None
    for line in writer.stdout:
        if int(line) >= 60:
            writer.send_signal(signal.SIGKILL)
            break
    acknowledged = max([60, *(int(line) for line in writer.stdout.read().split())])
    assert writer.wait() == -signal.SIGKILL
    again = await opened(path)
    parents, children = await numbers(again, PARENTS), await numbers(again, CHILDREN)
    assert parents == children
    assert parents == list(range(1, len(parents) + 1))
    assert len(parents) in (acknowledged, acknowledged + 1)
    tags = [row async for row in _tag_rows(again)]
    assert len(tags) == len(parents)
    await again.stop()


async def _tag_rows(connector: SQLiteConnector) -> AsyncIterator[Entity]:
    offset = None
    while True:
        page = await connector.page_tags("t", 100, offset)
        for row in page.rows:
            yield row
        offset = page.offset
        if offset is None:
            return


@pytest.mark.parametrize(("pragma", "value"), [("synchronous", 2), ("foreign_keys", 1)])
@pytest_twisted.ensureDeferred
async def test_connections_are_durable_and_strict(
    connector: SQLiteConnector, pragma: str, value: Any
) -> None:
    def read(engine: Any) -> Any:
        return engine.connection.execute(f"PRAGMA {pragma}").fetchone()[0]

    assert await connector._in_writer(read) == value
    assert sqlite3.connect(connector.path).execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_reference_to_an_unknown_table_is_not_enforced() -> None:
    catalogue = Catalogue.of([Table("a", references=(Reference("b", "nowhere"),))])
    assert [table.name for table in catalogue.parents_first()] == ["a"]
