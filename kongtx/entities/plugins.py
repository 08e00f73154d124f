"""Plugins: what is done to requests, where. C{config} is as the named plugin defines it."""

from __future__ import annotations

from kongtx.schema import Schema, abstract_record, boolean, foreign, string
from kongtx.schema import typedefs as t


def schema() -> Schema:
    """The schema of plugins, without any plugin yet."""
    return Schema(
        "plugins",
        {
            "id": t.uuid(),
            "name": string(required=True),
            "instance_name": t.utf8_name(),
            "created_at": t.auto_timestamp_s(),
            "updated_at": t.auto_timestamp_s(),
            "route": foreign("routes", default=None, on_delete="cascade"),
            "service": foreign("services", default=None, on_delete="cascade"),
            "consumer": foreign("consumers", default=None, on_delete="cascade"),
            "config": abstract_record(),
            "protocols": t.protocols(),
            "enabled": boolean(required=True, default=True),
            "tags": t.tags(),
        },
        endpoint_key="instance_name",
        cache_key=["name", "route", "service", "consumer"],
        workspaceable=True,
        subschema_key="name",
        subschema_error="plugin '%s' not enabled; add it to the 'plugins' configuration property",
    )
