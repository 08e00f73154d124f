"""The configuration of request-termination: requests answered without any upstream."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kongtx.schema import Field, Subschema, boolean, integer, record, string
from kongtx.schema import typedefs as t


def _check_answer(config: Mapping[str, Any]) -> str | None:
    """A message, or a body with its type, or an echo."""
    raw = config.get("content_type") or config.get("body")
    if config.get("message") and raw:
        return "message cannot be used with content_type or body"
    if config.get("content_type") and not config.get("body"):
        return "content_type requires a body"
    return "echo cannot be used with content_type and body" if config.get("echo") and raw else None


def _config() -> Field:
    return record(
        {
            "status_code": integer(required=True, default=503, between=[100, 599]),
            "message": string(),
            "content_type": string(),
            "body": string(),
            "echo": boolean(required=True, default=False),
            "trigger": t.header_name(),
        },
        custom_validator=_check_answer,
    )


def subschema() -> Subschema:
    """What plugins named request-termination put in place of the common fields."""
    return Subschema({"protocols": t.protocols_http(), "config": _config()})
