"""A bounded mapping: the least recently used entry goes first."""

from __future__ import annotations

from collections import OrderedDict
from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")


class LRU(OrderedDict[K, V]):
    """An ordered mapping of at most C{size} entries, the least recently used first.

    L{dict.get} does not count as use: hot paths decide by C{move_to_end} themselves.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def put(self, key: K, value: V) -> None:
        """Keep a value as the most recently used; the oldest leaves when there are too many."""
        self[key] = value
        self.move_to_end(key)
        if len(self) > self.size:
            self.popitem(last=False)
