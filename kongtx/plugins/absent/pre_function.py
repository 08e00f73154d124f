"""The configuration of pre-function: code of the user's own, run before all other plugins."""

from __future__ import annotations

from kongtx.plugins.typedefs import user_code
from kongtx.schema import Subschema


def subschema() -> Subschema:
    """What plugins named pre-function put in place of the common fields."""
    return user_code("pre-function")
