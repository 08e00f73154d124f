"""What one worker may count by itself; on the hot path."""

from __future__ import annotations

from collections.abc import Sequence

from kongtx.plugins.counting.windows import Window


class Share:
    """What a worker counts by itself for one identity, far below every limit.

    So of many requests nothing differs but one number, and none of them is refused.

    @ivar left: of each limit, as the worker last saw the shared counts.
    @ivar least: which of them is the least.
    @ivar unsent: what it has counted since.
    @ivar most: what it may count; 0: nothing more, it has been given up.
    @ivar since: it counts from then, in seconds since the epoch.
    @ivar until: when the shared counts are looked at again: within the same second, in which no
        window ends.
    """

    __slots__ = ("least", "left", "limits", "most", "since", "unsent", "until", "windows")

    def __init__(self, windows: Sequence[Window], limits: Sequence[float]) -> None:
        self.windows = windows
        self.limits = limits
        self.left: Sequence[float] = ()
        self.least = self.unsent = self.most = 0
        self.since = self.until = 0.0

    def take(self, now: float) -> bool:
        """Count a request, unless the shared counts have to be asked."""
        if self.unsent >= self.most or not self.since <= now < self.until:
            return False
        self.unsent += 1
        return True


def least_of(left: Sequence[float]) -> int:
    """Which is the least of what remains; of equal ones that of the longer window."""
    least = 0
    for index, each in enumerate(left):
        if each <= left[least]:
            least = index
    return least
