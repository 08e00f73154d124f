"""C{kongtx vault}. Kong: kong/cmd/vault.lua."""

from __future__ import annotations

import os

import click

from kongtx.cli.errors import CommandError
from kongtx.cli.nodes import effective_configuration
from kongtx.cli.options import Group, conf_option, pass_output, prefix_option
from kongtx.cli.output import Output
from kongtx.conf.vault import EnvVault, is_reference, resolve, settings_of


@click.group("vault", cls=Group)
def command() -> None:
    """Look into the vaults that secrets are kept in."""


@command.command("get")
@click.argument("reference", required=False)
@conf_option
@prefix_option
@pass_output
def get(output: Output, reference: str | None, conf: str | None, prefix: str | None) -> None:
    """Print the secret that REFERENCE stands for.

    REFERENCE is what a property would have, such as {vault://env/pg-password}, or its short
    form env/pg-password.
    """
    if reference is None:
        raise CommandError(
            "the 'get' command needs a <reference> argument\nkongtx vault get <reference>"
        )
    configuration = effective_configuration(output, conf, prefix)
    vaults = {"env": EnvVault(os.environ)} if "env" in configuration.loaded_vaults else {}
    settings = {"env": settings_of("env", configuration.vault_properties)}
    full = reference if is_reference(reference) else f"{{vault://{reference}}}"
    click.echo(resolve(full, vaults, settings))
