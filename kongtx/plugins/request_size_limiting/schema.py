"""The configuration of request-size-limiting: request bodies no larger than allowed."""

from __future__ import annotations

from kongtx.schema import Field, Subschema, boolean, integer, record, string
from kongtx.schema import typedefs as t


def _config() -> Field:
    return record(
        {
            "allowed_payload_size": integer(default=128),
            "size_unit": string(
                required=True, default="megabytes", one_of=["megabytes", "kilobytes", "bytes"]
            ),
            "require_content_length": boolean(required=True, default=False),
        }
    )


def subschema() -> Subschema:
    """What plugins named request-size-limiting put in place of the common fields."""
    return Subschema({"protocols": t.protocols_http(), "config": _config()})
