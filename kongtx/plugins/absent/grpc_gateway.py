"""The configuration of grpc-gateway: HTTP requests turned into gRPC calls."""

from __future__ import annotations

from kongtx.schema import Field, Subschema, record, string
from kongtx.schema import typedefs as t


def _config() -> Field:
    return record({"proto": string(required=False)})


def subschema() -> Subschema:
    """What plugins named grpc-gateway put in place of the common fields."""
    return Subschema({"protocols": t.protocols(), "config": _config()})
