"""The configuration of grpc-web: gRPC-Web calls of browsers turned into gRPC calls."""

from __future__ import annotations

from kongtx.schema import Field, Subschema, boolean, record, string
from kongtx.schema import typedefs as t


def _config() -> Field:
    return record(
        {
            "proto": string(required=False),
            "pass_stripped_path": boolean(required=False),
            "allow_origin_header": string(required=False, default="*"),
        }
    )


def subschema() -> Subschema:
    """What plugins named grpc-web put in place of the common fields."""
    return Subschema({"protocols": t.protocols(), "config": _config()})
