"""Errors of a configuration listed by entity, as controllers that write configurations read them.

Source: Kong: C{kong/db/errors.lua}, C{declarative_config_flattened}.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kongtx.schema.errors import ENTITY
from kongtx.schema.validators import is_uuid

#: Fields that errors may name an entity by: its id or its endpoint key.
_NAMES = ("id", "name", "username", "prefix", "key", "client_id", "instance_name", "target")


def flatten_errors(
    document: Mapping[str, Any],
    errors: Mapping[str, Any],
    children: Mapping[str, Mapping[str, str]],
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Errors by entity, and those that belong to none.

    @param document: the configuration as submitted.
    @param errors: as C{DeclarativeError.fields}.
    @param children: by entity, those that can be nested in it and their foreign field.
    @return: entries with C{entity_type}, C{entity}, C{errors} and, where the entity has them,
        C{entity_id}, C{entity_name} and C{entity_tags}; and what is left of C{errors}.
    """
    found: list[dict[str, Any]] = []
    rest: dict[str, Any] = {}
    for section, listed in errors.items():
        items = document.get(section)
        if section not in children or not isinstance(items, list):
            rest[section] = listed
        elif isinstance(listed, dict):
            _by_key(section, items, listed, found, rest, children)
        elif isinstance(listed, list):
            _by_position(section, items, listed, found, rest, children)
        else:
            rest[section] = listed
    return found, rest


def _by_position(
    section: str,
    items: list[Any],
    listed: list[Any],
    found: list[dict[str, Any]],
    rest: dict[str, Any],
    children: Mapping[str, Mapping[str, str]],
) -> None:
    left: list[Any] = []
    for index, error in enumerate(listed):
        item = items[index] if index < len(items) else None
        if error is None:
            left.append(None)
        elif isinstance(item, dict):
            _add(section, item, error, found, children)
            left.append(None)
        else:
            left.append(error)
    while left and left[-1] is None:
        left.pop()
    if left:
        rest[section] = left


def _by_key(
    section: str,
    items: list[Any],
    listed: dict[str, Any],
    found: list[dict[str, Any]],
    rest: dict[str, Any],
    children: Mapping[str, Mapping[str, str]],
) -> None:
    """Errors under positions, names or ids (see C{references}); top-level entities only."""
    left: dict[str, Any] = {}
    for key, error in listed.items():
        item = _named(items, key)
        if item is None:
            left[key] = error
        else:
            whole = {ENTITY: error} if isinstance(error, list) else error
            _add(section, item, whole, found, children)
    if left:
        rest[section] = left


def _named(items: list[Any], key: str) -> dict[str, Any] | None:
    at = int(key) - 1 if key.isascii() and key.isdigit() and len(key) < 10 else -1
    if 0 <= at < len(items) and isinstance(items[at], dict):
        position: dict[str, Any] = items[at]
        return position
    for item in items:
        if isinstance(item, dict) and (
            any(item.get(name) == key for name in _NAMES) or _has_id(item, key)
        ):
            return item
    return None


def _add(
    entity_type: str,
    entity: dict[str, Any],
    error: Any,
    found: list[dict[str, Any]],
    children: Mapping[str, Mapping[str, str]],
) -> None:
    errors = dict(error) if isinstance(error, dict) else {ENTITY: error}
    own = dict(entity)
    for field, parent in _parents(entity_type, children):
        value = own.get(field)
        if isinstance(value, dict):
            # A whole entity where a reference to one is expected.
            del own[field]
            if _identity(value) is not None:
                own[field] = {"id": value["id"]}
            inner = errors.pop(field, None)
            if inner:
                _add(parent, value, inner, found, children)
    for child, field in children[entity_type].items():
        items = own.get(child)
        if not isinstance(items, list):
            continue
        del own[child]
        listed = errors.pop(child, None) or []
        for index, inner in enumerate(listed if isinstance(listed, list) else []):
            item = items[index] if index < len(items) else None
            if inner is not None and isinstance(item, dict):
                if item.get(field) is None and _identity(entity) is not None:
                    item = {**item, field: {"id": entity["id"]}}
                _add(child, item, inner, found, children)
            elif inner is not None:
                errors.setdefault(child, {})[str(index + 1)] = inner
    if errors:
        found.append(_entry(entity_type, own, errors))


def _parents(entity_type: str, children: Mapping[str, Mapping[str, str]]) -> list[tuple[str, str]]:
    """The foreign fields of an entity, each with the entity it refers to."""
    return [
        (fields[entity_type], parent)
        for parent, fields in children.items()
        if entity_type in fields
    ]


def _entry(entity_type: str, entity: dict[str, Any], errors: dict[str, Any]) -> dict[str, Any]:
    entry: dict[str, Any] = {"entity_type": entity_type.removesuffix("s")}
    name, tags = entity.get("name"), entity.get("tags")
    if _identity(entity) is not None:
        entry["entity_id"] = entity["id"]
    if isinstance(name, str) and name:
        entry["entity_name"] = name
    if isinstance(tags, list) and all(isinstance(tag, str) for tag in tags):
        entry["entity_tags"] = tags
    entry["entity"] = entity
    entry["errors"] = _categorised(errors, "")
    return entry


def _identity(entity: Mapping[str, Any]) -> str | None:
    identity = entity.get("id")
    return identity if isinstance(identity, str) and is_uuid(identity) else None


def _has_id(entity: Mapping[str, Any], key: str) -> bool:
    """Whether an id, which errors name in lower case, is that of an entity."""
    identity = _identity(entity)
    return identity is not None and identity.lower() == key


def _categorised(errors: Any, path: str) -> list[dict[str, str]]:
    if isinstance(errors, str):
        return [{"type": "field", "field": path, "message": errors}]
    entries = (
        [(str(index), error) for index, error in enumerate(errors, 1) if error is not None]
        if isinstance(errors, list)
        else sorted(errors.items())
    )
    out: list[dict[str, str]] = []
    for key, error in entries:
        if key == ENTITY:
            texts = error if isinstance(error, list) else [error]
            out += [{"type": "entity", "message": text} for text in texts]
        else:
            out += _categorised(error, f"{path}.{key}" if path else key)
    return out
