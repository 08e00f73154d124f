"""The configuration of correlation-id: an identifier that follows a request through all systems."""

from __future__ import annotations

from kongtx.schema import Field, Subschema, boolean, record, string
from kongtx.schema import typedefs as t


def _config() -> Field:
    return record(
        {
            "header_name": string(default="Kong-Request-ID"),
            "generator": string(
                required=True, default="uuid#counter", one_of=["uuid", "uuid#counter", "tracker"]
            ),
            "echo_downstream": boolean(required=True, default=False),
        }
    )


def subschema() -> Subschema:
    """What plugins named correlation-id put in place of the common fields."""
    return Subschema({"protocols": t.protocols_http(), "config": _config()})
