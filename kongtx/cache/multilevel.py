"""The multi-level cache: live objects, then the node's shared memory, then a loader.

A key that nobody has is computed once for the whole node: the worker that has its lock runs the
loader, the others wait for the value to appear. An answer from the first level is a plain value.
The semantics are those of lua-resty-mlcache, with two differences: a value that was invalidated
while it was being computed is handed to those who asked, but not held; and a lock whose process has
died is taken over at once.
"""

from __future__ import annotations

import math
import time
import uuid
from collections.abc import Callable, Sequence
from inspect import iscoroutine
from typing import Any

import attrs
import msgspec
from twisted.internet.defer import Deferred, ensureDeferred, gatherResults, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from kongtx.cache.derived import Derived
from kongtx.cache.errors import LockTimeout
from kongtx.cache.interfaces import ICache
from kongtx.cache.lru import LRU, MISSING
from kongtx.cache.shared import Entry, SharedMemory, process_start
from kongtx.events.interfaces import IEventBus

L1, L2, LOADER, STALE, MISS = 1, 2, 3, 4, -1

_FIRST_WAIT = 0.001
_LONGEST_WAIT = 0.05


@attrs.frozen
class Options:
    """How long values are held, in seconds; a call may override any of them.

    @ivar ttl: of a value; 0 for ever.
    @ivar neg_ttl: of a miss, a loader's L{None}; 0 for ever.
    @ivar resurrect_ttl: for how long an expired value serves again when the loader fails; L{None}
        for not at all.
    @ivar lock_timeout: for how long an asker waits for another worker's loader.
    @ivar serializer: makes of a value from the second level or the loader the object that the
        first level holds; never called with L{None}.
    """

    ttl: float = 30.0
    neg_ttl: float = 5.0
    resurrect_ttl: float | None = None
    lock_timeout: float = 5.0
    serializer: Callable[[Any], Any] | None = None


@attrs.frozen
class Loaded:
    """What a loader may return to say how long its value is held.

    @ivar ttl: seconds, 0 for ever; below 0 the value is not held at all.
    """

    value: Any
    ttl: float


@attrs.frozen
class Found:
    """A value and the level it came from: L1, L2, LOADER, STALE or MISS."""

    value: Any
    level: int
    error: Failure | None = None


@attrs.frozen
class Peeked:
    """What the second level holds of a key.

    @ivar remaining: seconds until it expires, negative when it has; infinite for ever.
    """

    value: Any
    remaining: float
    stale: bool


@attrs.define
class Statistics:
    """Counts since the cache was made, of this worker."""

    l1_hits: int = 0
    l2_hits: int = 0
    loads: int = 0
    load_errors: int = 0
    resurrected: int = 0


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
        self.statistics = Statistics()
        self._l1 = LRU(lru_size)
        self.derived = Derived(self._l1, now, lru_size)
        self._prefix = f"{name}:".encode()
        self._memory = memory
        self._bus = bus
        self._clock = clock
        self._now = now
        self._running = running
        self._pending: dict[str, _Pending] = {}
        self._token = uuid.uuid4().hex
        self._channel = f"cache:{name}"
        self._unsubscribe = bus.subscribe(self._channel, None, self._on_event)
        self._encode = msgspec.msgpack.Encoder().encode
        self._decode = msgspec.msgpack.Decoder().decode

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
        wanted: Sequence[tuple[str, Callable[..., Any] | None, tuple[Any, ...]]],
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
        entry = self._memory.get(self._key(key))
        if entry is None:
            return None
        remaining = entry.expires - self._now()
        if remaining <= 0 and not stale:
            return None
        return Peeked(self._value_of(entry), remaining, entry.stale or remaining <= 0)

    # Writing

    def set(self, key: str, value: Any, options: Options | None = None) -> Deferred[None]:
        """Hold a value in every worker of the node.

        @return: a Deferred that fires when the other workers have been told.
        """
        self.derived.clear()
        self._hold(key, value, options or self.options, None, whole_node=True)
        return self._tell("set", key)

    def delete(self, key: str) -> Deferred[None]:
        """Drop a key in every worker of the node."""
        self._memory.delete(self._key(key))
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
            self._memory.purge(self._prefix, before=self._now())
            return succeed(None)
        self._memory.purge(self._prefix)
        self._forget_all()
        return self._tell("purge", "")

    def expire(self) -> Deferred[None]:
        """Have everything loaded again when it is asked for, in every worker of the node.

        Unlike what is purged, it serves on where its loader fails (C{resurrect_ttl}).
        """
        self._memory.expire(self._prefix, self._now())
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
        found = self._from_memory(key, options)
        if found is not None:
            return found
        if load is None:
            return Found(None, MISS)
        pending = self._pending.get(key)
        if pending is None:
            pending = self._pending[key] = _Pending(self, key, load, args, options)
            asker = pending.ask()
            pending.start()
            return asker
        return pending.ask()

    def _from_memory(self, key: str, options: Options) -> Found | None:
        entry = self._memory.get(self._key(key))
        if entry is None or entry.expires <= self._now():
            return None
        self.statistics.l2_hits += 1
        value = self._promote(key, self._value_of(entry), entry.expires, options)
        return Found(value, STALE if entry.stale else L2)

    def _promote(self, key: str, value: Any, expires: float, options: Options) -> Any:
        if value is not None and options.serializer is not None:
            value = options.serializer(value)
        self._l1.set(key, value, expires)
        return value

    def _hold(
        self,
        key: str,
        value: Any,
        options: Options,
        ttl: float | None,
        whole_node: bool = False,
        spoiled: bool = False,
    ) -> Any:
        """Put a value into both levels; the object that the first level holds."""
        if ttl is None:
            ttl = options.neg_ttl if value is None else options.ttl
        held = value
        if value is not None and options.serializer is not None:
            held = options.serializer(value)
        if ttl < 0 or spoiled:
            return held
        expires = self._now() + ttl if ttl else math.inf
        payload = None if value is None else self._encode(value)
        if self._memory.put(self._key(key), payload, expires, unless_spoiled=not whole_node):
            self._l1.set(key, held, expires)
        return held

    def _resurrect(self, key: str, options: Options) -> Found | None:
        """Bring an expired value back after its loader failed."""
        entry = self._memory.get(self._key(key))
        if entry is None or options.resurrect_ttl is None:
            return None
        expires = self._now() + options.resurrect_ttl
        self._memory.put(self._key(key), entry.payload, expires, stale=True)
        self.statistics.resurrected += 1
        return Found(self._promote(key, self._value_of(entry), expires, options), STALE)

    def _key(self, key: str) -> bytes:
        return self._prefix + key.encode()

    def _value_of(self, entry: Entry) -> Any:
        return None if entry.payload is None else self._decode(entry.payload)


class _Pending:
    """One key that this worker lacks, and everyone here who waits for it."""

    _log = Logger()

    def __init__(
        self,
        cache: MultiLevelCache,
        key: str,
        load: Callable[..., Any],
        args: tuple[Any, ...],
        options: Options,
    ) -> None:
        self._cache = cache
        self._key = key
        self._load = load
        self._args = args
        self._options = options
        self._askers: list[Deferred[Found]] = []
        self._waited = 0.0
        self._wait = _FIRST_WAIT
        self._delayed: Any = None
        self._loading: Deferred[Any] | None = None
        self.spoiled = False

    def ask(self) -> Deferred[Found]:
        """A Deferred of the outcome; cancelling it leaves the other askers alone."""
        asker: Deferred[Found] = Deferred(self._leave)
        self._askers.append(asker)
        return asker

    def _leave(self, asker: Deferred[Found]) -> None:
        if asker in self._askers:
            self._askers.remove(asker)

    def start(self) -> None:
        """Load if the lock is to be had, else look again a little later."""
        cache = self._cache
        if cache._memory.lock(cache._key(self._key), cache._running):
            # Another worker may have finished between our look and our lock.
            found = cache._from_memory(self._key, self._options)
            if found is not None:
                self._unlock()
                self._finish(found)
                return
            self._run()
            return
        if self._waited >= self._options.lock_timeout:
            self._give_up()
            return
        self._delayed = cache._clock.callLater(self._wait, self._look_again)

    def _look_again(self) -> None:
        self._delayed = None
        self._waited += self._wait
        self._wait = min(self._wait * 2, _LONGEST_WAIT)
        try:
            found = self._cache._from_memory(self._key, self._options)
            if found is None:
                self.start()
                return
        except Exception:  # the serializer's
            self._fail(Failure())
            return
        self._finish(found)

    def _give_up(self) -> None:
        cache = self._cache
        entry = cache._memory.get(cache._key(self._key))
        if entry is not None and self._options.resurrect_ttl is not None:
            self._finish(Found(cache._value_of(entry), STALE))
        else:
            self._fail(Failure(LockTimeout(self._key, self._options.lock_timeout)))

    def _run(self) -> None:
        self._cache.statistics.loads += 1
        try:
            result = self._load(*self._args)
        except Exception:
            self._load_failed(Failure())
            return
        if iscoroutine(result):
            result = ensureDeferred(result)
        if isinstance(result, Deferred):
            self._loading = result
            result.addCallbacks(self._loaded, self._load_failed)
        else:
            self._loaded(result)

    def _loaded(self, result: Any) -> None:
        value, ttl = (result.value, result.ttl) if isinstance(result, Loaded) else (result, None)
        try:
            held = self._cache._hold(self._key, value, self._options, ttl, spoiled=self.spoiled)
        except Exception:  # the serializer's, or a value that cannot be encoded
            self._unlock()
            self._fail(Failure())
            return
        self._unlock()
        self._finish(Found(held, LOADER))

    def _load_failed(self, failure: Failure) -> None:
        self._cache.statistics.load_errors += 1
        found = None
        try:
            found = self._cache._resurrect(self._key, self._options)
        finally:
            self._unlock()
        if found is None:
            self._fail(failure)
            return
        self._log.warn(
            "cache key {key}: its loader failed ({error}); the expired value serves on",
            key=self._key,
            error=failure.getErrorMessage(),
        )
        self._finish(found)

    def _unlock(self) -> None:
        self._cache._memory.unlock(self._cache._key(self._key))

    def _finish(self, found: Found) -> None:
        self._cache._pending.pop(self._key, None)
        askers, self._askers = self._askers, []
        for asker in askers:
            asker.callback(found)

    def _fail(self, failure: Failure) -> None:
        self._cache._pending.pop(self._key, None)
        askers, self._askers = self._askers, []
        for asker in askers:
            asker.errback(failure)

    def cancel(self) -> None:
        """Stop waiting or loading."""
        if self._delayed is not None:
            self._delayed.cancel()
            self._delayed = None
        if self._loading is not None:
            self._loading.cancel()
        for asker in list(self._askers):
            asker.cancel()
        self._cache._pending.pop(self._key, None)


def _value(found: Found) -> Any:
    return found.value
