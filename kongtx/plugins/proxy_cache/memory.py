"""Where responses are kept: memory that all workers of the node share."""

from __future__ import annotations

from typing import Any

import msgspec

from kongtx.cache.shared import SharedMemory

VERSION = 1
_PURGE_EVERY = 256


class Kept(msgspec.Struct, frozen=True, array_like=True):
    """A response that is kept.

    @ivar timestamp: when it was, in seconds since the epoch.
    @ivar ttl: for how many seconds it was good from then on.
    """

    version: int
    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes
    timestamp: int
    ttl: int
    req_body: bytes

    def shown(self) -> dict[str, Any]:
        """As the Admin API shows it."""
        headers: dict[str, Any] = {}
        for name, value in self.headers:
            key, text = name.decode("latin-1"), value.decode("latin-1")
            before = headers.get(key)
            if before is not None:
                headers[key] = [*before, text] if isinstance(before, list) else [before, text]
            else:
                headers[key] = text
        return {
            "status": self.status,
            "headers": headers,
            "body": self.body.decode("utf-8", "replace"),
            "body_len": len(self.body),
            "timestamp": self.timestamp,
            "ttl": self.ttl,
            "version": self.version,
            "req_body": self.req_body.decode("utf-8", "replace"),
        }


_decoder = msgspec.msgpack.Decoder(Kept)
_encoder = msgspec.msgpack.Encoder()


class MemoryStrategy:
    """Keeps responses under a name, which several configurations may share.

    Like everything in the shared memory they make room for others, the oldest first.

    @param dictionary: the name.
    """

    def __init__(self, memory: SharedMemory, dictionary: str) -> None:
        self._memory = memory
        self._prefix = b"proxy-cache:%b:" % dictionary.encode()
        self._stored = 0

    @property
    def largest(self) -> int:
        """Longer bodies are not kept: they would push too much else out of the memory."""
        return self._memory.capacity // 8

    def fetch(self, key: str, now: float) -> Kept | None:
        """What is kept; L{None} if nothing is, or its time is over."""
        entry = self._memory.get(self._prefix + key.encode("utf-8", "replace"))
        if entry is None or entry.payload is None or entry.expires <= now:
            return None
        try:
            return _decoder.decode(entry.payload)
        except msgspec.MsgspecError:
            return None

    def store(self, key: str, kept: Kept, ttl: float, now: float) -> None:
        """Keep a response for some seconds.

        @raise ValueTooLarge: if it does not fit into the memory at all.
        """
        self._stored += 1
        if self._stored % _PURGE_EVERY == 0:
            self._memory.purge(self._prefix, before=now)
        self._memory.put(self._prefix + key.encode(), _encoder.encode(kept), now + ttl)

    def purge(self, key: str) -> None:
        """Forget one."""
        self._memory.delete(self._prefix + key.encode("utf-8", "replace"))

    def flush(self) -> None:
        """Forget all."""
        self._memory.purge(self._prefix)
