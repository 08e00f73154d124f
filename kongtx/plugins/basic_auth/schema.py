"""The configuration of basic-auth: a client shows a name and a password."""

from __future__ import annotations

from kongtx.schema import Field, Subschema, boolean, record, string
from kongtx.schema import typedefs as t


def _config() -> Field:
    return record(
        {
            "anonymous": string(),
            "hide_credentials": boolean(required=True, default=False),
            "realm": string(required=True, default="service"),
        }
    )


def subschema() -> Subschema:
    """What plugins named basic-auth put in place of the common fields."""
    return Subschema(
        {"consumer": t.no_consumer(), "protocols": t.protocols_http(), "config": _config()}
    )
