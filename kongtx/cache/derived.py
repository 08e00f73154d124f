"""What was made of cached values, held as long as they are in force; on the hot path."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from kongtx.cache.lru import LRU


class Derived:
    """Objects that one look-up finds instead of several in the cache that they come from.

    Any invalidation in that cache forgets all of them: these are rare, and what is still in force
    is soon made again.

    @param first: the first level of the cache.
    @param now: seconds, on the clock of that cache.
    @param size: the greatest number of objects.
    """

    __slots__ = ("_first", "_held", "_now", "_size")

    def __init__(self, first: LRU, now: Callable[[], float], size: int = 10_000) -> None:
        self._first = first
        self._now = now
        self._size = size
        self._held: dict[str, tuple[Any, float]] = {}

    def get(self, key: str) -> Any:
        """The object of a key; L{None} if there is none, or not any more."""
        found = self._held.get(key)
        if found is None:
            return None
        value, expires = found
        if expires != math.inf and expires <= self._now():
            del self._held[key]
            return None
        return value

    def hold(self, key: str, value: Any, sources: Mapping[str, Any]) -> None:
        """Hold an object, if all that it was made of is what the first level holds.

        @param sources: the values that it was made of, by their keys in the cache.
        """
        expires = math.inf
        for source, used in sources.items():
            held, until = self._first.peek(source)
            if held is not used:
                return
            expires = min(expires, until)
        if len(self._held) >= self._size:
            self._held.clear()
        self._held[key] = (value, expires)

    def clear(self) -> None:
        """Forget everything."""
        self._held.clear()
