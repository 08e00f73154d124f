"""Filter chains of proxy-wasm filters, which this gateway knows but does not run."""

from __future__ import annotations

from kongtx.schema import (
    Schema,
    array,
    at_least_one_of,
    boolean,
    custom_check,
    foreign,
    json_value,
    mutually_exclusive,
    record,
    string,
)
from kongtx.schema import typedefs as t

_FILTER_CONFIG = {
    "parent_subschema_key": "name",
    "namespace": "proxy-wasm-filters",
    "optional": True,
    "default": {
        "$schema": "http://json-schema.org/draft-04/schema#",
        "type": ["string", "null"],
    },
}


def schema() -> Schema:
    """The schema of filter chains; there are no filters, so none is acceptable."""
    filters = record(
        {
            "name": string(required=True, one_of=[], err="no such filter"),
            "enabled": boolean(default=True, required=True),
            "config": json_value(required=False, json_schema=_FILTER_CONFIG),
        }
    )
    return Schema(
        "filter_chains",
        {
            "id": t.uuid(),
            "name": t.utf8_name(),
            "enabled": boolean(required=True, default=True),
            "route": foreign("routes", on_delete="cascade", default=None, unique=True),
            "service": foreign("services", on_delete="cascade", default=None, unique=True),
            "filters": array(filters, required=True, len_min=1),
            "created_at": t.auto_timestamp_s(),
            "updated_at": t.auto_timestamp_s(),
            "tags": t.tags(),
        },
        endpoint_key="name",
        cache_key=["route", "service"],
        admin_path="filter-chains",
        workspaceable=True,
        entity_checks=[
            mutually_exclusive("service", "route"),
            at_least_one_of("service", "route"),
            custom_check(
                ["filters"],
                lambda entity: "wasm support is not enabled",
                run_with_invalid_fields=True,
            ),
        ],
    )
