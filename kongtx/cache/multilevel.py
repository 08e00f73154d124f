"""The multi-level cache: live objects, then the node's shared memory, then a loader.

A key that nobody has is computed once for the whole node: the worker that has its lock runs the
loader, the others wait for the value to appear. An answer from the first level is a plain value.
The semantics are those of lua-resty-mlcache, with two differences: a value that was invalidated
while it was being computed is handed to those who asked, but not held; and a lock whose process has
died is taken over at once.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from twisted.internet.defer import (
    Deferred,
    ensureDeferred,
    fail,
    gatherResults,
    maybeDeferred,
    succeed,
)
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure
from zope.interface import implementer

from kongtx.cache.derived import Derived
from kongtx.cache.interfaces import ICache, Wanted
from kongtx.cache.levels import Levels
from kongtx.cache.lru import LRU, MISSING
from kongtx.cache.pending import Pending
from kongtx.cache.shared import SharedMemory, process_start
from kongtx.cache.values import L1, MISS, Found, Loaded, Options, Peeked
from kongtx.events.interfaces import IEventBus


@implementer(ICache)
class MultiLevelCache:
    """One named cache; several may share one L{SharedMemory} and one bus.

    @param name: tells its keys from those of other caches; no colon.
    @param clock: schedules the waits.
    @param now: seconds, the same in every worker of the node.
    @param running: see L{SharedMemory.lock}.
    """

    def __init__(
        self,
        name: str,
        memory: SharedMemory,
        bus: IEventBus,
        clock: IReactorTime,
        options: Options | None = None,
        lru_size: int = 1000,
        now: Callable[[], float] = time.monotonic,
        running: Callable[[int], int] = process_start,
    ) -> None:
        if ":" in name:
            raise ValueError(f"cache name {name!r} must not have a colon")
        self.name = name
        self.options = options or Options()
        self._l1 = LRU(lru_size)
        self._levels = Levels(name, memory, self._l1, now, running)
        self.statistics = self._levels.statistics
        self.derived = Derived(self._l1, now, lru_size)
        self._bus = bus
        self._clock = clock
        self._now = now
        self._pending: dict[str, Pending] = {}
        self._token = uuid.uuid4().hex
        self._channel = f"cache:{name}"
        self._unsubscribe = bus.subscribe(self._channel, None, self._on_event)

    def close(self) -> None:
        """Stop listening to the other workers; askers that wait are cancelled."""
        self._unsubscribe()
        for pending in list(self._pending.values()):
            pending.cancel()

    # Reading

    def get(
        self, key: str, load: Callable[..., Any] | None, *args: Any, options: Options | None = None
    ) -> Any | Deferred[Any]:
        """The value of a key: at once from the first or second level, else a Deferred of it.

        @param load: called as C{load(*args)} by one worker of the node when no level has the key;
            returns a value that MessagePack can hold, L{None} (held as a miss), a L{Loaded}, or a
            Deferred or coroutine of these. Without one a missing key is L{None}.
        @param options: instead of the cache's own.
        @return: the value, or a Deferred of it. The Deferred fails with the loader's error, with
            L{LockTimeout}, or with the serializer's error; nothing is held then.
        """
        value = self._l1.get(key, self._now())
        if value is not MISSING:
            self.statistics.l1_hits += 1
            return value
        found = self._below(key, load, args, options or self.options)
        if isinstance(found, Deferred):
            return found.addCallback(_value)
        return found.value

    def fetch(
        self, key: str, load: Callable[..., Any] | None, *args: Any, options: Options | None = None
    ) -> Found | Deferred[Found]:
        """As L{get}, with the level at which the value was found."""
        value = self._l1.get(key, self._now())
        if value is not MISSING:
            self.statistics.l1_hits += 1
            return Found(value, L1)
        return self._below(key, load, args, options or self.options)

    def get_bulk(
        self,
        wanted: Sequence[Wanted],
        concurrency: int = 3,
        options: Options | None = None,
    ) -> Deferred[list[Found]]:
        """Many keys at once, each C{(key, load, args)}.

        @param concurrency: how many loaders may run at a time.
        @return: a Deferred of one L{Found} for each, in order; its C{error} is set where the
            loader failed.
        """
        if concurrency < 1:
            raise ValueError(f"concurrency must be at least 1, not {concurrency}")
        results = [Found(None, MISS)] * len(wanted)
        todo = iter(enumerate(wanted))

        async def work() -> None:
            for index, (key, load, args) in todo:
                try:
                    found = self.fetch(key, load, *args, options=options)
                    results[index] = await found if isinstance(found, Deferred) else found
                except Exception:
                    results[index] = Found(None, MISS, Failure())

        done = gatherResults([ensureDeferred(work()) for _ in range(concurrency)])
        return done.addCallback(lambda _: results)

    def peek(self, key: str, stale: bool = False) -> Peeked | None:
        """What the second level holds of a key, promoting nothing and loading nothing.

        @param stale: answer with an expired entry too.
        """
        return self._levels.peek(key, stale)

    def probe(self, key: str) -> Peeked | None:
        """See L{ICache.probe}."""
        return self.peek(key)

    # Writing

    def set(self, key: str, value: Any, options: Options | None = None) -> Deferred[None]:
        """Hold a value in every worker of the node.

        @return: a Deferred that fires when the other workers have been told.
        """
        self.derived.clear()
        self._levels.hold(key, value, options or self.options, None, whole_node=True)
        return self._tell("set", key)

    def safe_set(self, key: str, value: Any, options: Options | None = None) -> Deferred[None]:
        """See L{ICache.safe_set}."""
        return self.set(key, value, options)

    def renew(
        self, key: str, load: Callable[..., Any], *args: Any, options: Options | None = None
    ) -> Deferred[Any]:
        """See L{ICache.renew}."""
        loading = maybeDeferred(load, *args)
        return ensureDeferred(self._renewed(loading, key, options or self.options))

    async def _renewed(self, loading: Deferred[Any], key: str, options: Options) -> Any:
        loaded = await loading
        value, ttl = (loaded.value, loaded.ttl) if isinstance(loaded, Loaded) else (loaded, None)
        self.derived.clear()
        held = self._levels.hold(key, value, options, ttl, whole_node=True)
        await self._tell("set", key)
        return held

    def delete(self, key: str) -> Deferred[None]:
        """Drop a key in every worker of the node."""
        self._levels.delete(key)
        self._forget(key)
        return self._tell("delete", key)

    def invalidate_local(self, key: str) -> Deferred[None]:
        """As L{delete}: the node is what is local to it."""
        return self.delete(key)

    def invalidate(self, key: str) -> Deferred[None]:
        """Drop a key in every worker of every node: the bus carries it to the cluster's events."""
        self._bus.publish_local("cluster", "invalidate", {"cache": self.name, "key": key})
        return self.delete(key)

    def purge(self, only_expired: bool = False) -> Deferred[None]:
        """Drop everything in every worker of the node.

        @param only_expired: free the shared memory of what has expired, and no more.
        """
        if only_expired:
            self._levels.purge_expired()
            return succeed(None)
        self._levels.purge()
        self._forget_all()
        return self._tell("purge", "")

    def expire(self) -> Deferred[None]:
        """Have everything loaded again when it is asked for, in every worker of the node.

        Unlike what is purged, it serves on where its loader fails (C{resurrect_ttl}).
        """
        self._levels.expire()
        self._forget_all()
        return self._tell("purge", "")

    def forget(self) -> None:
        """Drop what this worker holds at the first level: it may have missed what became stale."""
        self._forget_all()

    def _tell(self, event: str, key: str) -> Deferred[None]:
        return self._bus.publish(self._channel, event, [self._token, key])

    def _on_event(self, data: Any, _channel: str, event: str, _worker: int) -> None:
        token, key = data
        if token == self._token:  # done here before it was published
            return
        if event == "purge":
            self._forget_all()
        elif event == "delete":
            self._forget(key)
        else:
            self.derived.clear()
            self._l1.delete(key)

    def _forget(self, key: str) -> None:
        self.derived.clear()
        self._l1.delete(key)
        pending = self._pending.get(key)
        if pending is not None:
            pending.spoiled = True

    def _forget_all(self) -> None:
        self.derived.clear()
        self._l1.purge()
        for pending in self._pending.values():
            pending.spoiled = True

    # The levels below the first

    def _below(
        self,
        key: str,
        load: Callable[..., Any] | None,
        args: tuple[Any, ...],
        options: Options,
    ) -> Found | Deferred[Found]:
        try:
            found = self._levels.find(key, options)
        except Exception:  # the serializer's
            return fail()
        if found is not None:
            return found
        if load is None:
            return Found(None, MISS)
        pending = self._pending.get(key)
        if pending is None:
            pending = self._pending[key] = Pending(
                self._levels,
                self._clock,
                key,
                load,
                args,
                options,
                partial(self._pending.pop, key, None),
            )
            asker = pending.ask()
            pending.start()
            return asker
        return pending.ask()


def _value(found: Found) -> Any:
    return found.value
