"""What commands print. Kong: kong/cmd/utils/log.lua.

Plain lines at the usual level; at C{--v} and C{--vv} every line carries time and level. Warnings
and errors always do, and go to stderr.
"""

from __future__ import annotations

import enum
import os
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import click

from kongtx.conf import ConfigurationError


class Level(enum.IntEnum):
    """How much is said; a higher level is more urgent."""

    DEBUG = 1
    VERBOSE = 2
    INFO = 3
    WARN = 4
    ERROR = 5
    QUIET = 6


_COLOURS = {Level.WARN: "yellow", Level.ERROR: "red"}


class Output:
    """Prints lines of at least some level.

    @ivar level: the least urgent level that is printed.
    """

    def __init__(self, level: Level = Level.INFO) -> None:
        self.level = level

    def debug(self, message: str) -> None:
        """Say something that helps to find mistakes in kongtx."""
        self._say(Level.DEBUG, message)

    def verbose(self, message: str) -> None:
        """Say what is being done."""
        self._say(Level.VERBOSE, message)

    def info(self, message: str) -> None:
        """Say what was done."""
        self._say(Level.INFO, message)

    def warn(self, message: str) -> None:
        """Say what may be a mistake of the administrator."""
        self._say(Level.WARN, message)

    def error(self, message: str) -> None:
        """Say what is wrong."""
        self._say(Level.ERROR, message)

    def _say(self, level: Level, message: str) -> None:
        if level < self.level:
            return
        is_urgent = level >= Level.WARN
        if is_urgent or self.level < Level.INFO:
            name = click.style(level.name.lower(), fg=_COLOURS.get(level))
            message = f"{time.strftime('%Y/%m/%d %H:%M:%S')} [{name}] {message}"
        click.echo(message, err=is_urgent)

    def failure(self, error: BaseException) -> None:
        """Say why a command failed: its message, or at C{--v} and C{--vv} where it came from."""
        title = click.style("Error:", fg="red")
        if self.level < Level.INFO:
            click.echo(f"{title}\n{''.join(traceback.format_exception(error))}", err=True)
            return
        click.echo(f"{title} {describe(error)}", err=True)
        click.echo("\n  Run with --v (verbose) or --vv (debug) for more details", err=True)


@contextmanager
def show_log(output: Output) -> Iterator[None]:
    """Show the runtime's log events of this process, which later go to the node's log."""
    # Twisted is imported by then; commands that log nothing do without it.
    from twisted.logger import (  # noqa: PLC0415
        ILogObserver,
        LogEvent,
        formatEvent,
        globalLogPublisher,
    )
    from zope.interface import implementer  # noqa: PLC0415

    pid = os.getpid()

    @implementer(ILogObserver)
    def observe(event: LogEvent) -> None:
        if os.getpid() == pid and event["log_namespace"].startswith("kongtx.runtime.prefix"):
            say = {"info": output.info, "warn": output.warn}.get(event["log_level"].name)
            if say is not None:
                say(formatEvent(event))

    globalLogPublisher.addObserver(observe)
    try:
        yield
    finally:
        globalLogPublisher.removeObserver(observe)


def describe(error: BaseException) -> str:
    """An exception in a sentence."""
    if isinstance(error, ConfigurationError):
        return "\n".join(map(str, error.problems))
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    return str(error) or type(error).__name__
