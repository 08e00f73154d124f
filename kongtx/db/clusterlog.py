"""What nodes leave for each other in the database that they share."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs

from kongtx.db.writes import Change


@attrs.frozen
class Broadcast:
    """An event to leave.

    @ivar channel: what it is about.
    @ivar data: anything, as text.
    @ivar delay: seconds before which no node is to act on it.
    """

    channel: str
    data: str
    delay: float = 0.0


@attrs.frozen
class LoggedEvent:
    """An event as it was left.

    @ivar id: a UUID.
    @ivar node_id: who left it.
    @ivar at: when, in seconds since the epoch by the database's clock.
    @ivar not_before: when nodes may act on it, by the same clock.
    """

    id: str
    node_id: str
    at: float
    not_before: float
    channel: str
    data: str


@attrs.frozen
class LogPage:
    """The answer of the log.

    @ivar now: seconds since the epoch by the database's clock, read before the events were.
    @ivar events: in the order of C{at}.
    """

    now: float
    events: Sequence[LoggedEvent]


#: What to leave with the changes of a transaction.
Announce = Callable[[Sequence[Change]], Sequence[Broadcast]]
