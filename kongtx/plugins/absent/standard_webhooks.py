"""The configuration of standard-webhooks: webhooks whose signature is checked."""

from __future__ import annotations

from kongtx.schema import Field, Subschema, integer, record, string
from kongtx.schema import typedefs as t


def _config() -> Field:
    return record(
        {
            "secret_v1": string(required=True, referenceable=True, encrypted=True),
            "tolerance_second": integer(required=True, default=300, gt=-1),
        }
    )


def subschema() -> Subschema:
    """What plugins named standard-webhooks put in place of the common fields."""
    return Subschema(
        {"consumer": t.no_consumer(), "protocols": t.protocols_http(), "config": _config()}
    )
