"""Targets: the addresses behind an upstream."""

from __future__ import annotations

from kongtx.schema import Schema, Transformation, foreign, integer, string
from kongtx.schema import typedefs as t
from kongtx.schema.formats import normalise_target, parse_address


def check_target(value: str) -> str | None:
    """A host name or address, with or without port."""
    if isinstance(parse_address(value), str):
        return f"Invalid target ('{value}'); not a valid hostname or ip address"
    return None


def _normalised(target: str) -> dict[str, str]:
    return {"target": normalise_target(target)}


def schema() -> Schema:
    """The schema of targets; on writes and reads the target gets its port and full form."""
    return Schema(
        "targets",
        {
            "id": t.uuid(),
            "created_at": t.auto_timestamp_ms(),
            "updated_at": t.auto_timestamp_ms(),
            "upstream": foreign("upstreams", required=True, on_delete="cascade"),
            "target": string(required=True, custom_validator=check_target),
            "weight": integer(default=100, between=[0, 65535]),
            "tags": t.tags(),
        },
        endpoint_key="target",
        cache_key=["upstream", "target"],
        workspaceable=True,
        transformations=[
            Transformation(inputs=("target",), on_write=_normalised, on_read=_normalised)
        ],
    )
