"""The second level: memory that the workers of a node share, kept in LMDB.

LMDB maps one file into every worker; a read takes about a microsecond and no lock. Nothing in it
outlives the node: it is opened without syncing, and the master removes it before it starts workers.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator
from hashlib import blake2b
from pathlib import Path

import attrs
import lmdb

from kongtx.cache.counters import COUNTERS_SIZE, Counters
from kongtx.cache.errors import ValueTooLarge
from kongtx.lib.environments import close_environment, open_environment

_ENTRY = struct.Struct("<BQd")  # stale flag, sequence, expiry
_LOCK = struct.Struct("<QQB")  # process id, its start time, spoiled flag
_SEQUENCE = struct.Struct(">Q")
_COUNTS = struct.Struct("<QQQ")  # bytes in use, last sequence, evictions
_PAGE = 4096
_LONGEST_KEY = 400  # LMDB takes 511 bytes
_OVERHEAD = 96  # of an entry: node headers, its place in the order, a half-filled page
_EVICT_AT_ONCE = 30


@attrs.frozen
class Entry:
    """What is held of a key.

    @ivar payload: the encoded value, or L{None} for a cached miss.
    @ivar expires: seconds, on the clock that it was put with.
    @ivar stale: whether it had expired and was brought back for want of a new value.
    """

    payload: bytes | None
    expires: float
    stale: bool


def process_start(pid: int) -> int:
    """When a process started, in clock ticks after boot; 0 if none such runs.

    Together with the process id it names a process for good: ids are used again.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return 0
    state, *fields = stat.rpartition(b")")[2].split()
    return 0 if state in (b"Z", b"X") else int(fields[18])


class SharedMemory:
    """Bounded memory for entries, oldest out first, and the locks of their loaders.

    @param path: the file; its folder must exist.
    @param capacity: bytes that entries may take; oldest entries make room for new ones.
    @ivar counters: the L{Counters} of the node.
    """

    def __init__(self, path: str | os.PathLike[str], capacity: int) -> None:
        self.capacity = capacity
        # Writing copies pages, so the map is larger than what entries may fill.
        self._env = open_environment(
            path,
            map_size=capacity * 2 + COUNTERS_SIZE,
            subdir=False,
            max_dbs=5,
            max_readers=1024,
            sync=False,
            metasync=False,
            writemap=True,
            mode=0o600,
        )
        self._entries = self._env.open_db(b"entries")
        self._order = self._env.open_db(b"order")
        self._locks = self._env.open_db(b"locks")
        self._meta = self._env.open_db(b"meta")
        self.counters = Counters(self._env)
        self._env.reader_check()
        self._me = (os.getpid(), process_start(os.getpid()))

    def close(self) -> None:
        """Unmap the file; others keep using it."""
        close_environment(self._env)

    # Entries

    def get(self, key: bytes) -> Entry | None:
        """What is held of a key, expired or not."""
        with self._env.begin(self._entries, buffers=True) as txn:
            found = txn.get(_short(key))
            if found is None:
                return None
            flags, _, expires = _ENTRY.unpack_from(found)
            payload = bytes(found[_ENTRY.size :])
        return Entry(None if flags & 2 else payload, expires, bool(flags & 1))

    def put(
        self,
        key: bytes,
        payload: bytes | None,
        expires: float,
        stale: bool = False,
        unless_spoiled: bool = False,
    ) -> bool:
        """Hold an entry, evicting the oldest ones if there is no room.

        @param unless_spoiled: hold nothing if the key was put or deleted since its lock was
            taken, for the value was read before that.
        @return: whether it is held.
        @raise ValueTooLarge: when it would not fit into empty memory.
        """
        short = _short(key)
        size = _size(short, len(payload or b""))
        if size > self.capacity:
            raise ValueTooLarge(key.decode(errors="replace"), size, self.capacity)
        with self._env.begin(write=True) as txn:
            if not unless_spoiled:
                self._spoil(txn, short)
            elif self._spoiled(txn, short):
                return False
            used, sequence, evictions = self._counts(txn)
            used -= self._drop(txn, short)
            if used + size > self.capacity:
                for oldest, count in self._oldest(txn):
                    used -= self._drop(txn, oldest)
                    evictions += 1
                    if used + size <= self.capacity and count >= _EVICT_AT_ONCE:
                        break
            sequence += 1
            flags = stale | (payload is None) << 1
            header = _ENTRY.pack(flags, sequence, expires)
            txn.put(short, header + (payload or b""), db=self._entries)
            txn.put(_SEQUENCE.pack(sequence), short, db=self._order)
            txn.put(b"counts", _COUNTS.pack(used + size, sequence, evictions), db=self._meta)
        return True

    def delete(self, key: bytes) -> None:
        """Forget a key; a value being computed for it now will not be held either."""
        short = _short(key)
        with self._env.begin(write=True) as txn:
            self._spoil(txn, short)
            freed = self._drop(txn, short)
            if freed:
                used, sequence, evictions = self._counts(txn)
                counts = _COUNTS.pack(used - freed, sequence, evictions)
                txn.put(b"counts", counts, db=self._meta)

    def purge(self, prefix: bytes, before: float | None = None) -> int:
        """Forget every key that starts with C{prefix}.

        @param before: forget only what has expired by then.
        @return: how many entries were forgotten.
        """
        with self._env.begin(write=True) as txn:
            doomed = []
            cursor = txn.cursor(self._entries)
            if cursor.set_range(prefix):
                for key, value in cursor:
                    if not key.startswith(prefix):
                        break
                    if before is None or _ENTRY.unpack_from(value)[2] <= before:
                        doomed.append(bytes(key))
            if before is None:
                self._spoil_all(txn, prefix)
            used, sequence, evictions = self._counts(txn)
            for key in doomed:
                used -= self._drop(txn, key)
            txn.put(b"counts", _COUNTS.pack(used, sequence, evictions), db=self._meta)
        return len(doomed)

    def expire(self, prefix: bytes, now: float) -> None:
        """Let every key that starts with C{prefix} be expired.

        A value that is being computed for one of them will not be held.
        """
        with self._env.begin(write=True) as txn:
            cursor = txn.cursor(self._entries)
            found = cursor.set_range(prefix)
            while found and (key := bytes(cursor.key())).startswith(prefix):
                value = bytes(cursor.value())
                flags, sequence, expires = _ENTRY.unpack_from(value)
                if expires > now:
                    cursor.put(key, _ENTRY.pack(flags, sequence, now) + value[_ENTRY.size :])
                found = cursor.next()
            self._spoil_all(txn, prefix)

    def _spoil_all(self, txn: lmdb.Transaction, prefix: bytes) -> None:
        cursor = txn.cursor(self._locks)
        if cursor.set_range(prefix):
            held = [bytes(key) for key, _ in cursor]
            for key in held:
                if key.startswith(prefix):
                    self._spoil(txn, key)

    def statistics(self) -> dict[str, int]:
        """C{capacity} and C{used} in bytes, C{entries} and C{evictions} since it was made."""
        with self._env.begin() as txn:
            used, _, evictions = self._counts(txn)
            entries = txn.stat(self._entries)["entries"]
        return {
            "capacity": self.capacity,
            "used": used,
            "entries": entries,
            "evictions": evictions,
        }

    # Locks

    def lock(self, key: bytes, running: Callable[[int], int] = process_start) -> bool:
        """Take the right to compute a key's value, unless a living process has it.

        @param running: the start time of a process id, 0 when it is gone.
        @return: whether the caller has it now; it must L{unlock}.
        """
        short = _short(key)
        with self._env.begin(self._locks, write=True) as txn:
            held = txn.get(short)
            if held is not None:
                pid, start, _ = _LOCK.unpack(held)
                if running(pid) == start:
                    return False
            txn.put(short, _LOCK.pack(*self._me, False))
        return True

    def unlock(self, key: bytes) -> None:
        """Give the right back."""
        with self._env.begin(self._locks, write=True) as txn:
            txn.delete(_short(key))

    def _spoil(self, txn: lmdb.Transaction, short: bytes) -> None:
        held = txn.get(short, db=self._locks)
        if held is not None:
            pid, start, _ = _LOCK.unpack(held)
            txn.put(short, _LOCK.pack(pid, start, True), db=self._locks)

    def _spoiled(self, txn: lmdb.Transaction, short: bytes) -> bool:
        held = txn.get(short, db=self._locks)
        return held is not None and bool(_LOCK.unpack(held)[2])

    # Bookkeeping

    def _counts(self, txn: lmdb.Transaction) -> tuple[int, int, int]:
        counts = txn.get(b"counts", db=self._meta)
        return _COUNTS.unpack(counts) if counts else (0, 0, 0)

    def _drop(self, txn: lmdb.Transaction, short: bytes) -> int:
        """Remove an entry and its place in the order; the bytes that frees."""
        found = txn.pop(short, db=self._entries)
        if found is None:
            return 0
        sequence = _ENTRY.unpack_from(found)[1]
        txn.delete(_SEQUENCE.pack(sequence), db=self._order)
        return _size(short, len(found) - _ENTRY.size)

    def _oldest(self, txn: lmdb.Transaction) -> Iterator[tuple[bytes, int]]:
        """Keys, oldest first, each with its number in this round from 1 on."""
        count = 0
        while True:
            cursor = txn.cursor(self._order)
            if not cursor.first():
                return
            count += 1
            yield bytes(cursor.value()), count


def _short(key: bytes) -> bytes:
    """A key that LMDB takes; the start of a long one stays, so that prefixes still work."""
    if len(key) <= _LONGEST_KEY:
        return key
    return key[:_LONGEST_KEY] + blake2b(key, digest_size=32).digest()


def _size(short: bytes, payload: int) -> int:
    """The bytes that an entry is counted as: large values take whole pages."""
    length = _ENTRY.size + payload + 2 * len(short) + _OVERHEAD
    return length if length < _PAGE // 2 else -(-length // _PAGE) * _PAGE
