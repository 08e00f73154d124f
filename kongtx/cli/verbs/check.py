"""C{kongtx check}. Kong: kong/cmd/check.lua."""

from __future__ import annotations

import os

import click

from kongtx.cli.options import Command, pass_output
from kongtx.cli.output import Output
from kongtx.conf import ConfigurationError, load
from kongtx.conf.loader import SEARCH_PATHS


@click.command("check", cls=Command)
@click.argument("conf", required=False, type=click.Path(), metavar="[FILE]")
@click.pass_context
@pass_output
def command(output: Output, context: click.Context, conf: str | None) -> None:
    """Check a configuration file, together with the environment.

    Without FILE the one that start would read is checked.
    """
    path = conf or next(filter(os.path.exists, SEARCH_PATHS), SEARCH_PATHS[0])
    try:
        configuration = load(path, strict=False)
        configuration.require_supported()
    except ConfigurationError as error:
        for warning in error.warnings:
            output.warn(warning)
        for problem in error.problems:
            output.error(str(problem))
        context.exit(1)
    for warning in configuration.warnings:
        output.warn(warning)
    output.info(f"configuration at {path} is valid")
