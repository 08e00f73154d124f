"""C{kongtx migrations}. Kong: kong/cmd/migrations.lua and kong/cmd/utils/migrations.lua."""

from __future__ import annotations

import json
import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from kongtx.cli.errors import CommandError
from kongtx.cli.migrating import NEEDS_BOOTSTRAP, database_name, migrate
from kongtx.cli.nodes import configuration, database_timeout
from kongtx.cli.options import Group, conf_option, pass_output, prefix_option
from kongtx.cli.output import Level, Output

if TYPE_CHECKING:
    from kongtx.db.migrations import ByName, State
    from kongtx.db.store import Store

_Function = TypeVar("_Function", bound=Callable[..., Any])

UP_TO_PROCEED = "run 'kongtx migrations up' to proceed"


@click.group("migrations", cls=Group)
def command() -> None:
    """Set up and migrate the node's database."""


def _options(function: _Function) -> _Function:
    """What all subcommands take."""
    for option in (
        click.option(
            "--db-timeout",
            type=click.FloatRange(min=0),
            metavar="SECONDS",
            default=60,
            help="Time for each exchange with the database (60).",
        ),
        click.option(
            "--lock-timeout",
            type=int,
            metavar="SECONDS",
            default=60,
            help="How long to wait for other nodes that migrate (60).",
        ),
        click.option("-f", "--force", is_flag=True, help="Reset first, or run again."),
        click.option("-q", "--quiet", is_flag=True, help="Print nothing."),
        click.option("-y", "--yes", is_flag=True, help="Ask nothing."),
    ):
        function = option(function)
    return prefix_option(conf_option(function))


class _Session:
    """One run of a subcommand."""

    def __init__(self, output: Output, options: dict[str, Any]) -> None:
        if options["quiet"]:
            output.level = Level.QUIET
        self.output = output
        self.options = options
        # Not what a node in the prefix was started with: it may be about to get another database.
        self.configuration = configuration(
            output,
            options["conf"],
            options["prefix"],
            overrides=database_timeout(options["db_timeout"]),
        )

    def run(self, work: Callable[[Store, Any], Awaitable[int]]) -> None:
        """Run with the store connected; the result is the exit status."""
        # Both take a while to import, and other commands do without them.
        from kongtx.cli import database  # noqa: PLC0415
        from kongtx.cli.declarative import registry  # noqa: PLC0415

        async def connected(reactor: Any) -> int:
            schemas = registry(self.configuration)
            async with database.connected(self.configuration, schemas, reactor) as store:
                return await work(store, reactor)

        code = database.run(connected)
        if code:
            sys.exit(code)

    async def state(self, store: Store) -> State:
        """Where the database stands; without a database all is done."""
        from kongtx.db import migrations  # noqa: PLC0415

        if store.connector.read_only:
            names = {item.subsystem: [item.name] for item in migrations.CORE}
            return migrations.State(False, names, {}, {}, {})
        return await migrations.read_state(store.connector)  # type: ignore[arg-type]


@command.command("bootstrap")
@_options
@pass_output
def bootstrap(output: Output, /, **options: Any) -> None:
    """Set up a new database."""
    session = _Session(output, options)

    async def work(store: Store, reactor: Any) -> int:
        state = await session.state(store)
        if options["force"] and not store.connector.read_only and not state.needs_bootstrap:
            await _reset(session, store, reactor)
            state = await session.state(store)
        if not state.needs_bootstrap:
            output.info("Database already bootstrapped")
            return 0
        output.info("Bootstrapping database...")
        await _migrate(session, store, reactor)
        return 0

    session.run(work)


@command.command("up")
@_options
@pass_output
def up(output: Output, /, **options: Any) -> None:
    """Run new migrations; the previous version can still use the database."""
    session = _Session(output, options)

    async def work(store: Store, reactor: Any) -> int:
        state = await session.state(store)
        if state.needs_bootstrap:
            raise CommandError(f"Cannot run migrations: {NEEDS_BOOTSTRAP}")
        if state.pending and not options["force"]:
            raise CommandError(
                "Cannot run migrations: Database has pending migrations; "
                "run 'kongtx migrations finish'"
            )
        if not state.new:
            output.info("Database is already up-to-date")
            return 0
        await _migrate(session, store, reactor)
        return 0

    session.run(work)


@command.command("finish")
@_options
@pass_output
def finish(output: Output, /, **options: Any) -> None:
    """Complete pending migrations, once no node of the previous version runs."""
    session = _Session(output, options)

    async def work(store: Store, reactor: Any) -> int:
        from kongtx.db import migrations  # noqa: PLC0415

        state = await session.state(store)
        if state.needs_bootstrap:
            raise CommandError(f"Cannot run migrations: {NEEDS_BOOTSTRAP}")
        if state.pending:
            connector: Any = store.connector
            async with migrations.locked(connector, reactor, options["lock_timeout"]):
                done = await migrations.finish(connector, store.catalogue)
            output.info(f"{len(done)} migrations processed")
        else:
            output.info("No pending migrations to finish")
        if state.new:
            output.info(f"\nNew migrations available; {UP_TO_PROCEED}")
        return 0

    session.run(work)


@command.command("list")
@_options
@pass_output
def list_(output: Output, /, **options: Any) -> None:
    """List migrations: exits with 3 before bootstrap, 4 with pending, 5 with new ones."""
    session = _Session(output, options)

    async def work(store: Store, reactor: Any) -> int:
        state = await session.state(store)
        if state.needs_bootstrap:
            output.info(NEEDS_BOOTSTRAP)
            return 3
        if state.executed:
            output.info(f"Executed migrations:\n{_listed(state.executed)}")
        if state.pending:
            output.info(f"\nPending migrations:\n{_listed(state.pending)}")
            output.info("\nRun 'kongtx migrations finish' when ready")
        if state.new:
            output.info(f"\nNew migrations available:\n{_listed(state.new)}")
            output.info("\nRun 'kongtx migrations up' to proceed")
        if state.pending:
            return 4
        return 5 if state.new else 0

    session.run(work)


@command.command("status")
@_options
@pass_output
def status(output: Output, /, **options: Any) -> None:
    """Print the state of migrations as one line of JSON."""
    session = _Session(output, options)

    async def work(store: Store, reactor: Any) -> int:
        output.info(json.dumps((await session.state(store)).to_json()))
        return 0

    session.run(work)


@command.command("reset")
@_options
@pass_output
def reset(output: Output, /, **options: Any) -> None:
    """Remove everything from the database."""
    session = _Session(output, options)
    if not options["yes"]:
        if not sys.stdin.isatty():
            raise CommandError("not a tty: invoke 'reset' non-interactively with the --yes flag")
        if not _confirmed():
            output.info("cancelled")
            return

    async def work(store: Store, reactor: Any) -> int:
        if (await session.state(store)).needs_bootstrap or store.connector.read_only:
            raise CommandError("Database not bootstrapped, nothing to reset")
        await _reset(session, store, reactor)
        return 0

    session.run(work)


async def _migrate(session: _Session, store: Store, reactor: Any) -> None:
    name = database_name(session.configuration)
    await migrate(session.output, name, store, reactor, session.options["lock_timeout"])


async def _reset(session: _Session, store: Store, reactor: Any) -> None:
    from kongtx.db import migrations  # noqa: PLC0415

    connector: Any = store.connector
    session.output.info("Resetting database...")
    async with migrations.locked(connector, reactor, session.options["lock_timeout"]):
        await connector.reset()
    session.output.info("Database successfully reset")


def _confirmed() -> bool:
    """Ask up to three times."""
    for _ in range(3):
        answer = input("> Are you sure? This operation is irreversible. [y/n] ").strip().lower()
        if answer in ("y", "yes"):
            return True
        if answer in ("n", "no"):
            return False
    return False


def _listed(names: ByName) -> str:
    width = max(map(len, names))
    return "\n".join(
        f"{name:>{width}}: {', '.join(found)}" for name, found in sorted(names.items())
    )
