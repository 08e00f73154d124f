"""The log level, which can be changed while the node runs."""

from __future__ import annotations

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from kongtx.lib.loglevel import Level, notice

log = Logger()


class LogLevelControl:
    """What is severe enough to be written.

    @param configured: the level that a change goes back to.
    """

    def __init__(self, clock: IReactorTime, configured: Level) -> None:
        self._clock = clock
        self.configured = configured
        self.level = configured
        self._revert: IDelayedCall | None = None

    def set(self, level: Level, timeout_s: float = 0) -> None:
        """Change the level.

        @param timeout_s: seconds until the configured level comes back; 0 for never.
        """
        self._cancel()
        if timeout_s > 0 and level is not self.configured:
            self._revert = self._clock.callLater(timeout_s, self._go_back)
        self._change(level)

    def remaining_s(self) -> float:
        """Seconds until the configured level comes back; 0 when it does not."""
        if self._revert is None:
            return 0.0
        return max(0.0, self._revert.getTime() - self._clock.seconds())

    def close(self) -> None:
        """Forget about going back."""
        self._cancel()

    def _change(self, level: Level) -> None:
        if level is not self.level:
            old, self.level = self.level, level
            notice(log, "log level changed from {old} to {new}", old=old.label, new=level.label)

    def _go_back(self) -> None:
        self._revert = None
        self._change(self.configured)

    def _cancel(self) -> None:
        if self._revert is not None:
            self._revert.cancel()
            self._revert = None
