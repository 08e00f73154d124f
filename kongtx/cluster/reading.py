"""Which events of the log are new, and how far it was read. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from math import inf

from kongtx.db.clusterlog import LoggedEvent, LogPage

#: How many ids are remembered at most; what is forgotten might be acted on twice.
MOST_SEEN = 50_000
#: Seconds by which the database's clock may seem to go back, such as when another of its servers
#: answers; less than is asked for again at each poll.
MOST_BACK = 5.0


class Seen:
    """Ids of events, the oldest of which are forgotten."""

    def __init__(self, most: int = MOST_SEEN) -> None:
        self._most = most
        self._at: dict[str, float] = {}

    def __contains__(self, event_id: str) -> bool:
        return event_id in self._at

    def __len__(self) -> int:
        return len(self._at)

    def add(self, event_id: str, at: float) -> bool:
        """Remember an id; whether it is new."""
        if event_id in self._at:
            return False
        self._at[event_id] = at
        if len(self._at) > self._most:
            del self._at[next(iter(self._at))]
        return True

    def forget(self, before: float) -> None:
        """Forget the ids of events that are older."""
        while self._at:
            event_id, at = next(iter(self._at.items()))
            if at > before:
                break
            del self._at[event_id]

    def discard(self, event_id: str) -> None:
        """Forget one id."""
        self._at.pop(event_id, None)


class LogReader:
    """How far a worker knows the log.

    All moments are by the database's clock.

    @param reach: seconds before L{position} for which events are asked for again at most.
    @param lives: seconds after which events may be gone.
    @ivar own: whose events are left out.
    @ivar position: up to when the log is known; L{None} at first.
    """

    def __init__(self, own: Collection[str], reach: float, lives: float) -> None:
        self.own = own
        self._reach = reach
        self._lives = lives
        self._seen = Seen()
        self._waiting: dict[str, float] = {}
        self.position: float | None = None

    def since(self, overlap: float) -> float | None:
        """After which moment to ask for events; L{None} while nothing is known.

        @param overlap: seconds for which to ask again, as an event may appear in the log after
            others that are younger.
        """
        return None if self.position is None else self.position - min(overlap, self._reach)

    def take(self, page: LogPage) -> list[LoggedEvent]:
        """The events to act on, of what the log answered; never the same twice."""
        events = [
            event
            for event in page.events
            if event.node_id not in self.own and self._seen.add(event.id, event.at)
        ]
        self._advance(page.now)
        return events

    def misses(self, page: LogPage) -> bool:
        """Whether events may be missing between what is known and an answer.

        They are when more time has passed than events live, or when the database's clock was put
        back.
        """
        if self.position is None:
            return False
        return not -MOST_BACK < page.now - self.position < self._lives - self._reach

    def begin(self, now: float) -> None:
        """Know the log up to a moment, whatever was known before."""
        self.position = now

    def put_off(self, event: LoggedEvent) -> None:
        """An event that was taken is not acted on yet: until then, the log is known up to it."""
        self._waiting[event.id] = event.at

    def done(self, event: LoggedEvent) -> None:
        """It was acted on."""
        self._waiting.pop(event.id, None)

    def give_up(self) -> None:
        """Another worker acts on what waits; forget that it was taken."""
        self.position = self.progress()
        for event_id in self._waiting:
            self._seen.discard(event_id)
        self._waiting.clear()

    def progress(self) -> float | None:
        """Up to when everything was acted on."""
        earliest = min(self._waiting.values(), default=inf)
        return self.position if self.position is None else min(self.position, earliest)

    def learn(self, position: float, ids: Iterable[str]) -> None:
        """Another worker of the node has acted on some events, and on all up to a moment."""
        for event_id in ids:
            self._seen.add(event_id, position)
        self._advance(position)

    def _advance(self, now: float) -> None:
        if self.position is None or now > self.position:
            self.position = now
        self._seen.forget(self.position - 2 * self._reach)
