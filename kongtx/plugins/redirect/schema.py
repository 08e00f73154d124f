"""The configuration of redirect: requests answered with another place to go."""

from __future__ import annotations

from kongtx.schema import Field, Subschema, boolean, integer, record
from kongtx.schema import typedefs as t


def _config() -> Field:
    return record(
        {
            "status_code": integer(required=True, default=301, between=[100, 599]),
            "location": t.url(required=True),
            "keep_incoming_path": boolean(default=False),
        }
    )


def subschema() -> Subschema:
    """What plugins named redirect put in place of the common fields."""
    return Subschema({"protocols": t.protocols_http(), "config": _config()})
