"""How long to wait before a worker that crashed is started again. Pure."""

from __future__ import annotations

#: A worker that lived this long, in seconds, is counted as sound.
SOUND_AFTER = 10.0
#: Seconds before the second, third ... start of a worker that crashes at once.
FIRST_DELAY = 0.1
#: The longest wait: a worker's own sockets have nobody who accepts meanwhile.
MAX_DELAY = 5.0


class Backoff:
    """The waits of one worker.

    A first crash is answered at once, so that a single kill costs nothing but its own requests.
    """

    __slots__ = ("_failures",)

    def __init__(self) -> None:
        self._failures = 0

    def delay(self, lived: float) -> float:
        """Seconds to wait.

        @param lived: seconds for which the worker had been alive.
        """
        if lived >= SOUND_AFTER:
            self._failures = 0
        self._failures += 1
        if self._failures == 1:
            return 0.0
        # Past the limit the exponent would grow for as long as the worker crashes.
        return float(min(MAX_DELAY, FIRST_DELAY * 2 ** min(self._failures - 2, 16)))
