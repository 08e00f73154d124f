"""A log of events in memory, by a clock of its own, for tests."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence

from twisted.internet.defer import Deferred, fail, succeed
from zope.interface import implementer

from kongtx.db.clusterlog import Announce, Broadcast, LoggedEvent, LogPage
from kongtx.db.errors import DatabaseError
from kongtx.db.interfaces import IClusterLog


@implementer(IClusterLog)
class MemoryLog:
    """The log; C{now} is the database's time.

    @ivar asked: the moments after which events were asked for.
    @ivar is_away: whether everything fails.
    """

    def __init__(self, now: float = 1_000_000.0) -> None:
        self.now = now
        self.events: list[LoggedEvent] = []
        self.asked: list[float | None] = []
        self.is_away = False
        self.purges = 0
        self.waking: list[Callable[[], object]] = []

    def leave(self, node_id: str, channel: str, data: str, at: float | None = None, delay=0.0):
        """Leave an event, perhaps with another moment than now."""
        at = self.now if at is None else at
        self.events.append(LoggedEvent(str(uuid.uuid4()), node_id, at, at + delay, channel, data))

    def wake(self) -> None:
        """Wake all who watch."""
        for each in list(self.waking):
            each()

    def announce_with(self, announce: Announce, node_id: str, lives: float) -> None:
        """Not needed."""

    def append_events(self, events: Sequence[Broadcast], node_id: str, lives: float):
        """See L{IClusterLog.append_events}."""
        if self.is_away:
            return fail(DatabaseError("away"))
        for event in events:
            self.leave(node_id, event.channel, event.data, delay=event.delay)
        return succeed(None)

    def events_after(self, at: float | None) -> Deferred[LogPage]:
        """See L{IClusterLog.events_after}."""
        if self.is_away:
            return fail(DatabaseError("away"))
        self.asked.append(at)
        found = [] if at is None else [event for event in self.events if event.at > at]
        return succeed(LogPage(self.now, sorted(found, key=lambda event: event.at)))

    def purge_events(self) -> Deferred[int]:
        """See L{IClusterLog.purge_events}."""
        self.purges += 1
        return succeed(0)

    def watch_events(self, wake: Callable[[], object]) -> Callable[[], None]:
        """See L{IClusterLog.watch_events}."""
        self.waking.append(wake)
        return lambda: self.waking.remove(wake)
