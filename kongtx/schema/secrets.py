"""Values of an entity that its schema marks: references to secrets, and deprecated settings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from kongtx.schema.field import Field, is_reference
from kongtx.schema.record import Record


def references(record: Record, data: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The vault references of an entity, each with its dotted path.

    Only fields that may hold references are looked at; elsewhere such text is just text.
    """
    for name, field in record.plan(data).items:
        yield from _field_references(name, field, data.get(name))


def _field_references(path: str, field: Field, value: Any) -> Iterator[tuple[str, str]]:
    if field.referenceable and is_reference(value):
        yield path, value
    elif isinstance(value, list) and field.elements is not None:
        for index, item in enumerate(value, 1):
            yield from _field_references(f"{path}.{index}", field.elements, item)
    elif isinstance(value, dict) and field.values is not None:
        for key, item in value.items():
            yield from _field_references(f"{path}.{key}", field.values, item)
    elif isinstance(value, dict) and field.record is not None:
        for inner, found in references(field.record, value):
            yield f"{path}.{inner}", found


def with_secrets(
    record: Record, data: Mapping[str, Any], resolve: Callable[[str], str]
) -> dict[str, Any]:
    """A copy of an entity with each vault reference replaced by what it stands for.

    @param record: the entity's schema.
    @param data: the entity; not changed.
    @param resolve: gives the secret; an empty text when there is none, as in Kong.
    """
    out = dict(data)
    for name, field in record.plan(data).items:
        if name in out:
            out[name] = _resolved(field, out[name], resolve)
    return out


def _resolved(field: Field, value: Any, resolve: Callable[[str], str]) -> Any:
    if field.referenceable and is_reference(value):
        return resolve(value)
    if isinstance(value, list) and field.elements is not None:
        return [_resolved(field.elements, item, resolve) for item in value]
    if isinstance(value, dict) and field.values is not None:
        return {key: _resolved(field.values, item, resolve) for key, item in value.items()}
    if isinstance(value, dict) and field.record is not None:
        return with_secrets(field.record, value, resolve)
    return value


def deprecations(record: Record, data: Mapping[str, Any]) -> list[str]:
    """What to warn of in data that a client sent: a message for each deprecated field it uses."""
    out: list[str] = []
    for name, field in (*record.plan(data).items, *record.shorthand_fields.items()):
        value = data.get(name)
        deprecation = field.get("deprecation")
        if deprecation and value is not None and value != deprecation.get("old_default"):
            out.append(str(deprecation["message"]))
        if field.record is not None and isinstance(value, dict):
            out += deprecations(field.record, value)
    return list(dict.fromkeys(out))
