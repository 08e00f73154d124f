"""The table of properties: the one place where the configuration is described.

Parsing, checks, the typed L{kongtx.conf.Configuration}, the default file, the documentation and
the Admin API's C{GET /} all come from it. Names, types and defaults are those of Kong
(kong.conf.default, kong/conf_loader), apart from what kongtx has of its own.
"""

from types import MappingProxyType

from kongtx.conf.properties import (
    behaviour,
    cache_dns,
    datastore,
    general,
    http,
    hybrid,
    listeners,
    manager,
    tls,
)
from kongtx.conf.properties.model import Kind, Mark, Property, Section

SECTIONS: tuple[Section, ...] = (
    general.SECTION,
    hybrid.SECTION,
    listeners.SECTION,
    tls.SECTION,
    http.SECTION,
    datastore.SECTION,
    cache_dns.CACHE,
    cache_dns.DNS,
    behaviour.VAULTS,
    behaviour.TUNING,
    behaviour.MISCELLANEOUS,
    manager.MANAGER,
    manager.WASM,
)

#: Every property by its name, in the order of the sections.
PROPERTIES: MappingProxyType[str, Property] = MappingProxyType(
    {property_.name: property_ for section in SECTIONS for property_ in section.properties}
)

#: The properties that take the value of another one when they have none.
COPIES = frozenset(name for property_ in PROPERTIES.values() for name in property_.copied_to)

#: What names outside the table may begin with and still be kept, as text.
DYNAMIC_PREFIXES = (
    *(
        f"nginx_{block}_"
        for block in (
            "main",
            "events",
            "http",
            "upstream",
            "proxy",
            "location",
            "status",
            "admin",
            "stream",
            "supstream",
            "sproxy",
            "wasm_wasmtime",
            "wasm_v8",
            "wasm_wasmer",
            "wasm_shm_kv",
            "wasm",
        )
    ),
    "pluginserver_",
    "vault_",
)

#: What the name of a property outside the table has when its value is secret.
SECRET_WORDS = ("token", "secret", "password", "key")


def is_secret(name: str) -> bool:
    """Whether the value of a property is never shown."""
    if name in PROPERTIES:
        return PROPERTIES[name].sensitive
    return name.startswith("vault_") and any(word in name for word in SECRET_WORDS)


__all__ = [
    "COPIES",
    "DYNAMIC_PREFIXES",
    "PROPERTIES",
    "SECRET_WORDS",
    "SECTIONS",
    "Kind",
    "Mark",
    "Property",
    "Section",
    "is_secret",
]
