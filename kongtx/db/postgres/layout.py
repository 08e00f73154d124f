"""Tables and the statements that make them; the model is that of L{kongtx.db.sqlite.layout}.

All names begin with C{kongtx_}, so that a database may hold other things as well. Texts are
compared byte by byte, whatever the database's language.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from kongtx.db.paging import storable
from kongtx.db.tables import Catalogue, Entity, Reference, Table, index_text

#: All tables' names begin with this.
PREFIX = "kongtx_"
LOCKS = "kongtx_locks"
#: The channel on which nodes wake each other for new events.
EVENTS_CHANNEL = "kongtx_events"

_TEXT = 'text COLLATE "C"'
_LONGEST_NAME = 63
#: Longer texts do not fit into an index, and are there as their hash.
_LONGEST_INDEXED = 2000

MAKE_LOCKS = (
    f"CREATE TABLE IF NOT EXISTS {LOCKS} (name {_TEXT} PRIMARY KEY, owner text NOT NULL, "
    "expires double precision NOT NULL)"
)
BOOKKEEPING = (
    MAKE_LOCKS,
    f"CREATE TABLE IF NOT EXISTS kongtx_migrations (subsystem {_TEXT} NOT NULL, "
    f"name {_TEXT} NOT NULL, pending boolean NOT NULL, at double precision NOT NULL, "
    "PRIMARY KEY (subsystem, name))",
    f"CREATE TABLE IF NOT EXISTS kongtx_tags (tag {_TEXT} NOT NULL, entity_name {_TEXT} NOT NULL, "
    f"entity_id {_TEXT} NOT NULL, PRIMARY KEY (tag, entity_name, entity_id))",
    "CREATE UNIQUE INDEX IF NOT EXISTS kongtx_tags_by_entity "
    "ON kongtx_tags (entity_id, entity_name, tag)",
    "CREATE TABLE IF NOT EXISTS kongtx_events (number bigint GENERATED ALWAYS AS IDENTITY "
    "PRIMARY KEY, id text NOT NULL, node_id text NOT NULL, at double precision NOT NULL, "
    "not_before double precision NOT NULL, expires double precision NOT NULL, "
    "channel text NOT NULL, data text NOT NULL)",
    "CREATE INDEX IF NOT EXISTS kongtx_events_by_at ON kongtx_events (at)",
    "CREATE INDEX IF NOT EXISTS kongtx_events_by_expires ON kongtx_events (expires)",
)

_dump = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode


def quote(name: str) -> str:
    """A name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def shortened(name: str) -> str:
    """A name that PostgreSQL would not cut off, which could make two the same."""
    if len(name.encode()) <= _LONGEST_NAME:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:12]
    return name.encode()[: _LONGEST_NAME - 13].decode(errors="ignore") + "_" + digest


@lru_cache(maxsize=1024)
def bare_name(table: str) -> str:
    """The name of an entity's table in the database."""
    return shortened(f"{PREFIX}entity_{table}")


@lru_cache(maxsize=1024)
def name_of(table: str) -> str:
    """The name of an entity's table, by the entity's name, as an identifier."""
    return quote(bare_name(table))


@lru_cache(maxsize=1024)
def bare_column(field: str) -> str:
    """The name of the column of a field that is searched by."""
    return shortened(f"field_{field}")


@lru_cache(maxsize=1024)
def column(field: str) -> str:
    """The column of a field that is searched by, as an identifier."""
    return quote(bare_column(field))


def index_name(table: str, what: str) -> str:
    """The name of an index by one column."""
    return shortened(f"{PREFIX}entity_{table}_by_{what}")


@lru_cache(maxsize=256)
def searched(table: Table) -> tuple[str, ...]:
    """The fields that have a column, in its order."""
    fields = (*table.unique, *table.lookup, *(item.field for item in table.references))
    return tuple(dict.fromkeys(fields))


@lru_cache(maxsize=256)
def _foreign(table: Table) -> frozenset[str]:
    return frozenset(item.field for item in table.references)


@lru_cache(maxsize=256)
def columns(table: Table) -> tuple[str, ...]:
    """All columns of a table, as identifiers, in the order in which statements name them."""
    return (
        "key",
        "document",
        *(column(field) for field in searched(table)),
        *(("together",) if table.together else ()),
        *(("expires",) if table.expires else ()),
    )


def indexed(text: str | None) -> str | None:
    """A text as an index holds it: itself, or its hash where it does not fit."""
    if text is None or (storable(text) and len(text.encode()) <= _LONGEST_INDEXED):
        return text
    return "sha256:" + hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


def search_text(table: Table, field: str, value: Any) -> str | None:
    """A field's value as its column holds it."""
    text = index_text(value)
    return text if field in _foreign(table) else indexed(text)


def together_text(table: Table, entity: Mapping[str, Any]) -> str | None:
    """The values of the fields that must differ together, as their column holds them."""
    return indexed(table.together_of(entity))


def values(table: Table, entity: Entity) -> list[Any]:
    """A row, in the order of L{columns}."""
    row: list[Any] = [table.key_of(entity), _dump(entity)]
    row += [search_text(table, field, entity.get(field)) for field in searched(table)]
    if table.together:
        row.append(together_text(table, entity))
    if table.expires:
        row.append(entity.get("ttl"))
    return row


def is_complete(table: Table, present: frozenset[str]) -> bool:
    """Whether a table with some columns is as it has to be."""
    wanted = {"key", "document", *map(bare_column, searched(table))}
    wanted |= {extra for extra in ("together", "expires") if getattr(table, extra)}
    return wanted <= present


def create(table: Table, catalogue: Catalogue, present: frozenset[str]) -> Iterator[str]:
    """The statements that bring a table to its present form.

    @param present: the columns it has already, without quotes; empty if there is no such table.
    """
    name = name_of(table.name)
    references = {item.field: item for item in table.references}
    if not present:
        yield f"CREATE TABLE {name} (key {_TEXT} PRIMARY KEY, document json NOT NULL)"
    for field in searched(table):
        if bare_column(field) not in present:
            refers = _refers(references.get(field), catalogue)
            yield f"ALTER TABLE {name} ADD COLUMN {column(field)} {_TEXT}{refers}"
            if present:
                yield f"UPDATE {name} SET {column(field)} = {_from_document(table, field)}"
    for extra, kind in (("together", _TEXT), ("expires", "double precision")):
        if extra not in present and getattr(table, extra):
            yield f"ALTER TABLE {name} ADD COLUMN {extra} {kind}"
    yield from _indexes(table)


def _refers(reference: Reference | None, catalogue: Catalogue) -> str:
    """The constraint of a reference.

    The connector looks after references itself; this keeps them true when nodes write at once, and
    for rows of a plugin that is not enabled at the time.
    """
    if reference is None or reference.parent not in catalogue.tables:
        return ""
    action = " ON DELETE CASCADE" if reference.cascade else ""
    return f" REFERENCES {name_of(reference.parent)} (key){action}"


def _from_document(table: Table, field: str) -> str:
    """A field's text for its column, read from the stored entity."""
    literal = "'" + field.replace("'", "''") + "'"
    text = (
        f"CASE json_typeof(document -> {literal}) WHEN 'object' "
        f"THEN document -> {literal} ->> 'id' ELSE document ->> {literal} END"
    )
    if field in _foreign(table):
        return text
    return (
        f"CASE WHEN octet_length({text}) > {_LONGEST_INDEXED} "
        f"THEN 'sha256:' || encode(sha256(convert_to({text}, 'UTF8')), 'hex') ELSE {text} END"
    )


def _indexes(table: Table) -> Iterator[str]:
    name = name_of(table.name)
    for field in searched(table):
        index = quote(index_name(table.name, field))
        if field in table.unique:
            yield f"CREATE UNIQUE INDEX IF NOT EXISTS {index} ON {name} ({column(field)})"
        else:
            yield f"CREATE INDEX IF NOT EXISTS {index} ON {name} ({column(field)}, key)"
    if table.together:
        index = quote(index_name(table.name, "together"))
        yield f"CREATE UNIQUE INDEX IF NOT EXISTS {index} ON {name} (together)"
    if table.expires:
        index = quote(index_name(table.name, "expires"))
        yield f"CREATE INDEX IF NOT EXISTS {index} ON {name} (expires)"
