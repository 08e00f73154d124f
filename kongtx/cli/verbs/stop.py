"""C{kongtx stop}. Kong: kong/cmd/stop.lua."""

from __future__ import annotations

import signal

import click

from kongtx.cli.nodes import process_of, running_configuration
from kongtx.cli.options import Command, pass_output, prefix_option
from kongtx.cli.output import Output


@click.command("stop", cls=Command)
@prefix_option
@pass_output
def command(output: Output, prefix: str | None) -> None:
    """Stop a node at once (SIGTERM); requests under way are cut off."""
    process_of(running_configuration(prefix).prefix).send(signal.SIGTERM)
    output.info("kongtx stopped")
