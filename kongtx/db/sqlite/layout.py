"""Tables and statements.

Each kind of entity has one table: the key, the whole entity as JSON, and a column for each field
that is searched by (unique fields, references, expiry). Entities are read and written whole, so
JSON serves them with one column and no statement to derive for fields inside records; only the
columns that carry rules have to exist in SQL, and a new field of an entity changes nothing here.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from kongtx.db.tables import Catalogue, Reference, Table

BOOKKEEPING = (
    "CREATE TABLE IF NOT EXISTS kongtx_migrations (subsystem TEXT NOT NULL, name TEXT NOT NULL, "
    "pending INTEGER NOT NULL, at REAL NOT NULL, PRIMARY KEY (subsystem, name))",
    "CREATE TABLE IF NOT EXISTS kongtx_locks (name TEXT PRIMARY KEY, owner TEXT NOT NULL, "
    "expires REAL NOT NULL)",
    "CREATE TABLE IF NOT EXISTS kongtx_tags (tag TEXT NOT NULL, entity_name TEXT NOT NULL, "
    "entity_id TEXT NOT NULL, PRIMARY KEY (tag, entity_name, entity_id)) WITHOUT ROWID",
    "CREATE INDEX IF NOT EXISTS kongtx_tags_by_entity ON kongtx_tags (entity_id, entity_name, tag)",
)


def quote(name: str) -> str:
    """A name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def column(field: str) -> str:
    """The column of a field that is searched by."""
    return quote(f"field_{field}")


@lru_cache(maxsize=256)
def searched(table: Table) -> tuple[str, ...]:
    """The fields that have a column, in its order."""
    fields = (*table.unique, *table.lookup, *(item.field for item in table.references))
    return tuple(dict.fromkeys(fields))


@lru_cache(maxsize=256)
def columns(table: Table) -> tuple[str, ...]:
    """All columns of a table, in the order in which statements name them."""
    return (
        "key",
        "document",
        *(column(field) for field in searched(table)),
        *(("together",) if table.together else ()),
        *(("expires",) if table.expires else ()),
    )


def create(table: Table, catalogue: Catalogue, present: frozenset[str]) -> Iterator[str]:
    """The statements that bring a table to its present form.

    @param present: the columns it has already, without quotes; empty if there is no such table.
    """
    name = quote(table.name)
    references = {item.field: item for item in table.references}
    if not present:
        yield f"CREATE TABLE IF NOT EXISTS {name} (key TEXT PRIMARY KEY, document TEXT NOT NULL)"
    for field in searched(table):
        if f"field_{field}" not in present:
            refers = _refers(references.get(field), catalogue)
            yield f"ALTER TABLE {name} ADD COLUMN {column(field)} TEXT{refers}"
            yield f"UPDATE {name} SET {column(field)} = {_from_document(field)}"
    for extra, kind in (("together", "TEXT"), ("expires", "REAL")):
        if extra not in present and getattr(table, extra):
            yield f"ALTER TABLE {name} ADD COLUMN {extra} {kind}"
    yield from _indexes(table)


def _refers(reference: Reference | None, catalogue: Catalogue) -> str:
    """The constraint of a reference.

    The connector looks after references itself; this also keeps them true for rows of a plugin that
    is not enabled at the time.
    """
    if reference is None or reference.parent not in catalogue.tables:
        return ""
    action = " ON DELETE CASCADE" if reference.cascade else ""
    return f" REFERENCES {quote(reference.parent)} (key){action}"


def _from_document(field: str) -> str:
    """A field's index text, read from the stored entity."""
    path = "'$.\"" + field.replace("'", "''").replace('"', "") + "\"'"
    id_path = path[:-1] + ".id'"
    return (
        f"CASE json_type(document, {path}) WHEN 'object' THEN json_extract(document, {id_path}) "
        f"ELSE CAST(json_extract(document, {path}) AS TEXT) END"
    )


def _indexes(table: Table) -> Iterator[str]:
    name = quote(table.name)
    for field in searched(table):
        index = quote(f"{table.name}_by_{field}")
        if field in table.unique:
            yield f"CREATE UNIQUE INDEX IF NOT EXISTS {index} ON {name} ({column(field)})"
        else:
            yield f"CREATE INDEX IF NOT EXISTS {index} ON {name} ({column(field)}, key)"
    if table.together:
        index = quote(f"{table.name}_by_together")
        yield f"CREATE UNIQUE INDEX IF NOT EXISTS {index} ON {name} (together)"
    if table.expires:
        index = quote(f"{table.name}_by_expires")
        yield f"CREATE INDEX IF NOT EXISTS {index} ON {name} (expires)"


@lru_cache(maxsize=256)
def insert(table: Table) -> str:
    """Add a row; parameters in the order of L{columns}."""
    named = columns(table)
    marks = ", ".join("?" * len(named))
    return f"INSERT INTO {quote(table.name)} ({', '.join(named)}) VALUES ({marks})"


@lru_cache(maxsize=256)
def update(table: Table) -> str:
    """Replace a row; parameters in the order of L{columns} after the key, then the key."""
    named = columns(table)[1:]
    assignments = ", ".join(f"{name} = ?" for name in named)
    return f"UPDATE {quote(table.name)} SET {assignments} WHERE key = ?"
