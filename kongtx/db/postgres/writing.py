"""Writing rows: first in few statements, as if all were well; then, if not, one by one.

The second way asks before it writes, so that an error can name the field. What others do between
the question and the write, the database's constraints refuse; then the transaction is tried again,
and the question finds it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

from kongtx.db import errors
from kongtx.db.postgres import layout
from kongtx.db.postgres.failures import Violated
from kongtx.db.postgres.layout import column, columns, name_of
from kongtx.db.postgres.moment import Moment
from kongtx.db.postgres.transaction import Transaction
from kongtx.db.tables import Catalogue, Entity, Table, key_text, plain
from kongtx.db.writes import Change, Delete, Increment, Insert, Update, Upsert, Write

#: Rows of one statement.
CHUNK = 500
#: Characters of documents of one statement.
CHUNK_SIZE = 2_000_000
#: Rows that are purged at a time.
PURGE = 1000


def is_plain(writes: Sequence[Write]) -> bool:
    """Whether writes can be made together: none depends on what another has done."""
    seen = set()
    for write in writes:
        if isinstance(write, Delete):
            return False
        if write.table.expires and not isinstance(write, Insert):
            return False
        seen.add((write.table.name, write.table.key_of(write.entity)))
    return len(seen) == len(writes)


async def write_together(transaction: Transaction, writes: Sequence[Write]) -> list[list[Change]]:
    """Make L{plain<is_plain>} writes.

    @raise Violated: something is wrong with them, or others do the same.
    @raise StoreError: as told by L{IConnector.apply}.
    """
    stored = await _stored(transaction, writes)
    changes = []
    for write in writes:
        assert not isinstance(write, Delete)
        key = write.table.key_of(write.entity)
        old = stored.get((write.table.name, key))
        changes.append(Change(write.table, _replacement(write, key, old), old))
    kinds = groupby(changes, key=lambda change: (change.table, change.old is None))
    for (table, is_new), group in kinds:
        await put_rows(transaction, table, list(group), is_new=is_new)
        if transaction.gathered > CHUNK:
            await transaction.flush()
    return [[change] for change in changes]


async def _stored(
    transaction: Transaction, writes: Sequence[Write]
) -> dict[tuple[str, str], Entity]:
    """The rows that writes replace, by table and key, held until the end."""
    keys: dict[str, list[str]] = {}
    for write in writes:
        if not isinstance(write, Insert | Delete):
            keys.setdefault(write.table.name, []).append(write.table.key_of(write.entity))
    found: dict[tuple[str, str], Entity] = {}
    for table in sorted(keys):
        wanted = sorted(keys[table])
        for first in range(0, len(wanted), CHUNK):
            rows = await transaction.query(
                f"SELECT key, document FROM {name_of(table)} WHERE key = ANY(%s) "
                "ORDER BY key FOR UPDATE",
                [wanted[first : first + CHUNK]],
            )
            found.update(((table, key), document) for key, document in rows)
    return found


def _replacement(
    write: Insert | Update | Upsert | Increment, key: str, old: Entity | None
) -> Entity:
    """What a row becomes."""
    table, entity = write.table, write.entity
    if isinstance(write, Increment) and old is not None:
        return {**old, write.field: old[write.field] + entity[write.field]}
    if isinstance(write, Insert) and old is not None:
        raise errors.PrimaryKeyViolationError({field: entity[field] for field in table.key})
    if isinstance(write, Update):
        if old is None:
            raise errors.EntityNotFoundError.by_key({field: entity[field] for field in table.key})
        if write.was is not None and write.was != old:
            raise errors.ConflictError(
                f"the {table.name} entity {key} was changed by someone else meanwhile"
            )
    return entity


async def put_rows(
    transaction: Transaction, table: Table, changes: Sequence[Change], *, is_new: bool
) -> None:
    """Insert rows, or replace rows that are there and held.

    The last of them are only gathered, not sent.
    """
    rows: list[list[Any]] = []
    size = 0
    for change in changes:
        assert change.new is not None
        row = layout.values(table, change.new)
        length = len(row[1])
        if rows and (len(rows) >= CHUNK or size + length > CHUNK_SIZE):
            _add_rows(transaction, table, rows, is_new=is_new)
            await transaction.flush()
            rows, size = [], 0
        rows.append(row)
        size += length
    _add_rows(transaction, table, rows, is_new=is_new)
    if table.tagged:
        await _tag(transaction, table, changes)


def _add_rows(
    transaction: Transaction, table: Table, rows: Sequence[Sequence[Any]], *, is_new: bool
) -> None:
    named = columns(table)
    marks = f"({', '.join(['%s'] * len(named))})"
    statement = (
        f"INSERT INTO {name_of(table.name)} ({', '.join(named)}) "
        f"VALUES {', '.join([marks] * len(rows))}"
    )
    if not is_new:
        assignments = ", ".join(f"{name} = excluded.{name}" for name in named[1:])
        statement += f" ON CONFLICT (key) DO UPDATE SET {assignments}"
    transaction.add(statement, [value for row in rows for value in row])


async def _tag(transaction: Transaction, table: Table, changes: Sequence[Change]) -> None:
    tagged: list[tuple[str, str]] = []
    retagged: list[str] = []
    for change in changes:
        before = set((change.old or {}).get("tags") or ())
        after = set((change.new or {}).get("tags") or ())
        if before == after:
            continue
        key = table.key_of(change.new or {})
        tagged += [(tag, key) for tag in sorted(after)]
        if before:
            retagged.append(key)
    if retagged:
        untag(transaction, table, retagged)
    for first in range(0, len(tagged), CHUNK):
        if first:
            await transaction.flush()
        part = tagged[first : first + CHUNK]
        transaction.add(
            "INSERT INTO kongtx_tags (tag, entity_name, entity_id) "
            f"VALUES {', '.join(['(%s, %s, %s)'] * len(part))}",
            [value for tag, key in part for value in (tag, table.name, key)],
        )


def untag(transaction: Transaction, table: Table, keys: Sequence[str]) -> None:
    """Remove the tags of rows."""
    transaction.add(
        "DELETE FROM kongtx_tags WHERE entity_id = ANY(%s) AND entity_name = %s",
        [list(keys), table.name],
    )


class Writer:
    """Writes one by one in a transaction, with questions before.

    @param catalogue: all tables.
    """

    def __init__(self, catalogue: Catalogue, moment: Moment) -> None:
        self._catalogue = catalogue
        self._moment = moment
        self._expiring = [table for table in catalogue if table.expires]

    async def write(self, transaction: Transaction, write: Write) -> list[Change]:
        """Make a write.

        @raise Violated: others do something at the same time that does not go with it.
        @raise StoreError: as told by L{IConnector.apply}.
        """
        table = write.table
        if isinstance(write, Delete):
            key = key_text([write.key[field] for field in table.key])
            return await self.delete(transaction, table, key)
        key = table.key_of(write.entity)
        old = await self._stored(transaction, table, key)
        change = Change(table, _replacement(write, key, old), old)
        await self._check(transaction, table, change.new or {}, key)
        await put_rows(transaction, table, [change], is_new=old is None)
        return [change]

    async def _stored(self, transaction: Transaction, table: Table, key: str) -> Entity | None:
        found = await transaction.query(
            f"SELECT document FROM {name_of(table.name)} WHERE key = %s FOR UPDATE", [key]
        )
        return found[0][0] if found else None

    async def _check(
        self, transaction: Transaction, table: Table, entity: Entity, key: str
    ) -> None:
        """Uniqueness and references, all with one question."""
        questions: list[tuple[str, list[Any], Exception]] = []
        for where, text, fields in _unique(table, entity):
            if text is not None:
                question = (
                    f"EXISTS (SELECT 1 FROM {name_of(table.name)} WHERE {where} = %s AND key <> %s)"
                )
                questions.append((question, [text, key], errors.UniqueViolationError(fields)))
        for reference in table.references:
            parent = plain(entity.get(reference.field))
            if parent is not None and reference.parent in self._catalogue.tables:
                question = f"NOT EXISTS (SELECT 1 FROM {name_of(reference.parent)} WHERE key = %s)"
                dangling = errors.ForeignKeyViolationError.dangling(
                    reference.field, entity[reference.field], reference.parent
                )
                questions.append((question, [parent], dangling))
        if not questions:
            return
        [answers] = await transaction.query(
            f"SELECT {', '.join(question for question, _, _ in questions)}",
            [value for _, parameters, _ in questions for value in parameters],
        )
        for is_wrong, (_, _, error) in zip(answers, questions, strict=True):
            if is_wrong:
                raise error

    async def delete(self, transaction: Transaction, table: Table, key: str) -> list[Change]:
        """Remove a row and what goes with it."""
        old = await self._stored(transaction, table, key)
        if old is None:
            return []
        changes = [Change(table, None, old)]
        for child, reference in self._catalogue.children_of(table.name):
            found = await transaction.query(
                f"SELECT key FROM {name_of(child.name)} WHERE {column(reference.field)} = %s "
                "ORDER BY key",
                [key],
            )
            if found and not reference.cascade:
                raise errors.ForeignKeyViolationError.restricted(table.name, child.name)
            for (child_key,) in found:
                changes += await self.delete(transaction, child, child_key)
        if table.tagged:
            untag(transaction, table, [key])
        transaction.add(f"DELETE FROM {name_of(table.name)} WHERE key = %s", [key])
        return changes

    async def purge(self, transaction: Transaction) -> tuple[int, bool]:
        """Remove some of the rows whose time is over.

        @return: how many, and whether there may be more.
        """
        if not self._expiring:
            return 0, False
        moment = str(self._moment)
        due = [
            f"EXISTS (SELECT 1 FROM {name_of(table.name)} WHERE expires <= {moment})"
            for table in self._expiring
        ]
        [answers] = await transaction.query(f"SELECT {', '.join(due)}")
        removed, more = 0, False
        for is_due, table in zip(answers, self._expiring, strict=True):
            if is_due:
                purge = self._purge_needed if self._is_parent(table) else self._purge_free
                count, is_full = await purge(transaction, table, moment)
                removed += count
                more = more or is_full
        return removed, more

    def _is_parent(self, table: Table) -> bool:
        return bool(self._catalogue.children_of(table.name))

    async def _purge_free(
        self, transaction: Transaction, table: Table, moment: str
    ) -> tuple[int, bool]:
        """Remove rows that no others can refer to."""
        name = name_of(table.name)
        gone = await transaction.query(
            f"DELETE FROM {name} WHERE key IN (SELECT key FROM {name} WHERE expires <= {moment} "
            f"ORDER BY expires LIMIT {PURGE} FOR UPDATE SKIP LOCKED) RETURNING key"
        )
        if gone and table.tagged:
            untag(transaction, table, [key for (key,) in gone])
        return len(gone), len(gone) == PURGE

    async def _purge_needed(
        self, transaction: Transaction, table: Table, moment: str
    ) -> tuple[int, bool]:
        """Remove rows that others may refer to, and leave those that they need."""
        due = await transaction.query(
            f"SELECT key FROM {name_of(table.name)} WHERE expires <= {moment} "
            f"ORDER BY expires LIMIT {PURGE} FOR UPDATE SKIP LOCKED"
        )
        removed = 0
        for (key,) in due:
            await transaction.query("SAVEPOINT due")
            try:
                removed += len(await self.delete(transaction, table, key))
                await transaction.query("RELEASE due")
            except (errors.ForeignKeyViolationError, Violated):
                await transaction.query("ROLLBACK TO due")
        return removed, removed > 0 and len(due) == PURGE


def _unique(
    table: Table, entity: Mapping[str, Any]
) -> Iterable[tuple[str, str | None, dict[str, Any]]]:
    """What must differ from other rows: the column, its text, and the fields for the error."""
    for field in table.unique:
        text = layout.search_text(table, field, entity.get(field))
        yield column(field), text, {field: entity.get(field)}
    if table.together:
        together = {field: entity.get(field) for field in table.together}
        yield "together", layout.together_text(table, entity), together
