"""The configuration of ip-restriction: client addresses allowed or refused."""

from __future__ import annotations

from kongtx.schema import Field, Subschema, array, at_least_one_of, number, record, string
from kongtx.schema import typedefs as t


def _config() -> Field:
    return record(
        {
            "allow": array(t.ip_or_cidr()),
            "deny": array(t.ip_or_cidr()),
            "status": number(required=False),
            "message": string(required=False),
        }
    )


def subschema() -> Subschema:
    """What plugins named ip-restriction put in place of the common fields."""
    return Subschema(
        {
            "protocols": t.protocols(default=["http", "https", "tcp", "tls", "grpc", "grpcs"]),
            "config": _config(),
        },
        entity_checks=[at_least_one_of("config.allow", "config.deny")],
    )
