"""The configuration of file-log: a line a request in a file."""

from __future__ import annotations

from kongtx.plugins.typedefs import custom_fields_by_lua
from kongtx.schema import Field, Subschema, boolean, record, string
from kongtx.schema import typedefs as t


def _config() -> Field:
    return record(
        {
            "path": string(required=True, match="^[^*&%%\\`]+$", err="not a valid filename"),
            "reopen": boolean(required=True, default=False),
            "custom_fields_by_lua": custom_fields_by_lua(),
        }
    )


def subschema() -> Subschema:
    """What plugins named file-log put in place of the common fields."""
    return Subschema({"protocols": t.protocols(), "config": _config()})
