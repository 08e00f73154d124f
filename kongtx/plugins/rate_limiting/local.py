"""The policy C{local}: counters that the workers of a node share; on the hot path.

A write that all workers see costs as much as the rest of the plugin. So a worker counts some
requests by itself before it adds them to the shared counters: all workers together at most a two
hundredth of what remains of the limit. Where little remains, that is none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from zope.interface import implementer

from kongtx.cache.counters import Counters, Taken, counter_key
from kongtx.plugins.counting.windows import Window
from kongtx.plugins.rate_limiting.interfaces import IPolicy
from kongtx.plugins.rate_limiting.share import Share, least_of

#: What the workers together may have counted by themselves, as a part of what remains: 1/200.
_PART: Final = 200
#: What one worker may have counted by itself at most.
_MOST: Final = 64
#: Seconds after which a worker looks at the shared counters again.
_FRESH: Final = 0.1
#: Identities for which a worker counts by itself.
_IDENTITIES: Final = 10_000


@implementer(IPolicy)
class LocalPolicy:
    """Counts in memory that the workers of the node share.

    Small limits are never passed, not even by one request; others by less than one in two hundred.

    @param workers: how many share the counters.
    """

    def __init__(self, counters: Counters, workers: int) -> None:
        self._counters = counters
        self._part = _PART * workers
        self._shares: dict[bytes, Share] = {}

    def take(
        self, identity: bytes, windows: Sequence[Window], limits: Sequence[float], now: float
    ) -> Taken | Share:
        """See L{IPolicy.take}; never waits."""
        share = self._shares.get(identity)
        if share is not None:
            if share.windows is not windows or share.limits is not limits:
                self._give_up(identity, now)
                share = None
            elif share.take(now):
                return share
        unsent = 0 if share is None else share.unsent
        taken = self._counters.take(_keys(identity, windows), limits, now, unsent)
        self._share_out(identity, share, taken, windows, limits, now)
        return taken

    def _share_out(
        self,
        identity: bytes,
        share: Share | None,
        taken: Taken,
        windows: Sequence[Window],
        limits: Sequence[float],
        now: float,
    ) -> None:
        """Let this worker count as much by itself as what remains allows."""
        left = [limit - count for limit, count in zip(limits, taken.counts, strict=True)]
        most = min(int(min(left) // self._part), _MOST)
        if most <= 0:
            if share is not None:
                del self._shares[identity]
                share.most = 0
            return
        if share is None:
            if len(self._shares) >= _IDENTITIES:
                self._give_up(next(iter(self._shares)), now)
            share = self._shares[identity] = Share(windows, limits)
        share.left = [each - 1 for each in left]
        share.least = least_of(share.left)
        share.unsent = 0
        share.most = most
        share.since = second = int(now)
        share.until = min(now + _FRESH, second + 1)

    def stop(self) -> None:
        """Add to the shared counters what has been counted beside them."""
        for identity in list(self._shares):
            self._give_up(identity, 0)

    def _give_up(self, identity: bytes, now: float) -> None:
        share = self._shares.pop(identity)
        share.most = 0
        if share.unsent:
            self._counters.add(_keys(identity, share.windows), share.unsent, now)


def _keys(identity: bytes, windows: Sequence[Window]) -> list[bytes]:
    return [counter_key(each.key, identity) for each in windows]
