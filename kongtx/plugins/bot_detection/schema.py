"""The configuration of bot-detection: clients allowed or refused by their User-Agent."""

from __future__ import annotations

from kongtx.schema import Field, Subschema, array, record, string
from kongtx.schema import typedefs as t


def _config() -> Field:
    return record(
        {
            "allow": array(string(is_regex=True), default=[]),
            "deny": array(string(is_regex=True), default=[]),
        }
    )


def subschema() -> Subschema:
    """What plugins named bot-detection put in place of the common fields."""
    return Subschema(
        {"consumer": t.no_consumer(), "protocols": t.protocols_http(), "config": _config()}
    )
