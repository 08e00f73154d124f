"""The configuration of acl: groups of consumers that may or may not pass."""

from __future__ import annotations

from kongtx.schema import (
    Field,
    Subschema,
    array,
    at_least_one_of,
    boolean,
    only_one_of,
    record,
    string,
)
from kongtx.schema import typedefs as t


def _config() -> Field:
    return record(
        {
            "allow": array(string()),
            "deny": array(string()),
            "hide_groups_header": boolean(required=True, default=False),
            "always_use_authenticated_groups": boolean(required=True, default=False),
        }
    )


def subschema() -> Subschema:
    """What plugins named acl put in place of the common fields."""
    return Subschema(
        {"consumer": t.no_consumer(), "protocols": t.protocols_http(), "config": _config()},
        entity_checks=[
            only_one_of("config.allow", "config.deny"),
            at_least_one_of("config.allow", "config.deny"),
        ],
    )
