"""The database's work on one connection: synchronous, for one thread at a time."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from kongtx.db import errors
from kongtx.db.paging import Page, Query, decode_offset, encode_offset
from kongtx.db.sqlite import layout
from kongtx.db.sqlite.layout import column, quote
from kongtx.db.tables import Catalogue, Entity, Table, index_text, key_text, plain
from kongtx.db.writes import Change, Delete, Increment, Insert, Update, Write

_dump = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode


class Engine:
    """Reads and writes through one connection.

    @param connection: in autocommit mode, with foreign keys enforced.
    @param catalogue: the tables.
    @param now: seconds since the epoch, for rows that expire.
    """

    def __init__(
        self, connection: sqlite3.Connection, catalogue: Catalogue, now: Callable[[], float]
    ) -> None:
        self.connection = connection
        self.catalogue = catalogue
        self._now = now
        self._expiring = [table for table in catalogue if table.expires]

    # Reading

    def select(self, table: Table, key: Mapping[str, Any]) -> Entity | None:
        """The row with a primary key."""
        return self._row(table, "key", key_text([key[field] for field in table.key]))

    def select_by(self, table: Table, field: str, value: Any) -> Entity | None:
        """A row with a value in a field that is searched by."""
        return self._row(table, column(field), index_text(value))

    def select_together(self, table: Table, entity: Mapping[str, Any]) -> Entity | None:
        """The row with the same values in the fields that must differ together."""
        return self._row(table, "together", table.together_of(entity))

    def page(self, table: Table, query: Query) -> Page:
        """Some rows in the order of their keys."""
        conditions, parameters = self._conditions(table, query)
        where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
        found = self.connection.execute(
            f"SELECT key, document FROM {quote(table.name)} {where} ORDER BY key LIMIT ?",
            (*parameters, query.size + 1),
        ).fetchall()
        more = len(found) > query.size
        rows = [json.loads(document) for _, document in found[: query.size]]
        return Page(rows, encode_offset([found[query.size - 1][0]]) if more else None)

    def page_tags(self, tag: str | None, size: int, offset: str | None) -> Page:
        """Some uses of tags, by entity."""
        conditions, parameters = ["1"], []
        if tag is not None:
            conditions.append("tag = ?")
            parameters.append(tag)
        if offset is not None:
            conditions.append("(entity_id, entity_name, tag) > (?, ?, ?)")
            parameters += decode_offset(offset, 3)
        now = str(self._now())
        for table in self._expiring:
            conditions.append(
                f"NOT (entity_name = ? AND entity_id IN (SELECT key FROM {quote(table.name)} "
                "WHERE expires <= CAST(? AS REAL)))"
            )
            parameters += [table.name, now]
        found = self.connection.execute(
            "SELECT entity_id, entity_name, tag FROM kongtx_tags "
            f"WHERE {' AND '.join(conditions)} ORDER BY entity_id, entity_name, tag LIMIT ?",
            (*parameters, size + 1),
        ).fetchall()
        rows = [
            {"tag": name, "entity_name": entity, "entity_id": key}
            for key, entity, name in found[:size]
        ]
        return Page(rows, encode_offset(found[size - 1]) if len(found) > size else None)

    def _row(self, table: Table, where: str, text: str | None) -> Entity | None:
        if text is None:
            return None
        alive, parameters = self._alive(table)
        found = self.connection.execute(
            f"SELECT document FROM {quote(table.name)} WHERE {where} = ?{alive} LIMIT 1",
            (text, *parameters),
        ).fetchone()
        return None if found is None else json.loads(found[0])

    def _alive(self, table: Table) -> tuple[str, tuple[float, ...]]:
        if not table.expires:
            return "", ()
        return " AND (expires IS NULL OR expires > ?)", (self._now(),)

    def _conditions(self, table: Table, query: Query) -> tuple[list[str], list[Any]]:
        conditions: list[str] = []
        parameters: list[Any] = []
        if query.offset is not None:
            conditions.append("key > ?")
            parameters += decode_offset(query.offset, 1)
        if query.reference is not None:
            conditions.append(f"{column(query.reference[0])} = ?")
            parameters.append(query.reference[1])
        if query.tags is not None:
            names = list(dict.fromkeys(query.tags.names))
            conditions.append(
                "key IN (SELECT entity_id FROM kongtx_tags WHERE entity_name = ? AND tag IN "
                f"({', '.join('?' * len(names))}) GROUP BY entity_id HAVING COUNT(*) >= ?)"
            )
            parameters += [table.name, *names, 1 if query.tags.any_of else len(names)]
        alive, more = self._alive(table)
        if alive:
            conditions.append(alive.removeprefix(" AND "))
            parameters += more
        return conditions, parameters

    # Writing

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Keep all that is done inside, durably, or nothing of it."""
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self.connection.execute("COMMIT")
        except BaseException:
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")
            raise

    def apply_all(self, batches: Iterable[Sequence[Write]]) -> list[list[list[Change]] | Exception]:
        """Do several batches under one commit, each of them wholly or not at all.

        @return: for each batch its changes, or why it was refused.
        """
        results: list[list[list[Change]] | Exception] = []
        with self.transaction():
            self._purge()
            for batch in batches:
                try:
                    with self._part():
                        results.append([self._write(write) for write in batch])
                except (errors.StoreError, errors.ConflictError) as error:
                    results.append(error)
        return results

    @contextmanager
    def _part(self) -> Iterator[None]:
        """A part of a transaction that is undone by itself when it fails."""
        self.connection.execute("SAVEPOINT part")
        try:
            yield
        except Exception:
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK TO part")
                self.connection.execute("RELEASE part")
            raise
        self.connection.execute("RELEASE part")

    def purge_expired(self) -> int:
        """Remove rows whose time is over."""
        with self.transaction():
            return self._purge()

    def _purge(self) -> int:
        removed, now = 0, self._now()
        for table in self._expiring:
            due = self.connection.execute(
                f"SELECT key FROM {quote(table.name)} WHERE expires <= ?", (now,)
            ).fetchall()
            for (key,) in due:
                # What others still refer to has to wait for them.
                with suppress(errors.ForeignKeyViolationError), self._part():
                    removed += len(self._delete(table, key))
        return removed

    def _write(self, write: Write) -> list[Change]:
        if isinstance(write, Delete):
            table = write.table
            return self._delete(table, key_text([write.key[field] for field in table.key]))
        table, entity = write.table, write.entity
        key = table.key_of(entity)
        old = self._stored(table, key)
        if isinstance(write, Increment) and old is not None:
            entity = {**old, write.field: old[write.field] + entity[write.field]}
        if isinstance(write, Insert) and old is not None:
            raise errors.PrimaryKeyViolationError({field: entity[field] for field in table.key})
        if isinstance(write, Update):
            if old is None:
                raise errors.EntityNotFoundError.by_key({item: entity[item] for item in table.key})
            if write.was is not None and write.was != old:
                raise errors.ConflictError(
                    f"the {table.name} entity {key} was changed by someone else meanwhile"
                )
        self._check(table, entity, key)
        values = self._values(table, entity)
        if old is None:
            self.connection.execute(layout.insert(table), (key, *values))
        else:
            self.connection.execute(layout.update(table), (*values, key))
        if table.tagged:
            self._tag(table, key, entity, old)
        return [Change(table, entity, old)]

    def _stored(self, table: Table, key: str) -> Entity | None:
        found = self.connection.execute(
            f"SELECT document FROM {quote(table.name)} WHERE key = ?", (key,)
        ).fetchone()
        return None if found is None else json.loads(found[0])

    def _check(self, table: Table, entity: Entity, key: str) -> None:
        """Uniqueness and references, asked first so that the error can name the field."""
        for field in table.unique:
            if self._taken(table, column(field), index_text(entity.get(field)), key):
                raise errors.UniqueViolationError({field: entity[field]})
        if table.together and self._taken(table, "together", table.together_of(entity), key):
            raise errors.UniqueViolationError({item: entity.get(item) for item in table.together})
        for reference in table.references:
            parent_key = plain(entity.get(reference.field))
            if parent_key is None or reference.parent not in self.catalogue.tables:
                continue
            found = self.connection.execute(
                f"SELECT 1 FROM {quote(reference.parent)} WHERE key = ?", (parent_key,)
            ).fetchone()
            if found is None:
                raise errors.ForeignKeyViolationError.dangling(
                    reference.field, entity[reference.field], reference.parent
                )

    def _taken(self, table: Table, where: str, text: str | None, key: str) -> bool:
        if text is None:
            return False
        found = self.connection.execute(
            f"SELECT 1 FROM {quote(table.name)} WHERE {where} = ? AND key <> ?", (text, key)
        ).fetchone()
        return found is not None

    def _values(self, table: Table, entity: Entity) -> list[Any]:
        """The values of all columns after the key."""
        values: list[Any] = [_dump(entity)]
        values += [index_text(entity.get(field)) for field in layout.searched(table)]
        if table.together:
            values.append(table.together_of(entity))
        if table.expires:
            values.append(entity.get("ttl"))
        return values

    def _tag(self, table: Table, key: str, entity: Entity, old: Entity | None) -> None:
        before = set((old or {}).get("tags") or ())
        after = set(entity.get("tags") or ())
        if before != after:
            self._untag(table, key)
            self.connection.executemany(
                "INSERT INTO kongtx_tags (tag, entity_name, entity_id) VALUES (?, ?, ?)",
                [(tag, table.name, key) for tag in after],
            )

    def _untag(self, table: Table, key: str) -> None:
        self.connection.execute(
            "DELETE FROM kongtx_tags WHERE entity_id = ? AND entity_name = ?", (key, table.name)
        )

    def _delete(self, table: Table, key: str) -> list[Change]:
        old = self._stored(table, key)
        if old is None:
            return []
        changes = [Change(table, None, old)]
        for child, reference in self.catalogue.children_of(table.name):
            found = self.connection.execute(
                f"SELECT key FROM {quote(child.name)} WHERE {column(reference.field)} = ?", (key,)
            ).fetchall()
            if found and not reference.cascade:
                raise errors.ForeignKeyViolationError.restricted(table.name, child.name)
            for (child_key,) in found:
                changes += self._delete(child, child_key)
        if table.tagged:
            self._untag(table, key)
        self.connection.execute(f"DELETE FROM {quote(table.name)} WHERE key = ?", (key,))
        return changes
