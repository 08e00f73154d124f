"""The configuration of udp-log: log entries sent over UDP."""

from __future__ import annotations

from kongtx.plugins.typedefs import custom_fields_by_lua
from kongtx.schema import Field, Subschema, number, record
from kongtx.schema import typedefs as t


def _config() -> Field:
    return record(
        {
            "host": t.host(required=True),
            "port": t.port(required=True),
            "timeout": number(default=10000),
            "custom_fields_by_lua": custom_fields_by_lua(),
        }
    )


def subschema() -> Subschema:
    """What plugins named udp-log put in place of the common fields."""
    return Subschema({"protocols": t.protocols(), "config": _config()})
