"""Plain reads of the partition."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import Any

from kongtx.db.cassandra import layout
from kongtx.db.cassandra.layout import Place, joined, parted
from kongtx.db.cassandra.partition import Partition, chunks
from kongtx.db.cassandra.session import Consistency
from kongtx.db.paging import Page, Query, Tags, decode_offset, encode_offset
from kongtx.db.tables import Catalogue, Entity, Table, index_text, plain

_TRIES = 5
_AT_ONCE = 100
_ALL = 2**31 - 1
_AFTER = "\x01"  # behind a text: after every key that begins with it and a separator

Keep = Callable[[Entity], bool]


class Reader:
    """Reads at the consistency that is configured for them.

    @param now: seconds since the epoch, for rows that expire.
    """

    def __init__(self, partition: Partition, now: Callable[[], float]) -> None:
        self._partition = partition
        self._statements = partition.statements
        self._now = now
        self._consistency = Consistency(partition.session.settings.read_consistency)

    async def select(self, table: Table, key: str) -> Entity | None:
        """The entity with a primary key."""
        found = await self._get(table, [key])
        return found.get(key)

    async def select_in(self, table: Table, place: Place | None, keep: Keep) -> Entity | None:
        """The first entity listed in a place.

        @param keep: whether it still belongs there; if not, it was changed between two reads.
        """
        if place is None:
            return None
        for _ in range(_TRIES):
            keys = await self._keys(place, "", _AT_ONCE)
            found = await self._get(table, keys)
            kept = next((entity for entity in found.values() if keep(entity)), None)
            if kept is not None or len(found) == len(keys) == 0 or self._may_expire(table):
                return kept
        return None

    async def page(self, table: Table, query: Query) -> Page:
        """Some entities in the order of their keys."""
        after = "" if query.offset is None else decode_offset(query.offset, 1)[0]
        found: list[tuple[str, Entity]] = []
        async for item in self._entities(table, query, after):
            found.append(item)
            if len(found) > query.size:
                break
        more = len(found) > query.size
        rows = [entity for _, entity in found[: query.size]]
        return Page(rows, encode_offset([found[query.size - 1][0]]) if more else None)

    async def page_tags(
        self, tag: str | None, size: int, offset: str | None, catalogue: Catalogue
    ) -> Page:
        """Some uses of tags, by entity."""
        place = Place(layout.USE, "") if tag is None else layout.tag_place(tag)
        after = ""
        if offset is not None:
            key, name, last = decode_offset(offset, 3)
            after = joined(key, name, last) if tag is None else joined(key, name)
        found: list[tuple[str, str, str]] = []
        while len(found) <= size:
            keys = await self._keys(place, after, size + 1)
            uses = [parted(each) for each in keys]
            full = [(key, name, rest[0] if rest else tag or "") for key, name, *rest in uses]
            found += await self._living(full, catalogue)
            if len(keys) <= size:
                break
            after = keys[-1]
        rows = [
            {"tag": name, "entity_name": entity, "entity_id": key}
            for key, entity, name in found[:size]
        ]
        return Page(rows, encode_offset(found[size - 1]) if len(found) > size else None)

    async def _living(
        self, uses: Sequence[tuple[str, str, str]], catalogue: Catalogue
    ) -> list[tuple[str, str, str]]:
        """Those whose entity has not expired."""
        gone: set[tuple[str, str]] = set()
        for table in catalogue:
            if table.expires and table.tagged:
                keys = {key for key, name, _ in uses if name == table.name}
                found = await self._get(table, sorted(keys))
                gone.update((key, table.name) for key in keys.difference(found))
        return [use for use in uses if use[:2] not in gone]

    async def _entities(
        self, table: Table, query: Query, after: str
    ) -> AsyncIterator[tuple[str, Entity]]:
        """Keys and entities that a query asks for, in order."""
        if query.tags is None and query.reference is None:
            place = [layout.ENTITY, table.name]
            while True:
                rows = await self._rows(self._statements.page, [*place, after, query.size + 1])
                for key, value in rows:
                    entity = json.loads(value)
                    if self._is_alive(table, entity):
                        yield key, entity
                if len(rows) <= query.size:
                    return
                after = rows[-1][0]
        async for keys in self._listed(table, query, after):
            found = await self._get(table, keys)
            for key in keys:
                if key in found and _fits(found[key], query):
                    yield key, found[key]

    async def _listed(self, table: Table, query: Query, after: str) -> AsyncIterator[list[str]]:
        """The keys of those that a query's reference or tags may give, in order, some at a time."""
        if query.tags is not None:
            for some in chunks(await self._tagged(table, query.tags, after), query.size + 1):
                yield some
            return
        assert query.reference is not None
        place = layout.index_of(table.name, *query.reference)
        while place is not None:
            keys = await self._keys(place, after, query.size + 1)
            yield keys
            if len(keys) <= query.size:
                return
            after = keys[-1]

    async def _tagged(self, table: Table, tags: Tags, after: str) -> list[str]:
        sets: list[set[str]] = []
        for tag in dict.fromkeys(tags.names):
            begin = after + _AFTER if after else ""
            keys = await self._keys(layout.tag_place(tag), begin, _ALL)
            uses = (parted(each) for each in keys)
            sets.append({key for key, name in uses if name == table.name})
        if not sets:
            return []
        return sorted(set.union(*sets) if tags.any_of else set.intersection(*sets))

    async def _get(self, table: Table, keys: Iterable[str]) -> dict[str, Entity]:
        """Living entities by key."""
        found: dict[str, Entity] = {}
        for some in chunks(keys, _AT_ONCE):
            place = [layout.ENTITY, table.name]
            for key, value in await self._rows(self._statements.get_several, [*place, some]):
                entity = json.loads(value)
                if self._is_alive(table, entity):
                    found[key] = entity
        return found

    async def _keys(self, place: Place, after: str, limit: int) -> list[str]:
        rows = await self._rows(self._statements.keys, [*place, after, limit])
        return [row[0] for row in rows]

    async def _rows(self, statement: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
        return await self._partition.plain(statement, parameters, self._consistency)

    def _may_expire(self, table: Table) -> bool:
        return table.expires

    def _is_alive(self, table: Table, entity: Entity) -> bool:
        expires = entity.get("ttl") if table.expires else None
        return expires is None or expires > self._now()


def _fits(entity: Entity, query: Query) -> bool:
    """Whether an entity still has what its place was found by."""
    if query.reference is not None:
        field, parent = query.reference
        if plain(entity.get(field)) != parent:
            return False
    if query.tags is None:
        return True
    has = set(entity.get("tags") or ()).intersection(query.tags.names)
    return bool(has) if query.tags.any_of else has == set(query.tags.names)


def has_value(field: str, value: Any) -> Keep:
    """Whether entities have a value in a field."""
    return lambda entity: index_text(entity.get(field)) == index_text(value)
