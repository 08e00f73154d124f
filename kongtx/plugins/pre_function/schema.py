"""The configuration of pre-function: code of the user's own, run before all other plugins."""

from __future__ import annotations

from kongtx.plugins.typedefs import check_python
from kongtx.schema import Field, Subschema, array, at_least_one_of, record, string
from kongtx.schema import typedefs as t


def _functions() -> Field:
    source = string(required=False, custom_validator=check_python("pre-function"))
    return array(source, required=True, default=[])


def _config() -> Field:
    return record(
        {
            "certificate": _functions(),
            "rewrite": _functions(),
            "access": _functions(),
            "header_filter": _functions(),
            "body_filter": _functions(),
            "log": _functions(),
        }
    )


def subschema() -> Subschema:
    """What plugins named pre-function put in place of the common fields."""
    return Subschema(
        {"consumer": t.no_consumer(), "protocols": t.protocols(), "config": _config()},
        entity_checks=[
            at_least_one_of(
                "config.certificate",
                "config.rewrite",
                "config.access",
                "config.header_filter",
                "config.body_filter",
                "config.log",
            )
        ],
    )
