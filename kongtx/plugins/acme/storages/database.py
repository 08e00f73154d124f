"""C{kong}: in the store, which nodes may share."""

from __future__ import annotations

from typing import Any

from zope.interface import implementer

from kongtx.db.errors import UniqueViolationError
from kongtx.plugins.acme.storages.interfaces import IStorage


@implementer(IStorage)
class DatabaseStorage:
    """C{kong}: in the store; entities of the kind C{acme_storage}."""

    def __init__(self, store: Any) -> None:
        self._rows = store["acme_storage"]

    async def get(self, key: str) -> str | None:
        """See L{IStorage.get}."""
        row = await self._rows.select_by("key", key)
        return None if row is None else str(row["value"])

    async def put(self, key: str, value: str, ttl: float | None = None) -> None:
        """See L{IStorage.put}."""
        await self._rows.upsert_by("key", key, _row(value, ttl))

    async def add(self, key: str, value: str, ttl: float) -> bool:
        """See L{IStorage.add}."""
        try:
            await self._rows.insert({"key": key, **_row(value, ttl)})
        except UniqueViolationError:
            return False
        return True

    async def delete(self, key: str) -> None:
        """See L{IStorage.delete}."""
        await self._rows.delete_by("key", key)

    async def keys(self, prefix: str) -> list[str]:
        """See L{IStorage.keys}."""
        return [row["key"] async for row in self._rows.each() if row["key"].startswith(prefix)]


def _row(value: str, ttl: float | None) -> dict[str, Any]:
    return {"value": value} if ttl is None else {"value": value, "ttl": max(1, round(ttl))}
