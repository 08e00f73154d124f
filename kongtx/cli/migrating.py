"""Running migrations and telling what they do, for C{kongtx migrations} and for C{kongtx start}."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from kongtx.cli.errors import CommandError
from kongtx.cli.output import Output, describe
from kongtx.conf import Configuration

if TYPE_CHECKING:
    from kongtx.db.migrations import Migration
    from kongtx.db.store import Store

NEEDS_BOOTSTRAP = (
    "Database needs bootstrapping or is older than Kong 1.0.\n\n"
    "To start a new installation from scratch, run 'kongtx migrations bootstrap'."
)
FINISH_WHEN_READY = "run 'kongtx migrations finish' when ready"


def database_name(configuration: Configuration) -> str:
    """What the database is called in messages."""
    names = {
        "sqlite": configuration.sqlite_path,
        "postgres": configuration.pg_database,
        "cassandra": configuration.cassandra_keyspace,
    }
    return names.get(configuration.database, configuration.database)


async def migrate(
    output: Output, name: str, store: Store, reactor: Any, lock_timeout: float
) -> None:
    """Run what is new; leave it to another node that does so already."""
    # They take a while to import, and other commands do without them.
    from kongtx.db import migrations  # noqa: PLC0415
    from kongtx.db.errors import MigrationLockedError  # noqa: PLC0415

    connector: Any = store.connector
    pending: list[str] = []
    subsystems: list[str] = []

    def report(migration: Migration, is_pending: bool) -> None:
        if migration.subsystem not in subsystems:
            subsystems.append(migration.subsystem)
            output.info(f"migrating {migration.subsystem} on database '{name}'...")
        state = "pending" if is_pending else "executed"
        output.info(f"{migration.subsystem} migrated up to: {migration.name} ({state})")
        if is_pending:
            pending.append(migration.name)

    try:
        async with migrations.locked(connector, reactor, lock_timeout):
            done = await migrations.up(connector, store.catalogue, report=report)
    except MigrationLockedError as error:
        output.info(str(error))
        return
    if not done:
        output.info("Database is already up-to-date")
        return
    output.info(f"{len(done)} migrations processed")
    executed = len(done) - len(pending)
    if executed:
        output.info(f"{executed} executed")
    if pending:
        output.info(f"{len(pending)} pending")
        output.info(f"\nDatabase has pending migrations; {FINISH_WHEN_READY}")
    else:
        output.info("Database is up-to-date")


def migrate_first(output: Output, configuration: Configuration, lock_timeout: float) -> None:
    """Run what is new before a node starts, if its database wants that done by hand.

    It is done in a process of its own, for a reactor runs once, and the node needs it.

    @raise CommandError: it did not work, or the database was never set up.
    """
    if configuration.database in ("off", "sqlite"):
        return
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        try:
            text = _migrate_here(output, configuration, lock_timeout)
            os.write(writing, text.encode(errors="replace"))
            sys.stdout.flush()
        finally:
            os._exit(0)
    os.close(writing)
    with open(reading, encoding="utf-8", errors="replace") as answer:
        failure = answer.read()
    os.waitpid(child, 0)
    if failure:
        raise CommandError(failure)


def _migrate_here(output: Output, configuration: Configuration, lock_timeout: float) -> str:
    """Run what is new; why it did not work."""
    from kongtx.cli import database  # noqa: PLC0415 - as above
    from kongtx.cli.declarative import registry  # noqa: PLC0415
    from kongtx.db import migrations  # noqa: PLC0415

    async def work(reactor: Any) -> None:
        async with database.connected(configuration, registry(configuration), reactor) as store:
            connector: Any = store.connector
            state = await migrations.read_state(connector)
            if state.needs_bootstrap:
                raise CommandError(f"Cannot run migrations: {NEEDS_BOOTSTRAP}")
            if state.new:
                name = database_name(configuration)
                await migrate(output, name, store, reactor, lock_timeout)

    try:
        database.run(work)
    except Exception as error:
        return describe(error)
    return ""
