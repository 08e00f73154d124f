"""C{kongtx start}. Kong: kong/cmd/start.lua."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import attrs
import click

from kongtx.cli.migrating import migrate_first
from kongtx.cli.nodes import configuration, database_timeout
from kongtx.cli.options import (
    Command,
    conf_option,
    nginx_options,
    pass_output,
    prefix_option,
)
from kongtx.cli.output import Output, show_log
from kongtx.conf import Configuration
from kongtx.conf.loader import Value

_Function = TypeVar("_Function", bound=Callable[..., Any])


@attrs.frozen
class StartOptions:
    """How a node is to be started: what the command line says."""

    conf: str | None
    prefix: str | None
    run_migrations: bool
    db_timeout: float | None
    lock_timeout: float
    dev: bool


def start_options(function: _Function) -> _Function:
    """The options of C{start} and C{restart}."""
    options = (
        conf_option,
        prefix_option,
        click.option("--run-migrations", is_flag=True, help="Migrate the database first."),
        click.option(
            "--db-timeout",
            type=click.FloatRange(min=0),
            metavar="SECONDS",
            help="Time for each exchange with the database.",
        ),
        click.option(
            "--lock-timeout",
            type=click.FloatRange(min=0),
            default=60,
            show_default=True,
            metavar="SECONDS",
            help="Time to wait for another node that migrates.",
        ),
        click.option(
            "--dev",
            is_flag=True,
            help="Development: reload when plugins' code changes, show tracebacks in answers.",
        ),
        nginx_options,
    )
    for option in reversed(options):
        function = option(function)
    return function


@click.command("start", cls=Command)
@start_options
@pass_output
def command(output: Output, /, **options: Any) -> None:
    """Start a node in its prefix directory.

    It goes into the background once it serves, unless nginx_daemon is off.
    """
    start(output, StartOptions(**options))


def start(output: Output, options: StartOptions) -> None:
    """Start a node.

    @raise KongtxError: it cannot start.
    """
    conf = checked_configuration(output, options)
    if options.run_migrations:
        migrate_first(output, conf, options.lock_timeout)
    run(output, conf)


def checked_configuration(output: Output, options: StartOptions) -> Configuration:
    """What a node is to run with.

    @raise KongtxError: a node cannot start with it.
    """
    conf = configuration(
        output,
        options.conf,
        options.prefix,
        strict=True,
        overrides=_overrides(options),
    )
    conf.require_supported()
    return conf


def run(output: Output, conf: Configuration) -> None:
    """Run a node, in the background unless the configuration says otherwise.

    @raise KongtxError: it cannot start.
    """
    # Twisted is slow to import, and mistakes in the configuration should be told at once.
    from kongtx.runtime.processes import master  # noqa: PLC0415

    with show_log(output):
        master.run(conf)
    if conf.is_daemon:
        output.info("kongtx started")


def _overrides(options: StartOptions) -> dict[str, Value]:
    overrides = database_timeout(options.db_timeout)
    if options.dev:
        overrides["dev"] = "on"
    return overrides
