"""What a change of entities makes wrong at those who have not made it. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import attrs

from kongtx.db.clusterlog import Broadcast
from kongtx.db.store import ChangeEvent
from kongtx.db.writes import Change
from kongtx.schema import Schema, SchemaRegistry

Entity = Mapping[str, Any]

#: The channel on which nodes tell each other what they changed.
ENTITIES_CHANNEL = "entities"
#: Changes that one event tells of at most.
CHANGES_AT_ONCE = 1000


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


@attrs.frozen
class Effects:
    """What changes of entities mean for a worker that has not made them.

    @ivar changed: schema names and ids.
    @ivar keys: the cache keys that are stale.
    """

    changed: Sequence[tuple[str, str]]
    keys: Sequence[str]

    @classmethod
    def of(cls, events: Sequence[ChangeEvent], registry: SchemaRegistry) -> Effects:
        """The effects of some changes."""
        changed = [(each.schema, each.entity["id"]) for each in events if "id" in each.entity]
        keys = {key for each in events for key in stale_keys(each, registry[each.schema])}
        return cls(changed, sorted(keys))

    def text(self) -> str:
        """As nodes tell it each other."""
        return json.dumps({"changed": self.changed, "keys": self.keys}, separators=(",", ":"))

    @classmethod
    def parse(cls, text: str) -> Effects:
        """What another node told."""
        data = json.loads(text)
        return cls([(schema, key) for schema, key in data["changed"]], data["keys"])


def announcer(
    registry: SchemaRegistry, event_of: Callable[[Change], ChangeEvent], delay: float = 0.0
) -> Callable[[Sequence[Change]], list[Broadcast]]:
    """What makes of a transaction's changes the events for other nodes.

    @param event_of: the event of a change.
    @param delay: seconds before which other nodes are not to act on it.
    """
    told = {name for name, schema in registry.items() if is_cached(schema)}

    def announce(changes: Sequence[Change]) -> list[Broadcast]:
        events = [event_of(each) for each in changes if each.table.name in told]
        return [
            Broadcast(
                ENTITIES_CHANNEL,
                Effects.of(events[first : first + CHANGES_AT_ONCE], registry).text(),
                delay,
            )
            for first in range(0, len(events), CHANGES_AT_ONCE)
        ]

    return announce


def is_cached(schema: Schema) -> bool:
    """Whether workers may hold entities of a schema; counts of rate limits they do not."""
    return schema.primary_key == ("id",) or bool(schema.cache_key)
