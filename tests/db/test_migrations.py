"""Databases are set up once, moved on in order, and never by two processes at a time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import ensureDeferred, gatherResults
from twisted.internet.task import Clock

from kongtx.db import migrations
from kongtx.db.errors import MigrationError
from kongtx.db.migrations import CORE, Migration
from kongtx.db.sqlite import SQLiteConnector
from tests.db.conformance import CATALOGUE


@pytest_twisted.async_yield_fixture
async def connector(tmp_path: Path) -> AsyncIterator[SQLiteConnector]:
    made = SQLiteConnector(str(tmp_path / "db"), reactor)
    await made.start(CATALOGUE)
    yield made
    await made.stop()


def steps(log: list[str], *names: str, finishing: bool = True) -> tuple[Migration, ...]:
    """Migrations of the core that note when they run."""

    def step(text: str) -> Any:
        async def run(connector: Any, catalogue: Any) -> None:
            assert not await connector.acquire(migrations.LOCK, "someone else", 1)
            log.append(text)

        return run

    return (
        *CORE,
        *(
            Migration("core", name, step(f"up {name}"), step(f"end {name}") if finishing else None)
            for name in names
        ),
    )


@pytest_twisted.ensureDeferred
async def test_a_new_database_needs_bootstrapping(connector: SQLiteConnector) -> None:
    state = await migrations.read_state(connector)
    assert state.to_json() == {
        "needs_bootstrap": True,
        "executed_migrations": [],
        "pending_migrations": [],
        "new_migrations": [
            {"subsystem": "core", "namespace": "kongtx.core", "migrations": ["000_base"]}
        ],
    }


@pytest_twisted.ensureDeferred
async def test_an_automatic_database_is_set_up_at_start(connector: SQLiteConnector) -> None:
    for _ in range(2):
        await migrations.prepare(connector, CATALOGUE, reactor)
        state = await migrations.read_state(connector)
        assert (state.needs_bootstrap, state.executed, state.new, state.pending) == (
            False,
            {"core": ["000_base"]},
            {},
            {},
        )


@pytest_twisted.ensureDeferred
async def test_an_automatic_database_is_migrated_at_start(connector: SQLiteConnector) -> None:
    await migrations.prepare(connector, CATALOGUE, reactor)
    log: list[str] = []
    known = steps(log, "001_a", "002_b")
    await migrations.prepare(connector, CATALOGUE, reactor, known)
    await migrations.prepare(connector, CATALOGUE, reactor, known)
    assert log == ["up 001_a", "up 002_b", "end 001_a", "end 002_b"]
    assert not (await migrations.read_state(connector, known)).pending


@pytest_twisted.ensureDeferred
async def test_other_databases_want_their_steps_by_hand(connector: SQLiteConnector) -> None:
    connector.automatic = False
    with pytest.raises(MigrationError, match="needs bootstrapping"):
        await migrations.prepare(connector, CATALOGUE, reactor)
    async with migrations.locked(connector, reactor, 1):
        await migrations.up(connector, CATALOGUE)
    await migrations.prepare(connector, CATALOGUE, reactor)
    with pytest.raises(MigrationError, match="New migrations available"):
        await migrations.prepare(connector, CATALOGUE, reactor, steps([], "001_a"))


@pytest_twisted.ensureDeferred
async def test_second_halves_wait_until_they_are_asked_for(connector: SQLiteConnector) -> None:
    log: list[str] = []
    known = steps(log, "001_a")
    async with migrations.locked(connector, reactor, 1):
        done = await migrations.up(connector, CATALOGUE, known)
        assert [item.name for item in done] == ["000_base", "001_a"]
        assert (await migrations.read_state(connector, known)).pending == {"core": ["001_a"]}
        assert await migrations.up(connector, CATALOGUE, known) == []
        assert [item.name for item in await migrations.finish(connector, CATALOGUE, known)] == [
            "001_a"
        ]
        assert await migrations.finish(connector, CATALOGUE, known) == []
    assert log == ["up 001_a", "end 001_a"]


@pytest_twisted.ensureDeferred
async def test_a_database_of_a_newer_version_is_refused(connector: SQLiteConnector) -> None:
    await migrations.prepare(connector, CATALOGUE, reactor)
    await connector.record("core", "900_future", False)
    await connector.record("a-plugin-that-is-off", "001_x", False)
    with pytest.raises(MigrationError, match=r"newer version.*core: 900_future"):
        await migrations.prepare(connector, CATALOGUE, reactor)


@pytest_twisted.ensureDeferred
async def test_an_interrupted_migration_is_run_again(connector: SQLiteConnector) -> None:
    attempts: list[int] = []

    async def fails_once(connector: Any, catalogue: Any) -> None:
        attempts.append(1)
        if len(attempts) == 1:
            raise RuntimeError("power cut")

    known = (*CORE, Migration("core", "001_a", fails_once))
    with pytest.raises(RuntimeError):
        await migrations.prepare(connector, CATALOGUE, reactor, known)
    await migrations.prepare(connector, CATALOGUE, reactor, known)
    assert len(attempts) == 2


@pytest_twisted.ensureDeferred
async def test_two_processes_migrate_one_after_the_other(tmp_path: Path) -> None:
    log: list[str] = []
    known = steps(log, "001_a", "002_b")
    made = [SQLiteConnector(str(tmp_path / "db"), reactor) for _ in range(3)]
    for connector in made:
        await connector.start(CATALOGUE)
    await gatherResults(
        [
            ensureDeferred(migrations.prepare(connector, CATALOGUE, reactor, known))
            for connector in made
        ]
    )
    assert log == ["up 001_a", "up 002_b", "end 001_a", "end 002_b"]
    for connector in made:
        await connector.stop()


@pytest_twisted.ensureDeferred
async def test_a_lock_held_for_too_long_ends_the_wait(connector: SQLiteConnector) -> None:
    assert await connector.acquire(migrations.LOCK, "other", 60)
    clock = Clock()
    clock.advance(10)

    async def take() -> None:
        async with migrations.locked(connector, clock, -1):
            pytest.fail("the lock is another's")

    with pytest.raises(MigrationError, match="another node"):
        await take()
