"""C{kongtx reload}. Kong: kong/cmd/reload.lua."""

from __future__ import annotations

import signal

import click

from kongtx.cli.nodes import existing_prefix, process_of
from kongtx.cli.options import (
    Command,
    conf_option,
    nginx_options,
    pass_output,
    prefix_option,
)
from kongtx.cli.output import Output
from kongtx.conf import effective


@click.command("reload", cls=Command)
@conf_option
@prefix_option
@nginx_options
@pass_output
def command(output: Output, conf: str | None, prefix: str | None) -> None:
    """Make a node read its configuration again, without losing a request (SIGHUP).

    What FILE sets replaces what is in force; the rest stays.
    """
    path = existing_prefix(prefix, conf)
    process = process_of(path)
    if conf is not None:
        changed = effective.read(path, changes=conf, overrides={"prefix": path})
        for warning in changed.warnings:
            output.warn(warning)
        changed.require_supported()
        effective.write(changed)
    process.send(signal.SIGHUP)
    output.info("kongtx reloaded")
