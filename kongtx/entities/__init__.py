"""The core entities: what can be configured, one module each."""

from __future__ import annotations

from kongtx.entities import (
    certificates,
    consumers,
    filter_chains,
    internal,
    keys,
    plugins,
    routes,
    services,
    targets,
    upstreams,
    vaults,
)
from kongtx.entities.options import EntityOptions
from kongtx.schema import SchemaRegistry

#: The core entities in Kong's order of loading.
CORE = (
    *("workspaces", "consumers", "certificates", "services", "routes", "snis", "upstreams"),
    *("targets", "plugins", "tags", "ca_certificates", "clustering_data_planes", "parameters"),
    *("vaults", "key_sets", "keys", "filter_chains"),
)
#: The id of the only workspace where no database says otherwise.
DEFAULT_WORKSPACE = "0dc6f45b-8f8d-40d2-a504-473544ee190b"


def core_registry(options: EntityOptions | None = None) -> SchemaRegistry:
    """A new registry with all core entities and no plugin.

    @param options: router flavor, vaults and the router's validators; the defaults accept any
        expression that the router might refuse.
    """
    options = options or EntityOptions()
    return SchemaRegistry(
        [
            internal.workspaces(CORE),
            consumers.schema(),
            certificates.certificates(),
            services.schema(),
            routes.schema(options),
            certificates.snis(),
            upstreams.schema(),
            targets.schema(),
            plugins.schema(),
            internal.tags(),
            certificates.ca_certificates(options),
            internal.clustering_data_planes(),
            internal.parameters(),
            vaults.schema(options),
            keys.key_sets(),
            keys.keys(),
            filter_chains.schema(),
        ]
    )


__all__ = ["CORE", "DEFAULT_WORKSPACE", "EntityOptions", "core_registry"]
