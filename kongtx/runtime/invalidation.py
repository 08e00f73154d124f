"""What of the caches a change of an entity makes wrong. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from kongtx.db.store import ChangeEvent
from kongtx.schema import Schema

Entity = Mapping[str, Any]


def stale_keys(event: ChangeEvent, schema: Schema) -> set[str]:
    """The cache keys that an event makes wrong, of the entity before and after it."""
    keys: set[str] = set()
    for entity in (event.entity, event.old_entity):
        if entity is not None:
            keys.update(_keys_of(entity, schema))
    return keys


def _keys_of(entity: Entity, schema: Schema) -> Iterator[str]:
    yield schema.cache_key_of(entity)
    if schema.name == "consumers":
        for field in ("username", "custom_id"):
            if entity[field] is not None:
                yield f"consumers_by_{field}:{entity[field]}"
    elif schema.name == "acls":
        yield f"acls:{entity['consumer']['id']}"
