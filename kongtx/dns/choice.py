"""Turning over the records of an answer. Pure, apart from its own counters."""

from __future__ import annotations

from collections.abc import Sequence

from kongtx.dns.records import Record

_LEAST = 0.1  # RFC 2782: weight 0 has a very small chance beside greater ones


class Turn:
    """Takes records in turn, those of the lowest priority, by smooth weighted round-robin.

    Over a full turn each record is taken as often as its weight says; equal weights make a plain
    round-robin.
    """

    __slots__ = ("_current", "_next", "_records", "_total", "_weights")

    def __init__(self, records: Sequence[Record], start: int = 0) -> None:
        """
        @param records: at least one.
        @param start: how many turns to skip, so that workers do not march in step.
        """
        best = min(record.priority for record in records)
        self._records = [record for record in records if record.priority == best]
        self._weights = [record.weight or _LEAST for record in self._records]
        self._total = sum(self._weights)
        self._current = [0.0] * len(self._weights)
        equal = len(set(self._weights)) == 1
        self._next = start % len(self._records) if equal else -1
        if not equal:
            for _ in range(start % len(self._records)):
                self.take()

    def take(self) -> Record:
        """The next record."""
        if self._next >= 0:
            record = self._records[self._next]
            self._next = (self._next + 1) % len(self._records)
            return record
        best, current = 0, self._current
        for index, weight in enumerate(self._weights):
            current[index] += weight
            if current[index] > current[best]:
                best = index
        current[best] -= self._total
        return self._records[best]
