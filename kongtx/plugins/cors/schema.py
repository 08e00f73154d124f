"""The configuration of cors: cross-origin requests of browsers."""

from __future__ import annotations

from kongtx.schema import Field, Subschema, array, boolean, number, record, string
from kongtx.schema import typedefs as t
from kongtx.schema.formats import check_regex


def _check_origin(value: str) -> str | None:
    if value == "*" or check_regex(value) is None:
        return None
    return f"'{value}' is not a valid regex"


def _config() -> Field:
    return record(
        {
            "origins": array(string(custom_validator=_check_origin)),
            "headers": array(string()),
            "exposed_headers": array(string()),
            "methods": array(
                string(
                    one_of=[
                        "GET",
                        "HEAD",
                        "PUT",
                        "PATCH",
                        "POST",
                        "DELETE",
                        "OPTIONS",
                        "TRACE",
                        "CONNECT",
                    ]
                ),
                default=[
                    "GET",
                    "HEAD",
                    "PUT",
                    "PATCH",
                    "POST",
                    "DELETE",
                    "OPTIONS",
                    "TRACE",
                    "CONNECT",
                ],
            ),
            "max_age": number(),
            "credentials": boolean(required=True, default=False),
            "private_network": boolean(required=True, default=False),
            "preflight_continue": boolean(required=True, default=False),
        }
    )


def subschema() -> Subschema:
    """What plugins named cors put in place of the common fields."""
    return Subschema(
        {"consumer": t.no_consumer(), "protocols": t.protocols_http(), "config": _config()}
    )
