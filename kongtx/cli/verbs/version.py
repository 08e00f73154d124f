"""C{kongtx version}. Kong: kong/cmd/version.lua."""

from __future__ import annotations

import click

from kongtx import KONG_VERSION, __version__
from kongtx.cli.options import Command
from kongtx.cli.versions import versions


@click.command("version", cls=Command)
@click.option("-a", "--all", "shows_all", is_flag=True, help="Versions of what is used, too.")
def command(shows_all: bool) -> None:
    """Print the version of kongtx, and of Kong whose contract it keeps."""
    if not shows_all:
        click.echo(f"{__version__} (Kong {KONG_VERSION})")
        return
    for name, text in versions().items():
        click.echo(f"{name}: {text}")
