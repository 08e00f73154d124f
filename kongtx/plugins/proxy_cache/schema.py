"""The configuration of proxy-cache: responses kept and sent again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kongtx.schema import (
    Field,
    Subschema,
    array,
    boolean,
    custom_check,
    integer,
    record,
    string,
)
from kongtx.schema import typedefs as t


def _check_config(entity: Mapping[str, Any]) -> str | None:
    """Any dictionary will do: it is made when it is first used."""
    return None


def _config() -> Field:
    return record(
        {
            "response_code": array(
                integer(between=[100, 900]), required=True, default=[200, 301, 404], len_min=1
            ),
            "request_method": array(
                string(one_of=["HEAD", "GET", "POST", "PATCH", "PUT"]),
                required=True,
                default=["GET", "HEAD"],
            ),
            "content_type": array(
                string(), required=True, default=["text/plain", "application/json"]
            ),
            "cache_ttl": integer(default=300, gt=0),
            "strategy": string(required=True, one_of=["memory"]),
            "cache_control": boolean(required=True, default=False),
            "ignore_uri_case": boolean(required=False, default=False),
            "storage_ttl": integer(),
            "memory": record({"dictionary_name": string(required=True, default="kong_db_cache")}),
            "vary_query_params": array(string()),
            "vary_headers": array(string()),
            "response_headers": record(
                {
                    "age": boolean(default=True),
                    "X-Cache-Status": boolean(default=True),
                    "X-Cache-Key": boolean(default=True),
                }
            ),
        }
    )


def subschema() -> Subschema:
    """What plugins named proxy-cache put in place of the common fields."""
    return Subschema(
        {"protocols": t.protocols(), "config": _config()},
        entity_checks=[custom_check(["config"], _check_config)],
    )
