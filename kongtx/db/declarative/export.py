"""Stored entities as a declarative configuration that can be read again.

Source: Kong: C{kong/db/declarative/export.lua}.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import yaml

from kongtx.schema import Schema, SchemaRegistry

HEAD = {"_format_version": "3.0", "_transform": False}


def exported_entities(registry: SchemaRegistry) -> list[str]:
    """The entities that an export holds, in its order: parents first."""
    return [
        name for name in registry if registry[name].db_export and name not in ("workspaces", "tags")
    ]


def exported(entity: Mapping[str, Any], schema: Schema) -> dict[str, Any]:
    """A stored entity as it is written: all fields, nulls too; foreign keys as ids.

    @param entity: complete, as stored; C{ttl} in seconds since 1970.
    @param schema: its schema.
    """
    stored = schema.hide_shorthands(entity)
    out: dict[str, Any] = {}
    for name, field in schema.plan(stored).items:
        value = stored.get(name)
        if field.get("transient"):
            continue
        if field.kind == "foreign" and isinstance(value, dict):
            value = value.get("id")
        out[name] = value
    if schema.ttl and stored.get("ttl") is not None:
        out["ttl"] = stored["ttl"]
    return out


def export_document(
    entities: Mapping[str, Iterable[Mapping[str, Any]]], registry: SchemaRegistry
) -> dict[str, Any]:
    """The whole configuration as data, entity types without entities left out."""
    out: dict[str, Any] = dict(HEAD)
    for name in exported_entities(registry):
        rows = [exported(row, registry[name]) for row in entities.get(name, ())]
        if rows:
            out[name] = rows
    return out


def yaml_chunks(
    entities: Iterable[tuple[str, Mapping[str, Any]]], registry: SchemaRegistry
) -> Iterator[str]:
    """YAML text piece by piece, so that a large configuration need not be held at once.

    @param entities: name and entity, all of a name together, parents first.
    @param registry: their schemas.
    """
    yield _dump(HEAD)
    current = None
    for name, entity in entities:
        if name != current:
            yield f"{name}:\n"
            current = name
        yield _dump([exported(entity, registry[name])])


def export_yaml(
    entities: Mapping[str, Iterable[Mapping[str, Any]]],
    registry: SchemaRegistry,
    write: Callable[[str], object],
) -> None:
    """Write the whole configuration as YAML."""
    pairs = ((name, row) for name in exported_entities(registry) for row in entities.get(name, ()))
    for chunk in yaml_chunks(pairs, registry):
        write(chunk)


def _dump(value: Any) -> str:
    text: str = yaml.dump(
        value,
        Dumper=_Dumper,
        default_flow_style=False,
        allow_unicode=True,
        sort_keys=True,
        width=2**30,
    )
    return text


class _Dumper(yaml.CSafeDumper):
    """Never writes anchors: a list shared by two entities is written twice."""

    def ignore_aliases(self, data: Any) -> bool:
        return True
