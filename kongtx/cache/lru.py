"""The first level: live objects of one worker. Pure; on the hot path."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

#: What L{LRU.get} answers for a key it does not hold; L{None} is a value.
MISSING: Any = object()
_ABSENT: tuple[Any, float] = (MISSING, 0.0)


class LRU:
    """A bounded map that forgets what was least recently used.

    @param size: the greatest number of entries, at least 1.
    """

    __slots__ = ("_entries", "evictions", "size")

    def __init__(self, size: int) -> None:
        if size < 1:
            raise ValueError(f"an LRU holds at least 1 entry, not {size}")
        self._entries: OrderedDict[str, tuple[Any, float]] = OrderedDict()
        self.size = size
        self.evictions = 0

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: str, now: float) -> Any:
        """The value of a key, or L{MISSING} when it is absent or has expired at C{now}."""
        entry = self._entries.get(key)
        if entry is None:
            return MISSING
        if entry[1] <= now:
            del self._entries[key]
            return MISSING
        self._entries.move_to_end(key)
        return entry[0]

    def peek(self, key: str) -> tuple[Any, float]:
        """The value of a key, expired or not, and when it expires; L{MISSING} if it is absent.

        It is not used by that.
        """
        return self._entries.get(key, _ABSENT)

    def set(self, key: str, value: Any, expires: float) -> None:
        """Hold a value until C{expires}, in the seconds that L{get} is called with."""
        entries = self._entries
        entries[key] = (value, expires)
        entries.move_to_end(key)
        if len(entries) > self.size:
            entries.popitem(last=False)
            self.evictions += 1

    def delete(self, key: str) -> None:
        """Forget a key, if it is held."""
        self._entries.pop(key, None)

    def purge(self) -> None:
        """Forget everything."""
        self._entries.clear()
