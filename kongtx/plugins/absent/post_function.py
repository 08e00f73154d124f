"""The configuration of post-function: code of the user's own, run after all other plugins."""

from __future__ import annotations

from kongtx.plugins.typedefs import user_code
from kongtx.schema import Subschema


def subschema() -> Subschema:
    """What plugins named post-function put in place of the common fields."""
    return user_code("post-function")
