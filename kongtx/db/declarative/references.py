"""References between the entities of a document, and what must be unique among them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import attrs

from kongtx.db.declarative.tree import ErrorTree
from kongtx.schema import Schema, SchemaRegistry

if TYPE_CHECKING:
    from kongtx.db.declarative.parser import Node


@attrs.define
class Flattened:
    """Entities by name and primary key, or what keeps them from being that."""

    entities: dict[str, dict[str, dict[str, Any]]]
    errors: dict[str, Any]


class _Index:
    """The entities of a document by id and by name."""

    def __init__(self) -> None:
        self.by_id: dict[str, dict[str, Node]] = {}
        self.by_name: dict[str, dict[str, Node]] = {}

    def find(self, entity: str, key: Any) -> Node | None:
        if not isinstance(key, str):
            return None
        found = self.by_name.get(entity, {}).get(key)
        # Ids are in lower case by now.
        return found or self.by_id.get(entity, {}).get(key.lower())


def flatten(nodes: Iterable[Node], registry: SchemaRegistry) -> Flattened:
    """Resolve references and check uniqueness; every failure is reported."""
    nodes = list(nodes)
    errors = ErrorTree()
    index = _Index()
    for node in nodes:
        _enter(node, registry[node.entity], index, errors)
    for node in nodes:
        _check_references(node, registry[node.entity], index, errors)
    if errors:
        return Flattened({}, errors.to_json())
    entities: dict[str, dict[str, dict[str, Any]]] = {}
    taken: dict[tuple[str, str], set[Any]] = {}
    for node in nodes:
        schema = registry[node.entity]
        entity = _resolved(node, schema, index)
        _check_unique(entity, schema, taken, errors)
        entities.setdefault(node.entity, {})[_key(schema, entity)] = entity
    return Flattened(entities, errors.to_json() if errors else {})


def _key(schema: Schema, entity: dict[str, Any]) -> str:
    return ":".join(str(entity.get(name)) for name in schema.primary_key)


def _declared(entity: str, name: str, value: Any) -> str:
    return f"uniqueness violation: '{entity}' entity with {name} set to '{value}' already declared"


def _enter(node: Node, schema: Schema, index: _Index, errors: ErrorTree) -> None:
    name = _unique_name(node, schema)
    by_name = index.by_name.setdefault(node.entity, {})
    if name is not None and name in by_name:
        errors.add(node.path, _declared(node.entity, str(schema.endpoint_key), name))
        return
    if name is not None:
        by_name[name] = node
    key = _key(schema, node.processed)
    by_id = index.by_id.setdefault(node.entity, {})
    if key in by_id:
        errors.add(node.path, _declared(node.entity, "primary key", key))
    else:
        by_id[key] = node


def _unique_name(node: Node, schema: Schema) -> str | None:
    name = schema.endpoint_key
    if name is None or not schema.fields[name].get("unique"):
        return None
    value = node.processed.get(name)
    return value if isinstance(value, str) else None


def _check_references(node: Node, schema: Schema, index: _Index, errors: ErrorTree) -> None:
    for name, field in schema.foreign_fields.items():
        value = node.processed.get(name)
        if value is None or index.find(field.reference, _referred(value)) is not None:
            continue
        shown = value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
        at = _unique_name(node, schema) or _key(schema, node.processed)
        text = f"invalid reference '{name}: {shown}' (no such entry in '{field.reference}')"
        listed = errors.root.setdefault(node.entity, {}).setdefault(at, {})
        if isinstance(listed, dict):
            listed[len(listed) + 1] = text


def _referred(value: Any) -> Any:
    return value.get("id") if isinstance(value, dict) else value


def _resolved(node: Node, schema: Schema, index: _Index) -> dict[str, Any]:
    """The entity with the fields of its schema only, and foreign keys as primary keys."""
    out: dict[str, Any] = {}
    for name, field in schema.fields.items():
        if field.get("transient"):
            continue
        value = node.processed.get(name)
        if field.kind == "foreign":
            if node.parent is not None and name == node.parent_field:
                value = _primary_key(node.parent)
            elif value is not None:
                found = index.find(field.reference, _referred(value))
                value = _primary_key(found) if found is not None else None
        out[name] = value
    if schema.ttl and node.processed.get("ttl") is not None:
        out["ttl"] = node.processed["ttl"]
    return out


def _primary_key(node: Node) -> dict[str, Any]:
    return {"id": node.processed.get("id")}


def _check_unique(
    entity: dict[str, Any],
    schema: Schema,
    taken: dict[tuple[str, str], set[Any]],
    errors: ErrorTree,
) -> None:
    for name in schema.unique_fields:
        value = entity.get(name)
        if isinstance(value, dict):
            value = value.get("id")
        if value is None:
            continue
        seen = taken.setdefault((schema.name, name), set())
        if value in seen:
            named = entity.get(schema.endpoint_key) if schema.endpoint_key else None
            at = named or _key(schema, entity)
            errors.add((schema.name, at), _declared(schema.name, name, value))
        seen.add(value)
