"""C{kongtx password}: the hash of a password, to give to the Admin API in its place."""

from __future__ import annotations

import sys

import click

from kongtx.cli.errors import CommandError
from kongtx.cli.options import Command
from kongtx.lib import passwords


@click.command("password", cls=Command)
@click.option(
    "--rounds",
    type=click.IntRange(1000, 10_000_000),
    default=passwords.ROUNDS,
    show_default=True,
    help="More take longer, for whoever guesses and for the gateway.",
)
def command(rounds: int) -> None:
    """Print the hash of a password that is asked for, or is a line of standard input.

    As the password of a credential for basic-auth it is kept as it is.
    """
    if sys.stdin.isatty():
        given: str = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    else:
        given = sys.stdin.readline().rstrip("\r\n")
    if not given:
        raise CommandError("there is no password on standard input")
    click.echo(passwords.make(given, rounds=rounds))
