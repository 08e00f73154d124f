"""C{redis}: in a Redis server, which nodes share."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from zope.interface import implementer

from kongtx.plugins.acme.errors import ACMEError
from kongtx.plugins.acme.storages.interfaces import IStorage
from kongtx.plugins.counting.redis import RedisClient


@implementer(IStorage)
class RedisStorage:
    """Keys of a server.

    @param namespace: what all keys begin with.
    @param scan_count: keys that the server looks at in one step.
    """

    def __init__(self, client: RedisClient, namespace: str, scan_count: int) -> None:
        self._client = client
        self._namespace = namespace
        self._scan_count = scan_count

    async def get(self, key: str) -> str | None:
        """See L{IStorage.get}."""
        value = await self._ask(lambda redis: redis.get(self._key(key)))
        return None if value is None else value.decode()

    async def put(self, key: str, value: str, ttl: float | None = None) -> None:
        """See L{IStorage.put}."""
        expire = None if ttl is None else max(1, round(ttl))
        await self._ask(lambda redis: redis.set(self._key(key), value.encode(), expire=expire))

    async def add(self, key: str, value: str, ttl: float) -> bool:
        """See L{IStorage.add}."""
        options = {"expire": max(1, round(ttl)), "only_if_not_exists": True}
        done = await self._ask(lambda redis: redis.set(self._key(key), value.encode(), **options))
        return done is not None

    async def delete(self, key: str) -> None:
        """See L{IStorage.delete}."""
        await self._ask(lambda redis: redis.delete(self._key(key)))

    async def keys(self, prefix: str) -> list[str]:
        """See L{IStorage.keys}."""
        pattern = _literal(self._key(prefix)) + b"*"
        cursor = 0
        found: set[str] = set()
        while True:
            answer = await self._ask(partial(_scan, cursor, pattern, self._scan_count))
            cursor, keys = int(answer[0]), answer[1]
            found.update(key.decode().removeprefix(self._namespace) for key in keys)
            if cursor == 0:
                return sorted(found)

    def _key(self, key: str) -> bytes:
        return (self._namespace + key).encode()

    async def _ask(self, command: Callable[[Any], Any]) -> Any:
        try:
            return await command(await self._client.connected())
        except ACMEError:
            raise
        except Exception as error:
            # The library raises whatever it likes.
            raise ACMEError(f"Redis: {error}") from error


def _scan(cursor: int, pattern: bytes, count: int, redis: Any) -> Any:
    return redis.scan(cursor, pattern, count)


def _literal(text: bytes) -> bytes:
    """A pattern that matches some text and nothing else."""
    return b"".join(
        b"\\" + bytes((each,)) if each in b"\\*?[]^" else bytes((each,)) for each in text
    )
