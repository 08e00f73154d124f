"""Ids that stay the same from load to load: UUIDs made of what names an entity.

Source: Kong: C{kong/db/schema/others/declarative_config.lua}, C{get_key_for_uuid_gen}.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from kongtx.lib.ids import uuid5
from kongtx.schema import Schema

_ROOT = "fd02801f-0957-4a15-a55a-c8d9606f30b5"
#: Stands in keys for the workspace, which files do not name.
ANY_WORKSPACE = "*"


@lru_cache(maxsize=256)
def _namespace(entity: str) -> str:
    return uuid5(_ROOT, entity)


def stable_id(
    schema: Schema, item: Mapping[str, Any], parent_field: str | None, parent_id: str | None
) -> str | None:
    """The id of an entity that gives none, or None when nothing names it for good.

    @param schema: the entity's schema.
    @param item: the entity as written.
    @param parent_field: the foreign field to the entity it is nested in, if it is.
    @param parent_id: that entity's id, None when that is not stable itself.
    """
    if schema.primary_key != ("id",) or not schema.fields["id"].get("uuid"):
        return None
    if schema.cache_key:
        key = _cache_key(schema, item, parent_field, parent_id)
    else:
        name = schema.endpoint_key
        key = item.get(name) if name is not None and schema.fields[name].get("unique") else None
    if not isinstance(key, str) or not key:
        return None
    try:
        return uuid5(_namespace(schema.name), key)
    except ValueError:
        return None  # no text that could be encoded; validation says so


def _cache_key(
    schema: Schema, item: Mapping[str, Any], parent_field: str | None, parent_id: str | None
) -> str | None:
    parts = [schema.name, ANY_WORKSPACE]
    for name in schema.cache_key:
        field = schema.fields[name]
        if field.auto:
            return None
        value = item.get(name)
        if isinstance(value, str):
            parts.append(value)
        elif name not in item:
            if name == parent_field:
                if parent_id is None:
                    return None
                parts.append(parent_id)
            elif field.required:
                return None
            else:
                parts.append("")
    return ":".join(parts)
