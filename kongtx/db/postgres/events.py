"""The events that nodes leave for each other, and being woken for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater
from twisted.logger import Logger

from kongtx.db.clusterlog import Broadcast, LoggedEvent, LogPage
from kongtx.db.errors import DatabaseError
from kongtx.db.postgres.layout import EVENTS_CHANNEL
from kongtx.db.postgres.link import Link
from kongtx.db.postgres.moment import Moment
from kongtx.db.postgres.settings import Endpoint
from kongtx.db.postgres.transaction import Transaction
from kongtx.lib import ids

#: Seconds between attempts to listen again: the first, doubled up to the last.
FIRST_PAUSE = 0.1
LAST_PAUSE = 10.0
#: Seconds after which a connection that only listens is asked whether it is there.
ASK_SECONDS = 30.0

# Any number that no other user of the database takes: "kongtx", the letters' codes.
_PURGE_LOCK = 0x6B6F6E677478

# The time of the statement is before what it sees; the clock's would be after.
_STATEMENT_TIME = "extract(epoch FROM statement_timestamp())::double precision"


def leave(
    transaction: Transaction,
    moment: Moment,
    events: Sequence[Broadcast],
    node_id: str,
    lives: float,
) -> None:
    """Keep events with what else is done in a transaction, and wake the other nodes at its end."""
    if not events:
        return
    now = str(moment)
    row = f"(%s, %s, {now}, {now} + %s, {now} + %s, %s, %s)"
    parameters: list[Any] = []
    for event in events:
        parameters += [ids.uuid4(), node_id, event.delay, event.delay + lives]
        parameters += [event.channel, event.data]
    transaction.add(
        "INSERT INTO kongtx_events (id, node_id, at, not_before, expires, channel, data) "
        f"VALUES {', '.join([row] * len(events))}",
        parameters,
    )
    transaction.add(f"NOTIFY {EVENTS_CHANNEL}")


async def events_after(link: Link, moment: Moment, at: float | None) -> LogPage:
    """What was left after a moment, and the time before that was read."""
    now = _STATEMENT_TIME if moment.is_database else str(moment)
    if at is None:
        [(read_at,)] = await link.execute(f"SELECT {now}")
        return LogPage(read_at, ())
    found = await link.execute(
        f"SELECT {now}, id, node_id, at, not_before, channel, data "
        "FROM (SELECT 1) AS one LEFT JOIN kongtx_events ON at > %s ORDER BY at, number",
        [at],
    )
    events = [LoggedEvent(*row[1:]) for row in found if row[1] is not None]
    return LogPage(found[0][0], events)


async def purge_events(link: Link, moment: Moment) -> int:
    """Remove the events whose life is over, unless another node does so just now."""
    [(count,)] = await link.execute(
        f"WITH turn AS MATERIALIZED (SELECT pg_try_advisory_xact_lock({_PURGE_LOCK}) AS mine), "
        "gone AS (DELETE FROM kongtx_events USING turn "
        f"WHERE turn.mine AND expires <= {moment} RETURNING 1) "
        "SELECT count(*) FROM gone"
    )
    return int(count)


class Watch:
    """A connection that listens for events, made again whenever it is lost.

    @param wake: called when there may be events, also after a time without a connection.
    """

    _log = Logger()

    def __init__(self, reactor: Any, endpoint: Endpoint, wake: Callable[[], object]) -> None:
        self._reactor = reactor
        self._endpoint = endpoint
        self._wake = wake
        self._waiting: Deferred[None] | None = None
        self._listening = Deferred.fromCoroutine(self._listen())
        self._listening.addErrback(lambda failure: failure.trap(CancelledError))

    def stop(self) -> None:
        """End it; may be called twice."""
        self._listening.cancel()

    async def _listen(self) -> None:
        pause, is_told = FIRST_PAUSE, False
        while True:
            link = Link(self._reactor, self._endpoint, self._lost, self._notified)
            try:
                await link.open()
                await link.execute(f"LISTEN {EVENTS_CHANNEL}")
                pause, is_told = FIRST_PAUSE, False
                self._notified()
                await self._stay(link)
            except DatabaseError as error:
                if not is_told:
                    self._log.info(
                        "not woken for events, which are looked for from time to time: {error}",
                        error=error.message,
                    )
                is_told = True
            finally:
                link.close()
            await deferLater(self._reactor, pause)
            pause = min(pause * 2, LAST_PAUSE)

    async def _stay(self, link: Link) -> None:
        """Return when the connection is gone."""
        while link.is_open:
            self._waiting = Deferred()
            self._waiting.addTimeout(ASK_SECONDS, self._reactor, lambda *_: None)
            await self._waiting
            if link.is_open:
                await link.execute("SELECT 1")

    def _lost(self, link: Link) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None and not waiting.called:
            waiting.callback(None)

    def _notified(self) -> None:
        try:
            self._wake()
        except Exception:
            self._log.failure("what is woken for events failed")
