"""Unique keys seen a short time ago. Pure."""

from __future__ import annotations

#: Seconds for which events with the key of an earlier one are dropped.
UNIQUE_WINDOW = 2.0


class RecentKeys:
    """Remembers keys for a while.

    @param window: seconds.
    """

    def __init__(self, window: float = UNIQUE_WINDOW) -> None:
        self._window = window
        self._seen: dict[str, float] = {}

    def __len__(self) -> int:
        return len(self._seen)

    def is_new(self, key: str, now: float) -> bool:
        """Whether the key was not seen within the window; from now on it was.

        A key that is seen again does not stay longer for it.
        """
        # Insertion order is time order, so the old ones are at the front.
        while self._seen:
            oldest = next(iter(self._seen))
            if self._seen[oldest] + self._window > now:
                break
            del self._seen[oldest]
        if key in self._seen:
            return False
        self._seen[key] = now
        return True
