"""Declarative files, and the schemas that say what they may hold."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING

import click

from kongtx.cli.errors import CommandError
from kongtx.cli.output import Output
from kongtx.conf import Configuration, bundled

if TYPE_CHECKING:
    from kongtx.db.declarative import Configuration as Declared
    from kongtx.schema import SchemaRegistry

#: How many entities make a configuration whose reading takes long enough to be watched.
LARGE = 10_000


def read_file(output: Output, path: str, known: SchemaRegistry) -> Declared:
    """The entities of a file, with its warnings told.

    @param path: its extension says how it is written.
    @param known: what L{registry} gives.
    @raise CommandError: it is not acceptable; with all that is wrong.
    @raise OSError: it cannot be read.
    """
    # They take a while to import, and most commands do without them.
    from kongtx.db.declarative import DeclarativeError, DeclarativeFormat  # noqa: PLC0415
    from kongtx.lib import ids  # noqa: PLC0415
    from kongtx.schema import Context  # noqa: PLC0415

    with open(path, "rb") as stream:
        text = stream.read()
    try:
        declared = DeclarativeFormat(known).parse_text(
            text,
            Context(now=time.time(), new_id=ids.uuid4, new_secret=ids.new_secret),
            filename=os.path.abspath(path),
            default_workspace=False,
            progress=show_progress if sys.stderr.isatty() else None,
        )
    except DeclarativeError as error:
        raise CommandError(f"Failed parsing:\n{error.tree()}") from error
    for warning in declared.warnings:
        output.warn(warning)
    return declared


def show_progress(done: int, total: int) -> None:
    """Tell on the terminal how far the reading of a large configuration is."""
    if total >= LARGE:
        click.echo(f"\r{done} of {total} entities", nl=done >= total, err=True)


def registry(configuration: Configuration) -> SchemaRegistry:
    """The schemas of all entities and plugins that a node of this configuration knows."""
    from kongtx.plugins import discovery, schemas  # noqa: PLC0415 - as above
    from kongtx.runtime.node.schemas import entity_options  # noqa: PLC0415

    options = entity_options(configuration)
    wanted = configuration.loaded_plugins
    ours = [name for name in bundled.PLUGINS if name in wanted]
    known = schemas.full_registry(options, ours, dbless=configuration.database == "off")
    for plugin in discovery.load(sorted(wanted.difference(ours))).values():
        known.register_plugin(plugin.name, plugin.subschema, plugin.entities)
    return known
