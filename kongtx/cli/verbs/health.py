"""C{kongtx health}. Kong: kong/cmd/health.lua."""

from __future__ import annotations

import click

from kongtx.cli.errors import CommandError
from kongtx.cli.nodes import existing_prefix
from kongtx.cli.options import Command, pass_output, prefix_option
from kongtx.cli.output import Output
from kongtx.cli.process import find_process
from kongtx.conf import NoFileError, effective


@click.command("health", cls=Command)
@prefix_option
@pass_output
def command(output: Output, prefix: str | None) -> None:
    """Tell whether a node runs; exits with 1 when it does not."""
    path = existing_prefix(prefix)
    try:
        running = effective.read(path)
    except NoFileError:
        raise CommandError(f"kongtx is not running at {path}") from None
    is_running = find_process(running.pid_file) is not None
    output.info("kongtx".ljust(12, ".") + ("running" if is_running else "not running"))
    output.info("")
    if not is_running:
        raise CommandError(f"kongtx is not running at {path}")
    output.info(f"kongtx is healthy at {path}")
