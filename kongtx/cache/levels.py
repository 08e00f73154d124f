"""The two levels that hold values: live objects of this worker, and the node's shared memory."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import msgspec

from kongtx.cache.lru import LRU
from kongtx.cache.shared import Entry, SharedMemory
from kongtx.cache.values import L2, STALE, Found, Options, Peeked, Statistics


class Levels:
    """The keys of one named cache at both levels.

    @param name: tells its keys from those of other caches in the same memory.
    @param now: seconds, the same in every worker of the node.
    @param running: see L{SharedMemory.lock}.
    @ivar live: the first level.
    """

    def __init__(
        self,
        name: str,
        memory: SharedMemory,
        live: LRU,
        now: Callable[[], float],
        running: Callable[[int], int],
    ) -> None:
        self.live = live
        self.statistics = Statistics()
        self._memory = memory
        self._now = now
        self._running = running
        self._prefix = f"{name}:".encode()
        self._encode = msgspec.msgpack.Encoder().encode
        self._decode = msgspec.msgpack.Decoder().decode

    def lock(self, key: str) -> bool:
        """Take the right to load a key for the whole node; whether it was to be had."""
        return self._memory.lock(self._key(key), self._running)

    def unlock(self, key: str) -> None:
        """Give the right back."""
        self._memory.unlock(self._key(key))

    def find(self, key: str, options: Options) -> Found | None:
        """What the second level holds and has not expired, brought to the first.

        @raise Exception: the serializer's.
        """
        entry = self._memory.get(self._key(key))
        if entry is None or entry.expires <= self._now():
            return None
        self.statistics.l2_hits += 1
        value = _made(self._value_of(entry), options)
        self.live.set(key, value, entry.expires)
        return Found(value, STALE if entry.stale else L2)

    def peek(self, key: str, stale: bool) -> Peeked | None:
        """What the second level holds, expired too if C{stale}; nothing is brought to the first."""
        entry = self._memory.get(self._key(key))
        if entry is None:
            return None
        remaining = entry.expires - self._now()
        if remaining <= 0 and not stale:
            return None
        return Peeked(self._value_of(entry), remaining, entry.stale or remaining <= 0)

    def hold(
        self,
        key: str,
        value: Any,
        options: Options,
        ttl: float | None,
        whole_node: bool = False,
        spoiled: bool = False,
    ) -> Any:
        """Put a value into both levels.

        @param ttl: seconds, L{None} for the options' own.
        @param whole_node: even if the key was deleted while the value was computed.
        @param spoiled: the value is stale already: make the object, and hold it nowhere.
        @return: the object that the first level holds.
        @raise Exception: the serializer's, or a value that cannot be encoded.
        """
        if ttl is None:
            ttl = options.neg_ttl if value is None else options.ttl
        held = _made(value, options)
        if ttl < 0 or spoiled:
            return held
        expires = self._now() + ttl if ttl else math.inf
        payload = None if value is None else self._encode(value)
        if self._memory.put(self._key(key), payload, expires, unless_spoiled=not whole_node):
            self.live.set(key, held, expires)
        return held

    def resurrect(self, key: str, options: Options) -> Found | None:
        """Bring an expired value back for a while, after its loader failed.

        @raise Exception: the serializer's.
        """
        entry = self._memory.get(self._key(key))
        if entry is None or options.resurrect_ttl is None:
            return None
        expires = self._now() + options.resurrect_ttl
        value = _made(self._value_of(entry), options)
        self._memory.put(self._key(key), entry.payload, expires, stale=True)
        self.live.set(key, value, expires)
        self.statistics.resurrected += 1
        return Found(value, STALE)

    def delete(self, key: str) -> None:
        """Drop a key from the second level."""
        self._memory.delete(self._key(key))

    def purge(self) -> None:
        """Drop everything from the second level."""
        self._memory.purge(self._prefix)

    def purge_expired(self) -> None:
        """Free the second level of what has expired."""
        self._memory.purge(self._prefix, before=self._now())

    def expire(self) -> None:
        """Let everything at the second level have expired now."""
        self._memory.expire(self._prefix, self._now())

    def _key(self, key: str) -> bytes:
        return self._prefix + key.encode()

    def _value_of(self, entry: Entry) -> Any:
        return None if entry.payload is None else self._decode(entry.payload)


def _made(value: Any, options: Options) -> Any:
    """What the first level holds of a value."""
    if value is None or options.serializer is None:
        return value
    return options.serializer(value)
