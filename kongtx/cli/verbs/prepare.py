"""C{kongtx prepare}. Kong: kong/cmd/prepare.lua."""

from __future__ import annotations

import os

import click

from kongtx.cli.errors import CommandError
from kongtx.cli.nodes import configuration
from kongtx.cli.options import (
    Command,
    conf_option,
    nginx_options,
    pass_output,
    prefix_option,
)
from kongtx.cli.output import Output, show_log
from kongtx.cli.process import find_process


@click.command("prepare", cls=Command)
@conf_option
@prefix_option
@nginx_options
@pass_output
def command(output: Output, conf: str | None, prefix: str | None) -> None:
    """Make the prefix directory ready, without starting the node."""
    prepared = configuration(output, conf, prefix)
    prepared.require_supported()
    if find_process(prepared.pid_file) is not None:
        raise CommandError(f"kongtx is already running in {prepared.prefix}")
    from kongtx.runtime.prefix import prepare  # noqa: PLC0415 - see start
    from kongtx.runtime.privileges import find_user  # noqa: PLC0415

    with show_log(output):
        prepare(prepared, find_user(prepared.nginx_user, os.geteuid() == 0))
