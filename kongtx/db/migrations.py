"""Versions of the database's content, and the steps from one to the next.

A migration changes stored entities, not tables: those follow from the schemas (see
L{kongtx.db.tables}). Its first half, C{up}, runs before the new version serves and leaves the
database usable by the old version; the second, C{finish}, runs when the old version is gone.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Protocol

import attrs
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from kongtx.db.errors import MigrationError, MigrationLockedError
from kongtx.db.interfaces import IMigratable
from kongtx.db.tables import Catalogue
from kongtx.lib import ids

LOCK = "migrations"
LOCK_SECONDS = 60.0
_POLL_SECONDS = 0.25


class Step(Protocol):
    """Half a migration: it may be run again after it was interrupted."""

    def __call__(self, connector: Any, catalogue: Catalogue) -> Awaitable[None]: ...


@attrs.frozen
class Migration:
    """One step from a version of the content to the next.

    @ivar subsystem: C{core}, or a plugin's name.
    @ivar name: sorts after those that come before it, as in C{001_split_redis}.
    """

    subsystem: str
    name: str
    up: Step | None = None
    finish: Step | None = None


CORE: tuple[Migration, ...] = (Migration("core", "000_base"),)

ByName = Mapping[str, Sequence[str]]


@attrs.frozen
class State:
    """Where a database stands; each attribute but the first holds names by subsystem.

    @ivar needs_bootstrap: whether it was never set up.
    @ivar executed: migrations that were run, finished or not.
    @ivar pending: of those, the ones that wait for their second half.
    @ivar new: migrations that were not run.
    @ivar unknown: run ones that this version does not know, so that it is too old.
    """

    needs_bootstrap: bool
    executed: ByName
    pending: ByName
    new: ByName
    unknown: ByName

    def to_json(self) -> dict[str, Any]:
        """The state as C{kongtx migrations status} prints it."""
        return {
            "needs_bootstrap": self.needs_bootstrap,
            **{
                f"{kind}_migrations": [
                    {"subsystem": name, "namespace": f"kongtx.{name}", "migrations": list(names)}
                    for name, names in sorted(getattr(self, kind).items())
                ]
                for kind in ("executed", "pending", "new")
            },
        }


async def read_state(connector: IMigratable, known: Sequence[Migration] = CORE) -> State:
    """Compare what a database has seen with what this version knows."""
    recorded = await connector.executed()
    seen = recorded or {}
    executed = {name: [item for item, _ in found] for name, found in seen.items()}
    pending = {name: [item for item, waits in found if waits] for name, found in seen.items()}
    mine: dict[str, list[str]] = {}
    for migration in known:
        mine.setdefault(migration.subsystem, []).append(migration.name)
    return State(
        needs_bootstrap=recorded is None,
        executed=executed,
        pending=_filled(pending),
        new=_filled({name: _without(found, executed.get(name)) for name, found in mine.items()}),
        unknown=_filled({name: _without(executed.get(name), mine[name]) for name in mine}),
    )


def refuse_newer(state: State) -> None:
    """
    @raise MigrationError: the database was migrated by a newer version.
    """
    if state.unknown:
        names = "; ".join(f"{name}: {', '.join(found)}" for name, found in state.unknown.items())
        raise MigrationError(
            f"the database was migrated by a newer version of kongtx ({names} is not known here); "
            "start that version, or give this one another database"
        )


async def prepare(
    connector: Any,
    catalogue: Catalogue,
    reactor: IReactorTime,
    known: Sequence[Migration] = CORE,
) -> None:
    """Make a database ready at start, as far as that needs no decision.

    @param connector: an L{IConnector} that is L{IMigratable} too.
    @raise MigrationError: a step by hand is needed first, or the database is too new.
    """
    state = await read_state(connector, known)
    refuse_newer(state)
    if not connector.automatic:
        if state.needs_bootstrap:
            raise MigrationError(
                "Database needs bootstrapping; run 'kongtx migrations bootstrap' to proceed"
            )
        if state.new:
            raise MigrationError("New migrations available; run 'kongtx migrations up' to proceed")
        await connector.complete(catalogue)
        return
    await connector.create(catalogue)
    new = list(_selected(known, state.new))
    if not any(item.up or item.finish for item in new) and not state.pending:
        for migration in new:
            await connector.record(migration.subsystem, migration.name, False)
        return
    async with locked(connector, reactor, LOCK_SECONDS * 2):
        await up(connector, catalogue, known)
        await finish(connector, catalogue, known)


async def up(
    connector: Any,
    catalogue: Catalogue,
    known: Sequence[Migration] = CORE,
    report: Callable[[Migration, bool], None] | None = None,
) -> list[Migration]:
    """Make the tables and run the first halves of new migrations; the lock must be held.

    @param report: called after each, with whether it is pending.
    @return: those that were run.
    """
    await connector.create(catalogue)
    state = await read_state(connector, known)
    refuse_newer(state)
    done = []
    for migration in _selected(known, state.new):
        if migration.up is not None:
            await migration.up(connector, catalogue)
        pending = migration.finish is not None
        await connector.record(migration.subsystem, migration.name, pending)
        if report is not None:
            report(migration, pending)
        done.append(migration)
    return done


async def finish(
    connector: Any,
    catalogue: Catalogue,
    known: Sequence[Migration] = CORE,
    report: Callable[[Migration, bool], None] | None = None,
) -> list[Migration]:
    """Run the second halves of pending migrations; the lock must be held.

    @return: those that were run.
    """
    state = await read_state(connector, known)
    done = []
    for migration in _selected(known, state.pending):
        if migration.finish is not None:
            await migration.finish(connector, catalogue)
        await connector.record(migration.subsystem, migration.name, False)
        if report is not None:
            report(migration, False)
        done.append(migration)
    return done


@asynccontextmanager
async def locked(
    connector: IMigratable, reactor: IReactorTime, wait_seconds: float
) -> AsyncIterator[None]:
    """Hold the lock that lets one process at a time migrate.

    @raise MigrationLockedError: another process holds it for longer than that.
    """
    owner = ids.uuid4()
    give_up = reactor.seconds() + wait_seconds
    while not await connector.acquire(LOCK, owner, LOCK_SECONDS):
        if reactor.seconds() >= give_up:
            raise MigrationLockedError("aborted: another node is performing database changes")
        await deferLater(reactor, _POLL_SECONDS)
    try:
        yield
    finally:
        await connector.release(LOCK, owner)


def _selected(known: Sequence[Migration], names: ByName) -> Iterator[Migration]:
    for migration in known:
        if migration.name in names.get(migration.subsystem, ()):
            yield migration


def _without(names: Sequence[str] | None, others: Sequence[str] | None) -> list[str]:
    return [name for name in names or () if name not in (others or ())]


def _filled(names: Mapping[str, list[str]]) -> dict[str, list[str]]:
    return {name: found for name, found in names.items() if found}
