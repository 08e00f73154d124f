"""The configuration of response-transformer: responses changed on their way to the client."""

from __future__ import annotations

from kongtx.plugins.typedefs import check_renamed_header
from kongtx.schema import Field, Subschema, array, record, string
from kongtx.schema import typedefs as t


def _config() -> Field:
    return record(
        {
            "remove": record(
                {
                    "json": array(string(), required=True, default=[]),
                    "headers": array(string(), required=True, default=[]),
                }
            ),
            "rename": record(
                {
                    "json": array(string(match="^[^:]+:.*$"), required=True, default=[]),
                    "headers": array(
                        string(match="^[^:]+:.*$", custom_validator=check_renamed_header),
                        required=True,
                        default=[],
                    ),
                }
            ),
            "replace": record(
                {
                    "json": array(string(match="^[^:]+:.*$"), required=True, default=[]),
                    "json_types": array(
                        string(one_of=["boolean", "number", "string"]), required=True, default=[]
                    ),
                    "headers": array(string(match="^[^:]+:.*$"), required=True, default=[]),
                }
            ),
            "add": record(
                {
                    "json": array(string(match="^[^:]+:.*$"), required=True, default=[]),
                    "json_types": array(
                        string(one_of=["boolean", "number", "string"]), required=True, default=[]
                    ),
                    "headers": array(string(match="^[^:]+:.*$"), required=True, default=[]),
                }
            ),
            "append": record(
                {
                    "json": array(string(match="^[^:]+:.*$"), required=True, default=[]),
                    "json_types": array(
                        string(one_of=["boolean", "number", "string"]), required=True, default=[]
                    ),
                    "headers": array(string(match="^[^:]+:.*$"), required=True, default=[]),
                }
            ),
        }
    )


def subschema() -> Subschema:
    """What plugins named response-transformer put in place of the common fields."""
    return Subschema({"protocols": t.protocols_http(), "config": _config()})
