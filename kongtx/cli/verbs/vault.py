"""C{kongtx vault}. Kong: kong/cmd/vault.lua."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import click

from kongtx.cli.errors import CommandError
from kongtx.cli.nodes import effective_configuration
from kongtx.cli.options import Group, conf_option, pass_output, prefix_option
from kongtx.cli.output import Output
from kongtx.conf import Configuration
from kongtx.conf.vault import (
    EnvVault,
    IVault,
    is_reference,
    parse_reference,
    resolve,
    settings_of,
)


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
    form env/pg-password. The vault may also be an entity of the node's database, by its prefix.
    """
    if reference is None:
        raise CommandError(
            "the 'get' command needs a <reference> argument\nkongtx vault get <reference>"
        )
    configuration = effective_configuration(output, conf, prefix)
    vaults: dict[str, IVault] = (
        {"env": EnvVault(os.environ)} if "env" in configuration.loaded_vaults else {}
    )
    settings = {"env": settings_of("env", configuration.vault_properties)}
    full = reference if is_reference(reference) else f"{{vault://{reference}}}"
    name = parse_reference(full).vault
    if name not in vaults:
        row = _entity(configuration, name)
        if row is not None and row["name"] in vaults:
            vaults[name] = vaults[row["name"]]
            given = ((key, value) for key, value in row["config"].items() if value is not None)
            settings[name] = {key: str(value) for key, value in given}
    click.echo(resolve(full, vaults, settings))


def _entity(configuration: Configuration, name: str) -> Mapping[str, Any] | None:
    """The vault entity with a prefix, in the database of a node that has run here.

    @raise CommandError: the database cannot be read.
    """
    if not os.path.exists(configuration.environment_file):
        return None
    # Most references need none of this, and it takes a while to import.
    from kongtx.cli import database  # noqa: PLC0415
    from kongtx.cli.declarative import registry  # noqa: PLC0415
    from kongtx.db.errors import StoreError  # noqa: PLC0415

    async def work(reactor: Any) -> Mapping[str, Any] | None:
        known = registry(configuration)
        async with database.opened(configuration, known, reactor) as store:
            row: Mapping[str, Any] | None = await store["vaults"].select_by("prefix", name)
            return row

    try:
        return database.run(work)
    except StoreError as error:
        raise CommandError(f"the vault entities cannot be read: {error.message}") from error
