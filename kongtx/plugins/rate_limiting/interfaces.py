"""What rate-limiting asks of whatever counts requests."""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.defer import Deferred
from zope.interface import Interface

from kongtx.cache.counters import Taken
from kongtx.plugins.counting.windows import Window
from kongtx.plugins.rate_limiting.share import Share


class IPolicy(Interface):
    """Counts requests in windows."""

    def take(
        identity: bytes, windows: Sequence[Window], limits: Sequence[float], now: float
    ) -> Taken | Share | Deferred[Taken]:
        """Count one request in every window, unless a limit has been reached.

        A L{Share} has counted it by itself.

        @param identity: whose requests are counted; as L{kongtx.plugins.counting.stores.scope}.
        @param windows: one for each of C{limits}.
        @param now: seconds since the epoch.
        """
