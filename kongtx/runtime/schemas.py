"""The schemas that a configuration makes: core entities, and those of the loaded plugins."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kongtx.conf import Configuration
from kongtx.entities import EntityOptions, core_registry
from kongtx.plugins import schemas
from kongtx.plugins.interfaces import IPlugin
from kongtx.router import build_router
from kongtx.router.errors import RouterError
from kongtx.router.regexes import validate_path_regex
from kongtx.schema import SchemaRegistry


def entity_options(conf: Configuration) -> EntityOptions:
    """What the core schemas depend on, with the router's own checks."""
    flavor = conf.router_flavor

    def check_route(route: Mapping[str, Any]) -> str | None:
        """Why the router cannot take a route; L{None} if it can."""
        try:
            build_router(flavor, [{"created_at": 0, **route, "service": None}], {})
        except RouterError as error:
            return str(error)
        return None

    return EntityOptions(
        router_flavor=flavor,
        vaults=tuple(sorted(conf.loaded_vaults)),
        check_regex=lambda pattern: validate_path_regex(f"~{pattern}"),
        check_expression=check_route,
    )


def make_registry(conf: Configuration, plugins: Mapping[str, IPlugin]) -> SchemaRegistry:
    """All schemas of a node.

    @param plugins: the loaded plugins by name.
    """
    registry = core_registry(entity_options(conf))
    dbless = conf.database == "off"
    for name, plugin in plugins.items():
        bundled = name in schemas.BUNDLED
        subschema = schemas.subschema(name, dbless=dbless) if bundled else plugin.subschema
        registry.register_plugin(name, subschema, plugin.entities)
    return registry
