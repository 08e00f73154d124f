"""How often a peer may do what costs us more than it costs the peer."""

from __future__ import annotations

from collections.abc import Callable


class Allowance:
    """A bucket of tokens: so many at once, so many a second."""

    __slots__ = ("_burst", "_rate", "_seconds", "_since", "_tokens")

    def __init__(self, burst: float, rate: float, seconds: Callable[[], float]) -> None:
        """A full bucket.

        @param rate: tokens a second.
        @param seconds: a clock's.
        """
        self._burst = burst
        self._rate = rate
        self._seconds = seconds
        self._tokens = burst
        self._since = seconds()

    def take(self) -> bool:
        """Take a token; whether there was one."""
        if self._tokens < 1:
            now = self._seconds()
            self._tokens = min(self._burst, self._tokens + (now - self._since) * self._rate)
            self._since = now
            if self._tokens < 1:
                return False
        elif self._tokens == self._burst:
            self._since = self._seconds()
        self._tokens -= 1
        return True
