"""Reading and writing values of nested data by dotted names (C{config.redis.host})."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from kongtx.schema.field import ABSENT

if TYPE_CHECKING:
    from kongtx.schema.field import Field


def get_path(data: Any, path: str) -> Any:
    """The value at a dotted path, or ABSENT where a step is missing or not an object."""
    for name in path.split("."):
        if not isinstance(data, dict):
            return ABSENT
        data = data.get(name, ABSENT)
    return data


def set_path(data: dict[str, Any], path: str, value: Any) -> None:
    """Set a value, making objects on the way (replacing what is not an object)."""
    *parents, last = path.split(".")
    for name in parents:
        inner = data.get(name)
        if not isinstance(inner, dict):
            inner = data[name] = {}
        data = inner
    data[last] = value


def find_field(fields: Mapping[str, Field], path: str) -> Field | None:
    """The definition of the field at a dotted path, through records."""
    head, _, rest = path.partition(".")
    field = fields.get(head)
    if not rest or field is None:
        return field
    return find_field(field.record.fields, rest) if field.record is not None else None


def is_nonempty(value: Any) -> bool:
    """Whether a value counts as set in checks over several fields (0 and false do)."""
    return not (value is None or value is ABSENT or value in ("", [], {}))
