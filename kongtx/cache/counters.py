"""Counters that the workers of a node share, each of a window of time; on the hot path.

A counter's key begins with the second at which its window ends, so those of past windows stand
together at the beginning and are removed in one sweep.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from hashlib import blake2b
from typing import NamedTuple

import lmdb

_KEY = struct.Struct(">Q")
_VALUE = struct.Struct("<Q")
_pack, _unpack = _VALUE.pack, _VALUE.unpack
_LONGEST_IDENTITY = 400
_SWEEP_EVERY = 1024

#: Bytes of the shared file that counters may take, beside what entries may.
COUNTERS_SIZE = 64 * 1024 * 1024


def window_key(end: int, kind: bytes) -> bytes:
    """The beginning of the keys of a window's counters.

    @param end: seconds since the epoch.
    @param kind: tells windows that end together from each other; a few bytes.
    """
    return _KEY.pack(end) + kind + b":"


def counter_key(window: bytes, identity: bytes) -> bytes:
    """The key of a counter.

    @param window: as L{window_key} gives.
    @param identity: what is counted; of any length.
    """
    if len(identity) > _LONGEST_IDENTITY:
        identity = blake2b(identity, digest_size=32).digest()
    return window + identity


class Taken(NamedTuple):
    """The outcome of L{Counters.take}.

    @ivar counts: of each counter before, in order.
    @ivar reached: the index of the first whose limit had been reached; L{None} if all were counted.
    """

    counts: Sequence[int]
    reached: int | None


class Counters:
    """Counters in shared memory; every operation is atomic over all workers."""

    def __init__(self, environment: lmdb.Environment) -> None:
        self._env = environment
        self._db = environment.open_db(b"counters")
        self._writes = 0

    def read(self, keys: Sequence[bytes]) -> list[int]:
        """The counts of some keys; 0 where there is none."""
        with self._env.begin(self._db, buffers=True) as txn:
            return [_unpack(found)[0] if (found := txn.get(key)) else 0 for key in keys]

    def take(
        self, keys: Sequence[bytes], limits: Sequence[float], now: float, more: int = 0
    ) -> Taken:
        """Count one on every key, unless a limit has been reached: then on none.

        @param now: seconds since the epoch; what ended before may be swept away.
        @param more: what is counted on every key before that, whatever its limit.
        """
        counts: list[int] = []
        reached = None
        with self._env.begin(self._db, write=True) as txn:
            for key, limit in zip(keys, limits, strict=True):
                found = txn.get(key)
                count = (_unpack(found)[0] if found else 0) + more
                counts.append(count)
                if count >= limit and reached is None:
                    reached = len(counts) - 1
            if reached is None or more:
                one = reached is None
                for key, count in zip(keys, counts, strict=True):
                    txn.put(key, _pack(count + one))
                self._writes += 1
                if self._writes % _SWEEP_EVERY == 0:
                    self._sweep(txn, now)
        return Taken(counts, reached)

    def add(self, keys: Sequence[bytes], amount: int, now: float) -> list[int]:
        """Count some more on every key; the new counts."""
        with self._env.begin(self._db, write=True) as txn:
            counts = []
            for key in keys:
                found = txn.get(key)
                counts.append((_unpack(found)[0] if found else 0) + amount)
                txn.put(key, _pack(counts[-1]))
            self._writes += 1
            if self._writes % _SWEEP_EVERY == 0:
                self._sweep(txn, now)
        return counts

    def __len__(self) -> int:
        with self._env.begin() as txn:
            return int(txn.stat(self._db)["entries"])

    def _sweep(self, txn: lmdb.Transaction, now: float) -> None:
        """Remove the counters of windows that have ended."""
        ended = _KEY.pack(int(now))
        cursor = txn.cursor(self._db)
        at = cursor.first()
        while at and bytes(cursor.key()) < ended:
            at = cursor.delete()
