"""Consumers: who uses the gateway."""

from __future__ import annotations

from kongtx.schema import Schema, at_least_one_of, string
from kongtx.schema import typedefs as t


def schema() -> Schema:
    """The schema of consumers."""
    return Schema(
        "consumers",
        {
            "id": t.uuid(len_min=1),
            "created_at": t.auto_timestamp_s(),
            "updated_at": t.auto_timestamp_s(),
            "username": string(unique=True),
            "custom_id": string(unique=True),
            "tags": t.tags(),
        },
        endpoint_key="username",
        workspaceable=True,
        entity_checks=[at_least_one_of("custom_id", "username")],
    )
