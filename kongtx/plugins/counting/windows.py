"""The windows of time in which requests are counted: fixed, aligned to the UTC calendar. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache

import attrs

from kongtx.cache.counters import window_key

#: Periods from the shortest to the longest, and the length in seconds that each counts as.
PERIODS = {
    "second": 1,
    "minute": 60,
    "hour": 3600,
    "day": 86400,
    "month": 30 * 86400,
    "year": 365 * 86400,
}
_EXACT = ("second", "minute", "hour", "day")


@attrs.frozen
class Window:
    """One window of one period; seconds since the epoch.

    @ivar end: when its counter may be forgotten, by the period's nominal length.
    @ivar key: the beginning of the keys of its counters.
    """

    period: str
    start: int
    end: int
    key: bytes = attrs.field(init=False, eq=False, repr=False)

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "key", window_key(self.end, self.period.encode()))

    def reset(self, now: float) -> int:
        """Seconds until the next window, at least 1."""
        return max(1, self.end - int(now))


def window(period: str, now: float) -> Window:
    """The window of a period that a moment is in."""
    length = PERIODS[period]
    moment = int(now)
    if period in _EXACT:
        start = moment - moment % length
    else:
        start = _calendar_start(period, moment // 86400)
    return Window(period, start, start + length)


class Windows:
    """The windows of some periods that the moment is in; made anew only when one has ended.

    @param periods: in the order in which their windows are wanted.
    """

    __slots__ = ("_current", "_from", "_periods", "_until")

    def __init__(self, periods: Sequence[str]) -> None:
        self._periods = periods
        self._current: Sequence[Window] = ()
        self._from = self._until = 0

    def at(self, now: float) -> Sequence[Window]:
        """The windows; the same object as long as they are the same.

        @param now: seconds since the epoch.
        """
        if not self._from <= now < self._until:
            self._current = [window(period, now) for period in self._periods]
            # Those of the calendar end at the end of a day, if not of this one.
            day = window("day", now)
            exact = [each for each in self._current if each.period in _EXACT]
            self._from = max(each.start for each in (*exact, day))
            self._until = min(each.end for each in (*exact, day))
        return self._current


@lru_cache(maxsize=64)
def _calendar_start(period: str, day: int) -> int:
    date = datetime.fromtimestamp(day * 86400, UTC)
    first = date.replace(day=1) if period == "month" else date.replace(month=1, day=1)
    return int(first.timestamp())
