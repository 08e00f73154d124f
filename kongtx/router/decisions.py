"""Recent decisions, kept in two generations. Hot path.

A hit costs one dictionary look-up. What was used since the last turn of generations is kept, as
an LRU would keep it: a generation's worth of the most recent decisions is always there.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

Value = TypeVar("Value")


class Decisions(Generic[Value]):
    """A bounded memory of values by key.

    @ivar young: the newest generation, to look at before calling L{get}.
    @ivar size: how many entries a generation takes; at most twice as many are held.
    """

    __slots__ = ("_old", "size", "young")

    def __init__(self, size: int) -> None:
        self.size = size
        self.young: dict[Hashable, Value] = {}
        self._old: dict[Hashable, Value] = {}

    def get(self, key: Hashable) -> Value | None:
        """Find a value and note its use."""
        value = self.young.get(key)
        if value is None and self._old:
            value = self._old.get(key)
            if value is not None:
                self.put(key, value)
        return value

    def put(self, key: Hashable, value: Value) -> None:
        """Remember a value."""
        if len(self.young) >= self.size:
            self._old, self.young = self.young, {}
        self.young[key] = value

    def __len__(self) -> int:
        return len(self.young.keys() | self._old.keys())
