"""Short constructors of fields, one for each type; keywords are Kong's attribute names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from kongtx.schema.checks import EntityCheck
from kongtx.schema.field import Field
from kongtx.schema.record import Record


def string(**attributes: Any) -> Field:
    """Text; empty text is refused unless C{len_min=0}."""
    return Field("string", **attributes)


def number(**attributes: Any) -> Field:
    """A finite number."""
    return Field("number", **attributes)


def integer(**attributes: Any) -> Field:
    """A whole number; C{1.0} counts as one."""
    return Field("integer", **attributes)


def boolean(**attributes: Any) -> Field:
    """True or false."""
    return Field("boolean", **attributes)


def array(elements: Field, **attributes: Any) -> Field:
    """An ordered list."""
    return Field("array", elements=elements, **attributes)


def set_of(elements: Field, **attributes: Any) -> Field:
    """A list without repeated elements; order is kept."""
    return Field("set", elements=elements, **attributes)


def map_of(keys: Field, values: Field, **attributes: Any) -> Field:
    """An object with any keys of one type and values of one type."""
    return Field("map", keys=keys, values=values, **attributes)


def record(
    fields: Mapping[str, Field],
    *,
    entity_checks: Iterable[EntityCheck] = (),
    shorthand_fields: Mapping[str, Field] | None = None,
    **attributes: Any,
) -> Field:
    """An object with known fields."""
    body = Record(fields, entity_checks=entity_checks, shorthand_fields=shorthand_fields)
    return Field("record", record=body, **attributes)


def abstract_record() -> Field:
    """An object whose fields each subschema defines."""
    return Field("record", abstract=True)


def foreign(reference: str, **attributes: Any) -> Field:
    """A reference to an entity of another schema: ``{"id": ...}``."""
    return Field("foreign", reference=reference, **attributes)


def json_value(**attributes: Any) -> Field:
    """Any JSON value, checked by C{json_schema}."""
    return Field("json", **attributes)


def any_value(**attributes: Any) -> Field:
    """Anything; only constraints are checked."""
    return Field("any", **attributes)
