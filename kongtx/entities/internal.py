"""Entities that the gateway keeps for itself, and the virtual list of tags."""

from __future__ import annotations

from collections.abc import Sequence

from kongtx.schema import Schema, integer, map_of, number, record, set_of, string
from kongtx.schema import typedefs as t

_SYNC_STATUSES = (
    "unknown",
    "normal",
    "kong_version_incompatible",
    "plugin_set_incompatible",
    "plugin_version_incompatible",
    "filter_set_incompatible",
)


def workspaces(core: Sequence[str]) -> Schema:
    """The schema of workspaces, whose names may not be those of core entities."""
    return Schema(
        "workspaces",
        {
            "id": t.uuid(),
            "name": t.utf8_name(required=True, not_one_of=list(core)),
            "comment": string(),
            "created_at": t.auto_timestamp_s(),
            "updated_at": t.auto_timestamp_s(),
            "meta": record({}),
            "config": record({}),
        },
        endpoint_key="name",
        cache_key=["name"],
        generate_admin_api=False,
    )


def parameters() -> Schema:
    """The schema of the gateway's own values, such as the cluster's id."""
    return Schema(
        "parameters",
        {
            "created_at": t.auto_timestamp_s(),
            "key": string(required=True, unique=True),
            "value": string(required=True),
        },
        primary_key=["key"],
        endpoint_key="key",
        cache_key=["key"],
        generate_admin_api=False,
    )


def tags() -> Schema:
    """The schema of the answers of C{/tags}; no table has it."""
    return Schema(
        "tags",
        {
            "tag": t.tag(),
            "entity_name": string(required=True),
            "entity_id": t.uuid(required=True),
        },
        primary_key=["tag"],
        endpoint_key="tag",
        db_export=False,
    )


def clustering_data_planes() -> Schema:
    """The schema of the data planes that a control plane has seen."""
    return Schema(
        "clustering_data_planes",
        {
            "id": t.uuid(required=True),
            "last_seen": t.auto_timestamp_s(),
            "updated_at": t.auto_timestamp_s(),
            "ip": t.ip(required=True),
            "config_hash": string(len_eq=32),
            "hostname": t.host(required=True),
            "version": t.semantic_version(),
            "sync_status": string(required=True, one_of=list(_SYNC_STATUSES), default="unknown"),
            "labels": map_of(string(), string()),
            "cert_details": record({"expiry_timestamp": number(timestamp=True, required=False)}),
            "rpc_capabilities": set_of(string()),
        },
        ttl=True,
        db_export=False,
        generate_admin_api=False,
        admin_path="clustering/data-planes",
    )


def ratelimiting_metrics() -> Schema:
    """The schema of rate-limiting's counters in a database."""
    return _metrics("ratelimiting_metrics")


def response_ratelimiting_metrics() -> Schema:
    """The schema of response-ratelimiting's counters in a database."""
    return _metrics("response_ratelimiting_metrics")


def _metrics(name: str) -> Schema:
    return Schema(
        name,
        {
            "identifier": string(required=True, len_min=0),
            "period": string(required=True),
            "period_date": integer(timestamp=True, required=True),
            "service_id": string(uuid=True, required=True),
            "route_id": string(uuid=True, required=True),
            "value": integer(required=True),
        },
        primary_key=["identifier", "period", "period_date", "service_id", "route_id"],
        ttl=True,
        db_export=False,
        generate_admin_api=False,
    )
