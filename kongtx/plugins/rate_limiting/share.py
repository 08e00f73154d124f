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
    @ivar most: what it may count.
    @ivar until: when it looks at the shared counts again.
    """

    __slots__ = ("least", "left", "limits", "most", "unsent", "until", "windows")

    def __init__(self, windows: Sequence[Window], limits: Sequence[float]) -> None:
        self.windows = windows
        self.limits = limits
        self.left: Sequence[float] = ()
        self.least = self.unsent = self.most = 0
        self.until = 0.0


def least_of(left: Sequence[float]) -> int:
    """Which is the least of what remains; of equal ones that of the longer window."""
    least = 0
    for index, each in enumerate(left):
        if each <= left[least]:
            least = index
    return least
