"""Reading and writing the entities of one schema."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from twisted.logger import Logger

from kongtx.db import errors
from kongtx.db.interfaces import IConnector
from kongtx.db.paging import Page, Query, Tags
from kongtx.db.tables import Entity, Table
from kongtx.db.writes import Delete, Insert, Update, Upsert
from kongtx.schema import Field, Schema, SchemaViolation, TransformationError
from kongtx.schema.secrets import deprecations

if TYPE_CHECKING:
    from kongtx.db.store import Store

PAGE_SIZE = 100
MAX_PAGE_SIZE = 1000
MAX_TTL = 100_000_000
MAX_TAGS = 5
_TRIES = 10
_SLICE = 200  # rows that are made ready before others have their turn

Key = str | Mapping[str, Any]

log = Logger()


class EntityStore:
    """The entities of one schema.

    Keys are primary keys: C{{"id": ...}}, or the id alone. Entities are in the Admin API's form.
    Every method raises L{errors.StoreError}s.
    """

    def __init__(self, store: Store, schema: Schema) -> None:
        self.store = store
        self.schema = schema

    @property
    def table(self) -> Table:
        """What the connector knows of the schema."""
        return self.store.catalogue[self.schema.name]

    # Reading

    async def select(self, key: Key) -> Entity | None:
        """The entity with a primary key; L{None} if there is none.

        @raise InvalidPrimaryKeyError: the key cannot be one.
        """
        row = await self.store.connector.select(self.table, self._key(key))
        return None if row is None else self.show(row)

    async def select_by(self, field: str, value: Any) -> Entity | None:
        """The entity with a value in a unique field.

        @raise InvalidUniqueError: the field cannot have this value.
        """
        row = await self.row_by(field, value)
        return None if row is None else self.show(row)

    async def select_by_cache_key(self, entity: Mapping[str, Any]) -> Entity | None:
        """The entity that has the same values in the fields of the cache key."""
        fields = self.schema.cache_key
        if len(fields) == 1:
            return await self.select_by(fields[0], entity[fields[0]])
        row = await self.store.connector.select_together(self.table, entity)
        return None if row is None else self.show(row)

    async def page(
        self, size: float | None = None, offset: str | None = None, tags: Tags | None = None
    ) -> Page:
        """Some entities, in the order of their ids.

        @param size: how many at most; 100 if not given.
        @param offset: what the page before said.
        @raise InvalidSizeError: not a whole number from 1 to 1000.
        """
        return await self._page(Query(page_size(size), offset, None, check_tags(tags)))

    async def page_for(
        self, field: str, parent: Key, size: float | None = None, offset: str | None = None
    ) -> Page:
        """Some of the entities that refer to a parent by a foreign field."""
        return await self._page(
            Query(page_size(size), offset, (field, self._parent(field, parent)))
        )

    async def each(self, tags: Tags | None = None) -> AsyncIterator[Entity]:
        """All entities, in the order of their ids, read page by page."""
        async for entity in self._each(None, tags):
            yield entity

    async def each_for(self, field: str, parent: Key) -> AsyncIterator[Entity]:
        """All entities that refer to a parent."""
        async for entity in self._each((field, self._parent(field, parent)), None):
            yield entity

    async def _each(
        self, reference: tuple[str, str] | None, tags: Tags | None
    ) -> AsyncIterator[Entity]:
        offset: str | None = None
        while True:
            page = await self._page(Query(MAX_PAGE_SIZE, offset, reference, tags))
            for entity in page.rows:
                yield entity
            offset = page.offset
            if offset is None:
                return

    async def each_stored(self) -> AsyncIterator[Entity]:
        """All rows as they are stored, for exports: C{ttl} is the moment at which a row expires."""
        offset: str | None = None
        while True:
            page = await self.store.connector.page(self.table, Query(MAX_PAGE_SIZE, offset))
            for row in page.rows:
                yield row
            offset = page.offset
            if offset is None:
                return

    # Writing

    async def insert(self, data: Mapping[str, Any]) -> Entity:
        """Create an entity.

        @param data: what a client sent; C{ttl}, where entities expire, in seconds from now.
        @return: the whole entity.
        """
        entity = await self.prepare_insert(data)
        changes = await self.store.apply([Insert(self.table, entity)])
        return self.show(changes[0][0].new or entity)

    async def update(self, key: Key, data: Mapping[str, Any]) -> Entity:
        """Change some fields; records merge, all else is replaced.

        A change by someone else meanwhile is kept: the new values go on top of it.

        @raise EntityNotFoundError: there is no such entity.
        """
        key = self._key(key)
        for _ in range(_TRIES):
            row = await self.store.primary.select(self.table, key)
            if row is None:
                raise errors.EntityNotFoundError.by_key(key)
            try:
                return await self._replace(row, data)
            except errors.ConflictError:
                continue
        raise self._contended()

    async def update_by(self, field: str, value: Any, data: Mapping[str, Any]) -> Entity:
        """As L{update}, of the entity with a value in a unique field."""
        row = await self.current_row_by(field, value)
        if row is None:
            raise errors.EntityNotFoundError.by_field({field: value})
        with _by(field):
            return await self.update(self.schema.primary_key_of(row), data)

    async def upsert(self, key: Key, data: Mapping[str, Any]) -> Entity:
        """Create an entity or replace it as a whole: what is not given becomes its default."""
        entity = await self.prepare_upsert(self._key(key), data)
        changes = await self.store.apply([Upsert(self.table, entity)])
        return self.show(changes[0][0].new or entity)

    async def upsert_by(self, field: str, value: Any, data: Mapping[str, Any]) -> Entity:
        """As L{upsert}, of the entity with a value in a unique field; its key stays."""
        data = {**data, field: value}
        with _by(field):
            for _ in range(_TRIES):
                row = await self.current_row_by(field, value)
                if row is not None:
                    return await self.upsert(self.schema.primary_key_of(row), data)
                entity = await self.prepare_upsert({}, data)
                write = Upsert if self.store.connector.read_only else Insert
                try:
                    changes = await self.store.apply([write(self.table, entity)])
                except errors.UniqueViolationError as error:
                    if error.fields != {field: value}:
                        raise
                    continue  # someone else has created it meanwhile
                return self.show(changes[0][0].new or entity)
        raise self._contended()

    async def delete(self, key: Key) -> bool:
        """Remove an entity and those that cascade from it.

        @return: whether it was there.
        @raise ForeignKeyViolationError: others refer to it.
        """
        changes = await self.store.apply([Delete(self.table, self._key(key))])
        return bool(changes[0])

    async def delete_by(self, field: str, value: Any) -> bool:
        """As L{delete}, of the entity with a value in a unique field."""
        row = await self.current_row_by(field, value)
        if row is None:
            return False
        with _by(field):
            return await self.delete(self.schema.primary_key_of(row))

    # Parts of operations, for those that write more than one row

    async def prepare_insert(self, data: Mapping[str, Any]) -> Entity:
        """The row to insert for what a client sent."""
        data, ttl = self._split_ttl(data)
        data = await self.resolve(data)
        try:
            entity = self.schema.process_insert(data, self.store.context())
        except (SchemaViolation, TransformationError) as error:
            raise _store_error(error) from None
        self._warn(data)
        return self._finish(entity, self._expiry(ttl))

    async def prepare_upsert(self, key: Mapping[str, Any], data: Mapping[str, Any]) -> Entity:
        """The row to put in the place of what has the key; with an empty one, a new row."""
        data, ttl = self._split_ttl(data)
        data = await self.resolve({**data, **key})
        try:
            entity = self.schema.process_upsert(data, self.store.context())
        except (SchemaViolation, TransformationError) as error:
            raise _store_error(error) from None
        self._warn(data)
        return self._finish(entity, self._expiry(ttl))

    async def prepare_update(self, row: Entity, data: Mapping[str, Any]) -> Update:
        """The write that changes a row as it was read."""
        changes, ttl = self._split_ttl(data)
        changes = await self.resolve(changes)
        self._refuse_other_key(row, changes)
        try:
            entity = self.schema.process_update(changes, row, self.store.context())
        except (SchemaViolation, TransformationError) as error:
            raise _store_error(error) from None
        self._warn({**changes, **self._kind_of(row)})
        entity.update(self.schema.primary_key_of(row))
        expires = row.get("ttl") if ttl is None else self._expiry(ttl)
        return Update(self.table, self._finish(entity, expires), was=row)

    def restored(self, row: Mapping[str, Any]) -> Upsert:
        """The write that puts back what L{each_stored} gave, or a declarative configuration has."""
        entity = {
            name: value
            for name, value in row.items()
            if name not in self.schema.fields or not self.schema.fields[name].get("transient")
        }
        return Upsert(self.table, self._finish(entity, entity.get("ttl")))

    async def resolve(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """The data with parents named by unique fields replaced by references to their ids.

        @raise ForeignKeysUnresolvedError: there are no such parents.
        """
        out = dict(data)
        unresolved: dict[str, list[tuple[str, Any, str]]] = {}
        for lookup in self.schema.foreign_lookups(data):
            parents = self.store[lookup.entity]
            for name, value in lookup.candidates:
                parent = await parents.current_row_by(name, value)
                if parent is not None:
                    out[lookup.field] = parents.schema.primary_key_of(parent)
                    unresolved.pop(lookup.field, None)
                    break
                unresolved.setdefault(lookup.field, []).append((name, value, lookup.entity))
        if unresolved:
            raise errors.ForeignKeysUnresolvedError(unresolved)
        return out

    async def row_by(self, field: str, value: Any) -> Entity | None:
        """The stored row with a value in a unique field."""
        return await self._row_by(self.store.connector, field, value)

    async def current_row_by(self, field: str, value: Any) -> Entity | None:
        """As L{row_by}, for a write to follow."""
        return await self._row_by(self.store.primary, field, value)

    async def _row_by(self, connector: IConnector, field: str, value: Any) -> Entity | None:
        error = self.schema.validate_unique(field, value)
        if error is not None:
            raise errors.InvalidUniqueError(field, str(error))
        return await connector.select_by(self.table, field, value)

    def show(self, row: Entity) -> Entity:
        """A stored row as reads show it."""
        entity = self.schema.read(row)
        expires = entity.get("ttl")
        if expires is not None and self.schema.ttl:
            entity["ttl"] = max(0, math.ceil(expires - self.store.clock()))
        return entity

    async def _page(self, query: Query) -> Page:
        page = await self.store.connector.page(self.table, query)
        shown: list[Entity] = []
        for start in range(0, len(page.rows), _SLICE):
            if start:
                await self.store.pause()
            shown += [self.show(row) for row in page.rows[start : start + _SLICE]]
        return Page(shown, page.offset)

    async def _replace(self, row: Entity, data: Mapping[str, Any]) -> Entity:
        write = await self.prepare_update(row, data)
        changes = await self.store.apply([write])
        return self.show(changes[0][0].new or write.entity)

    def _kind_of(self, row: Entity) -> Entity:
        """What chooses the subschema of a row."""
        key = self.schema.subschema_key
        return {} if key is None else {key: row[key]}

    def _warn(self, data: Mapping[str, Any]) -> None:
        """Tell the log of deprecated fields that a client has used."""
        for message in deprecations(self.schema, data):
            log.warn("{message}", message=message)

    def _contended(self) -> errors.StoreError:
        return errors.DatabaseError(f"{self.schema.name}: changed by others all the time")

    def _key(self, key: Key) -> dict[str, Any]:
        given = {self.schema.primary_key[0]: key} if isinstance(key, str) else dict(key)
        found = self.schema.validate_primary_key(given)
        if found:
            raise errors.InvalidPrimaryKeyError(found)
        return {name: canonical(self.schema.fields[name], value) for name, value in given.items()}

    def _parent(self, field: str, parent: Key) -> str:
        target = self.store[self.schema.fields[field].reference]
        return target.table.key_of(target._key(parent))

    def _finish(self, entity: Entity, expires: float | None) -> Entity:
        for name in self.schema.primary_key:
            entity[name] = canonical(self.schema.fields[name], entity[name])
        for name in self.schema.foreign_fields:
            if isinstance(entity.get(name), dict):
                entity[name] = {key: _lower(value) for key, value in entity[name].items()}
        if self.schema.ttl:
            entity["ttl"] = expires
        return entity

    def _refuse_other_key(self, row: Entity, changes: Mapping[str, Any]) -> None:
        """Nobody can mean to rename an id; Kong would look for another row."""
        for name in self.schema.primary_key:
            field = self.schema.fields[name]
            if name in changes and canonical(field, changes[name]) != row[name]:
                raise errors.SchemaViolationError({name: "immutable field cannot be updated"})

    def _split_ttl(self, data: Mapping[str, Any]) -> tuple[Mapping[str, Any], Any]:
        if not self.schema.ttl or "ttl" not in data:
            return data, None
        rest = dict(data)
        return rest, rest.pop("ttl")

    def _expiry(self, ttl: Any) -> float | None:
        if ttl is None:
            return None
        whole = isinstance(ttl, (int, float)) and not isinstance(ttl, bool) and ttl == ttl // 1
        if not whole or not 0 <= ttl <= MAX_TTL:
            raise errors.InvalidOptionsError({"ttl": f"must be an integer between 0 and {MAX_TTL}"})
        return self.store.clock() + ttl if ttl else None


@contextmanager
def _by(field: str) -> Iterator[None]:
    """Say in the message of a read-only database what the entity was looked for by."""
    try:
        yield
    except errors.OperationUnsupportedError as error:
        text = error.message.replace("entities when", f"entities by '{field}' when")
        raise errors.OperationUnsupportedError(text) from None


def canonical(field: Field, value: Any) -> Any:
    """A key's value as it is stored: UUIDs in lower case."""
    return value.lower() if field.get("uuid") and isinstance(value, str) else value


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


def page_size(size: float | None) -> int:
    """The size of a page, checked.

    @raise InvalidSizeError: not a whole number from 1 to 1000.
    """
    if size is None:
        return PAGE_SIZE
    if size != size // 1 or not 1 <= size <= MAX_PAGE_SIZE:
        raise errors.InvalidSizeError(f"size must be an integer between 1 and {MAX_PAGE_SIZE}")
    return int(size)


def check_tags(tags: Tags | None) -> Tags | None:
    """A filter, checked.

    @raise InvalidOptionsError: too many tags, or none that could be.
    """
    if tags is None:
        return None
    if len(tags.names) > MAX_TAGS:
        raise errors.InvalidOptionsError({"tags": f"cannot query more than {MAX_TAGS} tags"})
    return tags


def _store_error(error: SchemaViolation | TransformationError) -> errors.StoreError:
    if isinstance(error, SchemaViolation):
        return errors.SchemaViolationError(error.fields)
    return errors.TransformationError(str(error))
