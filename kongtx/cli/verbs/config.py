"""C{kongtx config}. Kong: kong/cmd/config.lua."""

from __future__ import annotations

import os
from importlib.resources import files
from typing import Any

import click

from kongtx.cli.declarative import read_file, registry
from kongtx.cli.errors import CommandError
from kongtx.cli.nodes import effective_configuration
from kongtx.cli.options import Group, conf_option, pass_output, prefix_option
from kongtx.cli.output import Output
from kongtx.conf import Configuration
from kongtx.conf.render import default_file

IMPORT_WITHOUT_DATABASE = (
    "\nWhen using database=off, reload your declarative configuration\nusing the /config endpoint."
)


@click.group("config", cls=Group)
def command() -> None:
    """Work with configuration files: the node's, and declarative ones."""


@command.command("init")
@click.argument("file", type=click.Path(), default="kong.yml")
def init(file: str) -> None:
    """Write an example to FILE, or to kong.yml in the current directory."""
    path = os.path.abspath(file)
    text = files("kongtx.cli").joinpath("example.yml").read_text(encoding="utf-8")
    try:
        with open(path, "x", encoding="utf-8") as stream:
            stream.write(text)
    except FileExistsError:
        raise CommandError(f"{path} already exists.\nWill not overwrite it.") from None


@command.command("defaults")
def defaults() -> None:
    """Print a configuration file with every property, its default and what it does."""
    click.echo(default_file(), nl=False)


@command.command("parse")
@click.argument("file", type=click.Path(), required=False)
@conf_option
@prefix_option
@pass_output
def parse(output: Output, file: str | None, conf: str | None, prefix: str | None) -> None:
    """Check FILE (.json, .yml or .yaml) without loading it."""
    if file is None:
        raise CommandError("expected a declarative configuration file; see `kongtx config --help`")
    configuration = effective_configuration(output, conf, prefix)
    read_file(output, file, registry(configuration))
    output.info("parse successful")


@command.command("db_import")
@click.argument("file", type=click.Path(), required=False)
@conf_option
@prefix_option
@pass_output
def db_import(output: Output, file: str | None, conf: str | None, prefix: str | None) -> None:
    """Put the entities of FILE into the database; others stay as they are."""
    if file is None:
        raise CommandError("expected a declarative configuration file; see `kongtx config --help`")
    configuration = _with_database(output, conf, prefix, "db_import", IMPORT_WITHOUT_DATABASE)
    known = registry(configuration)
    declared = read_file(output, file, known)
    # They take a while to import, and other commands do without them.
    from kongtx.cli import database  # noqa: PLC0415
    from kongtx.db.declarative import transformed  # noqa: PLC0415
    from kongtx.db.errors import StoreError  # noqa: PLC0415
    from kongtx.lib import ids  # noqa: PLC0415
    from kongtx.runtime.node.cluster import announce_changes  # noqa: PLC0415

    async def work(reactor: Any) -> None:
        async with database.opened(configuration, known, reactor) as store:
            output.info("parse successful, beginning import")
            # Nodes that run are told, as if another node had written.
            announce_changes(store, configuration, ids.uuid4())
            try:
                await store.restore(transformed(declared, known))
            except StoreError as error:
                raise CommandError(f"Failed importing:\n{error}") from error
            output.info("import successful")

    database.run(work)


@command.command("db_export")
@click.argument("file", type=click.Path(), default="kong.yml")
@conf_option
@prefix_option
@pass_output
def db_export(output: Output, file: str, conf: str | None, prefix: str | None) -> None:
    """Write everything in the database to FILE, or to kong.yml in the current directory."""
    configuration = _with_database(output, conf, prefix, "db_export")
    path = os.path.abspath(file)
    if os.path.exists(path):
        raise CommandError(f"{path} already exists. Will not overwrite it.")
    from kongtx.cli import database  # noqa: PLC0415
    from kongtx.db.declarative import exported_entities, yaml_chunks  # noqa: PLC0415

    known = registry(configuration)

    async def work(reactor: Any) -> None:
        async with database.opened(configuration, known, reactor) as store:
            rows = [
                (name, row)
                for name in exported_entities(known)
                async for row in store[name].each_stored()
            ]
        # Private keys and passwords are in it.
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "w", encoding="utf-8") as stream:
            stream.writelines(yaml_chunks(rows, known))

    database.run(work)


def _with_database(
    output: Output, conf: str | None, prefix: str | None, verb: str, hint: str = ""
) -> Configuration:
    configuration = effective_configuration(output, conf, prefix)
    if configuration.database == "off":
        raise CommandError(f"'kongtx config {verb}' only works with a database.{hint}")
    return configuration
