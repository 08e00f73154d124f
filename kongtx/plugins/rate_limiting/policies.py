"""How requests are counted, and where."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from kongtx.cache.counters import Taken
from kongtx.pdk.node import Node
from kongtx.plugins.counting.redis import RedisClient, RedisSettings, client_of
from kongtx.plugins.counting.stores import DatabaseStore, RedisStore, redis_keys
from kongtx.plugins.counting.windows import PERIODS, Window
from kongtx.plugins.rate_limiting.interfaces import IPolicy
from kongtx.plugins.rate_limiting.local import LocalPolicy

#: A C{sync_rate} that means: ask Redis at every request.
REALTIME = -1


@implementer(IPolicy)
class ClusterPolicy:
    """Counts in the database; no limit is ever passed in the cluster.

    A refused request is not counted, unless others of the same moment were quicker.
    """

    def __init__(self, store: DatabaseStore) -> None:
        self._store = store

    def take(
        self, identity: bytes, windows: Sequence[Window], limits: Sequence[float], now: float
    ) -> Deferred[Taken]:
        """See L{IPolicy.take}."""
        return ensureDeferred(self._take(identity, windows, limits, now))

    async def _take(
        self, identity: bytes, windows: Sequence[Window], limits: Sequence[float], now: float
    ) -> Taken:
        before = await self._store.read(identity, windows)
        reached = _reached(before, limits)
        if reached is not None:
            return Taken(before, reached)
        return _taken(await self._store.add(identity, windows, 1, now), limits)


@implementer(IPolicy)
class RedisPolicy:
    """Counts in Redis, in one step: a refused request is counted, too, as in Kong."""

    def __init__(self, store: RedisStore) -> None:
        self._store = store

    def take(
        self, identity: bytes, windows: Sequence[Window], limits: Sequence[float], now: float
    ) -> Deferred[Taken]:
        """See L{IPolicy.take}."""
        return self._store.add(identity, windows, 1, now).addCallback(_taken, limits)


class _Count:
    """A count as this worker knows it.

    @ivar stored: what Redis had when it was last asked.
    @ivar unsent: what has been counted here since.
    """

    __slots__ = ("end", "lasts", "stored", "unsent")

    def __init__(self, stored: int, window: Window) -> None:
        self.stored = stored
        self.unsent = 0
        self.end = window.end
        self.lasts = PERIODS[window.period]


@implementer(IPolicy)
class SyncedPolicy:
    """Counts in this worker, and tells Redis now and then: cheaper, and less exact.

    @param every: seconds between two rounds.
    """

    _log = Logger()

    def __init__(self, client: RedisClient, every: float, clock: IReactorTime) -> None:
        self._client = client
        self._every = every
        self._clock = clock
        self._counts: dict[bytes, _Count] = {}
        self._scheduled: IDelayedCall | None = None
        self._sending = False
        self._now = 0.0

    def take(
        self, identity: bytes, windows: Sequence[Window], limits: Sequence[float], now: float
    ) -> Taken | Deferred[Taken]:
        """See L{IPolicy.take}; waits for Redis once a window."""
        self._now = max(self._now, now)
        keys = redis_keys(identity, windows)
        if all(key in self._counts for key in keys):
            return self._take(keys, limits)
        return ensureDeferred(self._first(keys, windows, limits))

    async def _first(
        self, keys: Sequence[bytes], windows: Sequence[Window], limits: Sequence[float]
    ) -> Taken:
        stored = await self._client.read(keys)
        for key, count, window in zip(keys, stored, windows, strict=True):
            if key not in self._counts:  # another request may have asked meanwhile
                self._counts[key] = _Count(count, window)
        self._schedule()
        return self._take(keys, limits)

    def _take(self, keys: Sequence[bytes], limits: Sequence[float]) -> Taken:
        counts = [self._counts[key] for key in keys]
        before = [each.stored + each.unsent for each in counts]
        reached = _reached(before, limits)
        if reached is None:
            for each in counts:
                each.unsent += 1
            self._schedule()
        return Taken(before, reached)

    def stop(self) -> Deferred[None] | None:
        """Tell Redis the rest now, instead of later."""
        if self._scheduled is None:
            return None
        self._scheduled.cancel()
        return self._synchronise()

    def _schedule(self) -> None:
        if self._scheduled is None and not self._sending:
            self._scheduled = self._clock.callLater(self._every, self._synchronise)

    def _synchronise(self) -> Deferred[None] | None:
        self._scheduled = None
        for key in [key for key, each in self._counts.items() if each.end <= self._now]:
            if not self._counts[key].unsent:
                del self._counts[key]
        unsent = {key: each.unsent for key, each in self._counts.items() if each.unsent}
        if not unsent:
            return None
        additions = [(key, amount, self._counts[key].lasts) for key, amount in unsent.items()]
        self._sending = True
        sent = ensureDeferred(self._client.add(additions))
        return sent.addCallbacks(self._sent, self._failed, callbackArgs=(unsent,))

    def _sent(self, counts: Sequence[int], unsent: Mapping[bytes, int]) -> None:
        for (key, amount), count in zip(unsent.items(), counts, strict=True):
            known = self._counts[key]
            known.stored = count
            known.unsent -= amount
        self._sending = False
        self._schedule()

    def _failed(self, failure: Failure) -> None:
        """Begin anew: what Redis has then is better than what this worker knew."""
        self._counts.clear()
        self._sending = False
        self._log.warn(
            "rate-limiting could not tell Redis what was counted: {reason}",
            reason=failure.getErrorMessage(),
        )


def policy_key(config: Mapping[str, Any]) -> Any:
    """What two configurations have in common if they count by the same policy object."""
    if config["policy"] == "redis":
        return RedisPolicy, RedisSettings.of(config["redis"]), config["sync_rate"]
    return ClusterPolicy if config["policy"] == "cluster" else LocalPolicy


def make_policy(config: Mapping[str, Any], node: Node) -> IPolicy:
    """The policy of a configuration."""
    if config["policy"] == "cluster":
        return ClusterPolicy(DatabaseStore(node.store, "ratelimiting_metrics"))
    if config["policy"] != "redis":
        local = LocalPolicy(node.memory.counters, max(1, node.configuration.worker_count))
        node.closing.append(local.stop)
        return local
    client = client_of(RedisSettings.of(config["redis"]), node)
    if config["sync_rate"] == REALTIME:
        return RedisPolicy(RedisStore(client))
    policy = SyncedPolicy(client, config["sync_rate"], node.clock)
    node.closing.insert(0, policy.stop)  # before the client goes
    return policy


def _taken(after: Sequence[int], limits: Sequence[float]) -> Taken:
    """The outcome, by the counts with this request."""
    before = [count - 1 for count in after]
    return Taken(before, _reached(before, limits))


def _reached(counts: Sequence[int], limits: Sequence[float]) -> int | None:
    pairs = zip(counts, limits, strict=True)
    return next((index for index, (count, limit) in enumerate(pairs) if count >= limit), None)
