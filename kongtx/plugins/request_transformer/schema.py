"""The configuration of request-transformer: requests changed on their way to the upstream."""

from __future__ import annotations

from typing import Any

from kongtx.plugins.request_transformer.template import TemplateError, compile_template
from kongtx.plugins.typedefs import check_header, check_renamed_header
from kongtx.schema import Field, Subschema, array, record, string
from kongtx.schema import typedefs as t


def _check_value(pair: str) -> str | None:
    name, _, value = pair.partition(":")
    value = value.lstrip(":")
    return _check_template(value) if value else f"key '{name}' has no value"


def _check_template(value: str) -> str | None:
    try:
        compile_template(value)
    except TemplateError as error:
        return f"value '{value}' is not in supported format, error:{error}"
    return None


def _check_header(pair: str) -> str | None:
    return check_header(pair) or _check_template(pair.partition(":")[2].lstrip(":"))


def _array(check: Any = None, **more: Any) -> Field:
    if check is not None:
        more["custom_validator"] = check
    return array(string(**more), required=True, default=[])


def _config() -> Field:
    return record(
        {
            "http_method": t.http_method(),
            "remove": record(
                {"body": _array(), "headers": _array(check_header), "querystring": _array()}
            ),
            "rename": record(
                {
                    "body": _array(_check_value),
                    "headers": _array(check_renamed_header, match="^[^:]+:.*$"),
                    "querystring": _array(_check_value),
                }
            ),
            "replace": record(
                {
                    "body": _array(_check_value),
                    "headers": _array(_check_header, match="^[^:]+:.*$"),
                    "querystring": _array(_check_value),
                    "uri": string(custom_validator=_check_template),
                }
            ),
            "add": record(
                {
                    "body": _array(_check_value),
                    "headers": _array(_check_header, match="^[^:]+:.*$"),
                    "querystring": _array(_check_value),
                }
            ),
            "append": record(
                {
                    "body": _array(_check_value),
                    "headers": _array(_check_header, match="^[^:]+:.*$"),
                    "querystring": _array(_check_value),
                }
            ),
        }
    )


def subschema() -> Subschema:
    """What plugins named request-transformer put in place of the common fields."""
    return Subschema({"protocols": t.protocols(), "config": _config()})
