"""The configuration of http-log: log entries sent to an HTTP server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kongtx.plugins.typedefs import custom_fields_by_lua, old_queue_parameters, queue
from kongtx.schema import Field, Subschema, map_of, number, record, string
from kongtx.schema import typedefs as t


def _check_authorization(config: Mapping[str, Any]) -> str | None:
    """Credentials are in the URL or in a header, not in both."""
    headers = config.get("headers") or {}
    endpoint = config.get("http_endpoint")
    if not isinstance(endpoint, str) or not any(
        name.lower() == "authorization" for name in headers
    ):
        return None
    if "@" in endpoint.partition("//")[2].partition("/")[0]:
        return (
            "specifying both an 'Authorization' header and user info in 'http_endpoint' "
            "is not allowed"
        )
    return None


def _config() -> Field:
    return record(
        {
            "http_endpoint": t.url(required=True, referenceable=True, encrypted=True),
            "method": string(default="POST", one_of=["POST", "PUT", "PATCH"]),
            "content_type": string(
                default="application/json",
                one_of=["application/json", "application/json; charset=utf-8"],
            ),
            "timeout": number(default=10000),
            "keepalive": number(default=60000),
            **old_queue_parameters("http-log"),
            "headers": map_of(
                t.header_name(
                    match_none=[
                        {"err": "cannot contain 'Host' header", "pattern": "^[Hh][Oo][Ss][Tt]$"},
                        {
                            "err": "cannot contain 'Content-Length' header",
                            "pattern": "^[Cc][Oo][Nn][Tt][Ee][Nn][Tt]%-[Ll][Ee][nn][Gg][Tt][Hh]$",
                        },
                        {
                            "err": "cannot contain 'Content-Type' header",
                            "pattern": "^[Cc][Oo][Nn][Tt][Ee][Nn][Tt]%-[Tt][Yy][Pp][Ee]$",
                        },
                    ]
                ),
                string(referenceable=True),
            ),
            "queue": queue(),
            "custom_fields_by_lua": custom_fields_by_lua(),
        },
        custom_validator=_check_authorization,
    )


def subschema() -> Subschema:
    """What plugins named http-log put in place of the common fields."""
    return Subschema({"protocols": t.protocols(), "config": _config()})
