"""The configuration of tcp-log: log entries sent over TCP."""

from __future__ import annotations

from kongtx.plugins.typedefs import custom_fields_by_lua
from kongtx.schema import Field, Subschema, boolean, number, record, string
from kongtx.schema import typedefs as t


def _config() -> Field:
    return record(
        {
            "host": t.host(required=True),
            "port": t.port(required=True),
            "timeout": number(default=10000),
            "keepalive": number(default=60000),
            "tls": boolean(required=True, default=False),
            "tls_sni": string(),
            "custom_fields_by_lua": custom_fields_by_lua(),
        }
    )


def subschema() -> Subschema:
    """What plugins named tcp-log put in place of the common fields."""
    return Subschema({"protocols": t.protocols(), "config": _config()})
