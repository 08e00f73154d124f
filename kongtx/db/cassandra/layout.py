"""Which rows of the partition an entity consists of."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import attrs

from kongtx.db.tables import Entity, Reference, Table, index_text

ENTITY = "entity"
INDEX = "index"
TAG = "tag"
USE = "use"
EXPIRY = "expiry"
TABLE = "table"
LOG = "log"

#: How many commits the log remembers at most.
RING = 16384

_LONGEST = 255  # characters; a clustering column takes 65535 bytes
_SEPARATOR = "\0"  # sorts before every character of the texts that it separates

dump = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode


class Place(NamedTuple):
    """A stretch of the partition."""

    kind: str
    place: str


class Address(NamedTuple):
    """A row of the partition."""

    kind: str
    place: str
    key: str


#: A row that is always there, so that every read finds at least one with the static columns.
SENTINEL = Address("", "", "")

Rows = dict[Address, str]


def searched(table: Table) -> tuple[str, ...]:
    """The single fields that have an index."""
    fields = (*table.unique, *table.lookup, *(item.field for item in table.references))
    return tuple(dict.fromkeys(fields))


def stands_alone(table: Table) -> bool:
    """Whether the rows of a table are kept each by itself.

    Nothing ties them to others; and nothing will, as references are to an C{id}, and nobody
    refers to what expires and has no name.
    """
    is_tied = bool(searched(table) or table.together or table.tagged)
    return not is_tied and (table.expires or table.key != ("id",))


def entity_at(table: str, key: str) -> Address:
    """Where an entity is."""
    return Address(ENTITY, table, key)


def index_of(table: str, field: str, value: Any) -> Place | None:
    """Where the entities with a value in a field are listed; L{None} for null."""
    text = index_text(value)
    return None if text is None else Place(INDEX, f"{table}.{field}={_short(text)}")


def together_of(table: Table, entity: Mapping[str, Any]) -> Place | None:
    """Where the entity is listed that has the same values in the fields that differ together."""
    text = table.together_of(entity)
    return None if text is None else Place(INDEX, f"{table.name}={_short(text)}")


def tag_place(tag: str) -> Place:
    """Where the entities with a tag are listed."""
    return Place(TAG, _short(tag))


def joined(*parts: str) -> str:
    """Several texts as one key that sorts as they do."""
    return _SEPARATOR.join(parts)


def parted(key: str) -> list[str]:
    """The texts that a key was made from."""
    return key.split(_SEPARATOR)


def moment(at: float) -> str:
    """A point in time as part of a key."""
    return f"{max(at, 0.0):020.6f}"


def log_place(version: int) -> Place:
    """Where a commit leaves its record, in place of the one that was L{RING} commits before."""
    return Place(LOG, f"{version % RING:05d}")


def rows_of(table: Table, key: str, entity: Entity | None) -> Rows:
    """All rows of an entity; none if there is no entity."""
    if entity is None:
        return {}
    rows = {entity_at(table.name, key): dump(entity)}
    for place in _indexes(table, entity):
        rows[Address(*place, key)] = ""
    if table.tagged:
        for tag in entity.get("tags") or ():
            rows[Address(*tag_place(tag), joined(key, table.name))] = ""
            rows[Address(USE, "", joined(key, table.name, tag))] = ""
    expires = entity.get("ttl") if table.expires else None
    if expires is not None:
        rows[Address(EXPIRY, "", joined(moment(expires), table.name, key))] = ""
    return rows


def _indexes(table: Table, entity: Entity) -> Iterator[Place]:
    for field in searched(table):
        place = index_of(table.name, field, entity.get(field))
        if place is not None:
            yield place
    place = together_of(table, entity)
    if place is not None:
        yield place


def _short(text: str) -> str:
    """A text, or its digest if it is long; the two are never the same."""
    if len(text) <= _LONGEST and not text.startswith("#"):
        return text
    return "#" + hashlib.blake2b(text.encode(), digest_size=32).hexdigest()


def to_json(table: Table) -> str:
    """A table as the partition remembers it."""
    return dump(attrs.asdict(table))


def from_json(text: str) -> Table:
    """A table as it was remembered."""
    found: dict[str, Any] = json.loads(text)
    references = tuple(Reference(**item) for item in found.pop("references"))
    lists = {name: tuple(value) for name, value in found.items() if isinstance(value, list)}
    return Table(**{**found, **lists, "references": references})
