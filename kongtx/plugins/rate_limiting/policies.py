"""Where requests are counted."""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.defer import Deferred
from zope.interface import Interface, implementer

from kongtx.cache.counters import Counters, Taken, counter_key
from kongtx.plugins.rate_limiting.windows import Window


class IPolicy(Interface):
    """Counts requests in windows."""

    def take(
        identity: bytes, windows: Sequence[Window], limits: Sequence[float], now: float
    ) -> Taken | Deferred[Taken]:
        """Count one request in every window, if no limit has been reached.

        @param identity: whose requests are counted.
        @param windows: one for each of C{limits}.
        @param now: seconds since the epoch.
        """


@implementer(IPolicy)
class LocalPolicy:
    """Counts in memory that the workers of the node share; no limit is ever passed on a node."""

    def __init__(self, counters: Counters) -> None:
        self._counters = counters

    def take(
        self, identity: bytes, windows: Sequence[Window], limits: Sequence[float], now: float
    ) -> Taken:
        """See L{IPolicy.take}; never waits."""
        keys = [counter_key(each.key, identity) for each in windows]
        return self._counters.take(keys, limits, now)
