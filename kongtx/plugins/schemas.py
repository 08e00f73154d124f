"""The configuration schemas of the bundled plugins, without the plugins themselves.

For what reads or checks configuration and runs no plugin: C{kongtx config parse}, documents.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module

from kongtx.conf.bundled import PLUGINS
from kongtx.entities import EntityOptions, core_registry
from kongtx.entities.credentials import PLUGIN_ENTITIES
from kongtx.schema import SchemaRegistry, Subschema

#: Names of Kong's plugins; of those that kongtx does not have, the configuration is known.
BUNDLED = (
    *("acl", "acme", "azure-functions", "basic-auth", "bot-detection", "correlation-id", "cors"),
    *("datadog", "file-log", "grpc-gateway", "grpc-web", "hmac-auth", "http-log"),
    *("ip-restriction", "jwt", "key-auth", "ldap-auth", "loggly", "oauth2", "opentelemetry"),
    *("post-function", "pre-function", "prometheus", "proxy-cache", "rate-limiting", "redirect"),
    *("request-size-limiting", "request-termination", "request-transformer"),
    *("response-ratelimiting", "response-transformer", "session", "standard-webhooks", "statsd"),
    *("syslog", "tcp-log", "udp-log", "zipkin"),
)
#: Plugins that come with kongtx and not with Kong Gateway's open-source edition.
OWN = ("mtls-auth", "tls-handshake-modifier", "tls-metadata-headers")
_DATABASE_MATTERS = frozenset(("acme", "rate-limiting", "response-ratelimiting"))


def subschema(name: str, *, dbless: bool = False) -> Subschema:
    """The configuration schema of a bundled plugin.

    @param name: one of C{BUNDLED}.
    @param dbless: whether there is no database; some settings need one.
    """
    package = name.replace("-", "_")
    module = import_module(
        f"kongtx.plugins.{package}.schema"
        if name in PLUGINS
        else f"kongtx.plugins.absent.{package}"
    )
    made: Subschema = (
        module.subschema(dbless=dbless) if name in _DATABASE_MATTERS else module.subschema()
    )
    return made


def register(
    registry: SchemaRegistry, names: Iterable[str] = (*BUNDLED, *OWN), *, dbless: bool = False
) -> SchemaRegistry:
    """Add bundled plugins' schemas and entities to a registry, and return it."""
    for name in names:
        entities = PLUGIN_ENTITIES[name]() if name in PLUGIN_ENTITIES else ()
        registry.register_plugin(name, subschema(name, dbless=dbless), entities)
    return registry


def full_registry(
    options: EntityOptions | None = None,
    names: Iterable[str] = (*BUNDLED, *OWN),
    *,
    dbless: bool = False,
) -> SchemaRegistry:
    """A new registry of all core entities and of bundled plugins."""
    return register(core_registry(options), names, dbless=dbless)
