"""The schemas that a configuration makes: core entities, and those of the loaded plugins."""

from __future__ import annotations

from collections.abc import Mapping

from kongtx.conf import Configuration
from kongtx.conf.bundled import PLUGINS
from kongtx.entities import EntityOptions, core_registry
from kongtx.plugins import schemas
from kongtx.plugins.interfaces import IPlugin
from kongtx.router import validate_route
from kongtx.router.regexes import validate_path_regex
from kongtx.schema import SchemaRegistry


def entity_options(conf: Configuration) -> EntityOptions:
    """What the core schemas depend on, with the router's own checks."""
    flavor = conf.router_flavor
    return EntityOptions(
        router_flavor=flavor,
        vaults=tuple(sorted(conf.loaded_vaults)),
        check_regex=lambda pattern: validate_path_regex(f"~{pattern}"),
        check_expression=lambda route: validate_route(flavor, route),
    )


def make_registry(conf: Configuration, plugins: Mapping[str, IPlugin]) -> SchemaRegistry:
    """All schemas of a node.

    @param plugins: the loaded plugins by name.
    """
    registry = core_registry(entity_options(conf))
    dbless = conf.database == "off"
    for name, plugin in plugins.items():
        bundled = name in PLUGINS
        subschema = schemas.subschema(name, dbless=dbless) if bundled else plugin.subschema
        registry.register_plugin(name, subschema, plugin.entities)
    return registry
