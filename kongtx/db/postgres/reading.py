"""Reading rows: one statement each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kongtx.db.paging import Page, Query, decode_offset, encode_offset, storable
from kongtx.db.postgres import layout
from kongtx.db.postgres.layout import column, name_of
from kongtx.db.postgres.link import Link
from kongtx.db.postgres.moment import Moment
from kongtx.db.tables import Catalogue, Entity, Table, key_text


class Reader:
    """Reads through whatever connection it is given."""

    def __init__(self, catalogue: Catalogue, moment: Moment) -> None:
        self._expiring = [table for table in catalogue if table.expires]
        self._moment = moment

    async def select(self, link: Link, table: Table, key: Mapping[str, Any]) -> Entity | None:
        """The row with a primary key."""
        text = key_text([key[field] for field in table.key])
        return await self._row(link, table, "key", text)

    async def select_by(self, link: Link, table: Table, field: str, value: Any) -> Entity | None:
        """A row with a value in a field that is searched by."""
        text = layout.search_text(table, field, value)
        return await self._row(link, table, column(field), text)

    async def select_together(
        self, link: Link, table: Table, entity: Mapping[str, Any]
    ) -> Entity | None:
        """The row with the same values in the fields that must differ together."""
        return await self._row(link, table, "together", layout.together_text(table, entity))

    async def _row(self, link: Link, table: Table, where: str, text: str | None) -> Entity | None:
        if text is None or not storable(text):
            return None
        alive = "".join(f" AND {condition}" for condition in self._alive(table))
        statement = f"SELECT document FROM {name_of(table.name)} WHERE {where} = $1{alive} LIMIT 1"
        found = await link.look_up(statement, text)
        return found[0][0] if found else None

    async def page(self, link: Link, table: Table, query: Query) -> Page:
        """Some rows in the order of their keys."""
        conditions, parameters = self._conditions(table, query)
        where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
        found = await link.execute(
            f"SELECT key, document FROM {name_of(table.name)} {where} ORDER BY key LIMIT %s",
            [*parameters, query.size + 1],
        )
        more = len(found) > query.size
        rows = [document for _, document in found[: query.size]]
        return Page(rows, encode_offset([found[query.size - 1][0]]) if more else None)

    def _conditions(self, table: Table, query: Query) -> tuple[list[str], list[Any]]:
        conditions = self._alive(table)
        parameters: list[Any] = []
        if query.offset is not None:
            conditions.append("key > %s")
            parameters += decode_offset(query.offset, 1)
        if query.reference is not None:
            field, parent = query.reference
            conditions.append(f"{column(field)} = %s")
            parameters.append(parent)
        if query.tags is not None:
            names = list(dict.fromkeys(query.tags.names))
            conditions.append(
                "key IN (SELECT entity_id FROM kongtx_tags WHERE entity_name = %s AND "
                "tag = ANY(%s) GROUP BY entity_id HAVING COUNT(*) >= %s)"
            )
            parameters += [table.name, names, 1 if query.tags.any_of else len(names)]
        return conditions, parameters

    async def page_tags(self, link: Link, tag: str | None, size: int, offset: str | None) -> Page:
        """Some uses of tags, by entity."""
        conditions, parameters = ["true"], []
        if tag is not None:
            conditions.append("tag = %s")
            parameters.append(tag)
        if offset is not None:
            conditions.append("(entity_id, entity_name, tag) > (%s, %s, %s)")
            parameters += decode_offset(offset, 3)
        for table in self._expiring:
            conditions.append(
                f"NOT (entity_name = %s AND entity_id IN (SELECT key FROM {name_of(table.name)} "
                f"WHERE expires <= {self._moment}))"
            )
            parameters.append(table.name)
        found = await link.execute(
            "SELECT entity_id, entity_name, tag FROM kongtx_tags "
            f"WHERE {' AND '.join(conditions)} ORDER BY entity_id, entity_name, tag LIMIT %s",
            [*parameters, size + 1],
        )
        rows = [
            {"tag": name, "entity_name": entity, "entity_id": key}
            for key, entity, name in found[:size]
        ]
        return Page(rows, encode_offset(found[size - 1]) if len(found) > size else None)

    def _alive(self, table: Table) -> list[str]:
        return [f"(expires IS NULL OR expires > {self._moment})"] if table.expires else []
