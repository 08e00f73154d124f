"""One timer a connection, moved lazily. Hot path: moving a deadline further away costs no call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from twisted.internet.interfaces import IDelayedCall, IReactorTime

NEVER: Final = float("inf")


def _nothing() -> None:
    """Stand where the callback was."""


class LazyTimer:
    """Calls back once a deadline has passed; the deadline may be moved as often as you like.

    The reactor is asked only when the deadline comes nearer than what is already scheduled; a
    scheduled call that comes too early schedules itself again.
    """

    __slots__ = ("_call", "_clock", "_expired", "_fires", "deadline")

    def __init__(self, clock: IReactorTime, expired: Callable[[], object]) -> None:
        """Make a timer that is not set.

        @param expired: called without arguments, at most once for each deadline.
        """
        self._clock = clock
        self._expired = expired
        self._call: IDelayedCall | None = None
        self._fires = NEVER
        #: The reactor's seconds at which it expires. It may be set directly to L{NEVER} or to a
        #: later time than it was.
        self.deadline = NEVER

    def set(self, deadline: float) -> None:
        """Expire at C{deadline}, in the reactor's seconds."""
        self.deadline = deadline
        if deadline < self._fires:
            self._schedule(deadline)

    def stop(self) -> None:
        """Forget the deadline and leave nothing with the reactor."""
        self.deadline = NEVER
        self._fires = NEVER
        call, self._call = self._call, None
        if call is not None and call.active():
            call.cancel()

    def end(self) -> None:
        """Forget the callback as well.

        What calls back has its timer for an attribute: neither would be freed before the garbage
        collector finds them, nor what they lead to, such as the buffers of a TLS connection.
        """
        self.stop()
        self._expired = _nothing

    def _schedule(self, deadline: float) -> None:
        if self._call is not None and self._call.active():
            self._call.cancel()
        self._fires = deadline
        self._call = self._clock.callLater(max(0.0, deadline - self._clock.seconds()), self._fire)

    def _fire(self) -> None:
        self._call = None
        self._fires = NEVER
        if self.deadline == NEVER:
            return
        # A reactor may call a few microseconds early.
        if self.deadline <= self._clock.seconds() + 0.001:
            self.deadline = NEVER
            self._expired()
        else:
            self._schedule(self.deadline)
