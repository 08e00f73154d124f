"""Events between the nodes that share a database, over the log in it.

One worker of the node reads the log, again and again and when the database wakes it, and hands what
it reads to the others over the event bus. Each worker knows how far the log was read, so that
another goes on when that one stops or dies.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, DeferredList, maybeDeferred, succeed
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import LoopingCall, deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from kongtx.cluster.interfaces import IClusterEvents, Scope
from kongtx.cluster.reading import LogReader, Seen
from kongtx.db.clusterlog import Broadcast, LoggedEvent, LogPage
from kongtx.db.errors import DatabaseError
from kongtx.db.interfaces import IClusterLog
from kongtx.events.interfaces import IEventBus, ILeases

#: The channel of the event bus, and its events.
CHANNEL = "cluster-events"
_EVENT, _PROGRESS = "event", "progress"
_LEASE = "cluster-events"

#: Seconds after which an event may be purged, at least. Kong: the same.
LIVES = 3600.0
#: Seconds for which the log is read again: at each poll, and when the database woke the reader.
OVERLAP = 30.0
WOKEN_OVERLAP = 1.0
#: Seconds between two reads, however often the database wakes the reader.
SPACING = 0.02
#: Seconds between removals of old events.
PURGE_INTERVAL = 600.0
#: Seconds without an answer after which what was missed is not read any more.
LONG_AWAY = 120.0

Callback = Callable[[str], object]


def reach_of(frequency: float, propagation: float) -> float:
    """Seconds for which the log is read again at most.

    A worker that takes over may know less than the one before: nothing of its last polls.
    """
    return OVERLAP + propagation + 2 * frequency + 5


def life_of(frequency: float, propagation: float) -> float:
    """Seconds for which events have to be kept."""
    return max(LIVES, 4 * reach_of(frequency, propagation))


@implementer(IClusterEvents)
class NoClusterEvents:
    """The events of a node whose database is its own: nobody else is there to hear."""

    def broadcast(self, channel: str, data: str, delay: float = 0.0) -> Deferred[None]:
        """See L{IClusterEvents.broadcast}."""
        return succeed(None)

    def subscribe(
        self, channel: str, callback: Callback, scope: Scope = "worker"
    ) -> Callable[[], None]:
        """See L{IClusterEvents.subscribe}."""
        return lambda: None

    def doubt(self) -> None:
        """See L{IClusterEvents.doubt}: a database of its own tells nobody."""


@implementer(IClusterEvents)
class ClusterEvents(Service):
    """The events of one worker.

    @param log: what the database has for them.
    @param node: what this node's events are from; the same for all of its workers.
    @param worker: what this worker's writes are from. Those of the other workers are heard, since
        one that died may not have told the node of them.
    @param clock: C{IReactorTime}.
    @param frequency: seconds between two polls.
    @param propagation: seconds that a write takes to reach all replicas of the database.
    @param resync: called in the reading worker when events may have been missed; has to bring the
        whole node up to date. What it returns is waited for.
    """

    _log = Logger()

    def __init__(
        self,
        log: IClusterLog,
        node: str,
        worker: str,
        bus: IEventBus,
        leases: ILeases,
        clock: Any,
        *,
        frequency: float,
        propagation: float = 0.0,
        resync: Callable[[], object] = lambda: None,
    ) -> None:
        self._database = log
        self._node = node
        self._bus = bus
        self._leases = leases
        self._clock = clock
        self._propagation = propagation
        self._resync = resync
        self._overlap = OVERLAP + propagation
        self._reach = reach_of(frequency, propagation)
        self._lives = life_of(frequency, propagation)
        self._worker = worker
        self._reader = LogReader({node, worker}, self._reach, self._lives)
        self._heard = Seen()
        self._callbacks: dict[Scope, dict[str, list[Callback]]] = {"worker": {}, "node": {}}
        self._wanted: float | None = None
        self._is_reading = False
        self._reading: Deferred[None] = succeed(None)
        self._delays: set[IDelayedCall] = set()
        self._loops = [(LoopingCall(self._poll), frequency), (LoopingCall(self._purge), None)]
        self._endings: list[Callable[[], None]] = []
        self._unwatch: Callable[[], None] | None = None
        self._is_reader = False
        self._failed_since: float | None = None
        self._doubts_until = -inf

    # IClusterEvents

    def broadcast(self, channel: str, data: str, delay: float = 0.0) -> Deferred[None]:
        """See L{IClusterEvents.broadcast}."""
        event = Broadcast(channel, data, max(delay, self._propagation))
        return self._database.append_events([event], self._node, self._lives)

    def subscribe(
        self, channel: str, callback: Callback, scope: Scope = "worker"
    ) -> Callable[[], None]:
        """See L{IClusterEvents.subscribe}."""
        callbacks = self._callbacks[scope].setdefault(channel, [])
        callbacks.append(callback)
        return lambda: callbacks.remove(callback)

    def doubt(self) -> None:
        """See L{IClusterEvents.doubt}."""
        # The write may have been begun long ago, and may be finished only now.
        self._doubts_until = self._clock.seconds() + self._reach
        self._reader.own = {self._node}
        self._want(self._reach)

    # Life

    async def begin(self) -> None:
        """Know the log up to now: call it before the database's content is read.

        Without an answer of the database, everything is read anew once there is one.
        """
        try:
            page = await self._database.events_after(None)
        except DatabaseError:
            self._failed_since = self._clock.seconds()
        else:
            self._reader.begin(page.now)

    def startService(self) -> None:
        """Read, or wait for the worker that does to stop."""
        super().startService()  # type: ignore[no-untyped-call]
        self._endings = [
            self._bus.subscribe(CHANNEL, _EVENT, self._came),
            self._bus.subscribe(CHANNEL, _PROGRESS, self._progressed),
            self._leases.hold(_LEASE, self._held),
        ]

    def stopService(self) -> None:
        """Hear nothing any more."""
        super().stopService()  # type: ignore[no-untyped-call]
        for end in self._endings:
            end()
        self._endings = []
        self._held(False)

    def _held(self, held: bool) -> None:
        """One worker of the node reads."""
        if held == self._is_reader or (held and not self.running):
            return
        self._is_reader = held
        if held:
            self._unwatch = self._database.watch_events(self._wake)
            self._want(self._reach)
            for loop, interval in self._loops:
                loop.clock = self._clock
                loop.start(interval or PURGE_INTERVAL, now=False)
            return
        for loop, _ in self._loops:
            if loop.running:
                loop.stop()
        if self._unwatch is not None:
            self._unwatch()
            self._unwatch = None
        for delayed in self._delays:
            delayed.cancel()
        self._delays.clear()
        self._reader.give_up()
        self._wanted = None
        self._reading.cancel()

    # Reading

    def _poll(self) -> None:
        self._want(self._overlap)

    def _wake(self) -> None:
        self._want(WOKEN_OVERLAP + self._propagation)

    def _want(self, overlap: float) -> None:
        self._wanted = max(self._wanted or 0.0, overlap)
        if not self._is_reading and self._is_reader:
            self._is_reading = True
            self._reading = Deferred.fromCoroutine(self._read_while_wanted())
            self._reading.addErrback(self._broken).addBoth(self._read_enough)

    def _read_enough(self, _: object) -> None:
        self._is_reading = False
        if self._wanted is not None:
            self._want(self._wanted)

    def _broken(self, failure: Failure) -> None:
        if failure.check(CancelledError) is None:
            self._log.failure("the events of other nodes could not be read", failure=failure)

    async def _read_while_wanted(self) -> None:
        while self._wanted is not None and self._is_reader:
            overlap, self._wanted = self._wanted, None
            await self._read(overlap)
            await deferLater(self._clock, SPACING)

    async def _read(self, overlap: float) -> None:
        began = self._clock.seconds()
        if began > self._doubts_until:
            self._reader.own = {self._node, self._worker}
        since = self._reader.since(overlap)
        failed_since = self._failed_since
        if failed_since is not None and began - failed_since > LONG_AWAY:
            since = None
        try:
            page = await self._database.events_after(since)
        except DatabaseError as error:
            self._away(error)
            return
        misses = since is None or failed_since is not None or self._reader.misses(page)
        if misses:
            self._reader.begin(page.now)
            # Until everything was read, whatever becomes of that.
            self._failed_since = began if failed_since is None else failed_since
        events = self._reader.take(page)
        if misses:
            await self._begin_anew()
        self._act(events, page, began)

    def _away(self, error: DatabaseError) -> None:
        if self._failed_since is None:
            self._failed_since = self._clock.seconds()
            self._log.warn(
                "the database does not answer, so changes by other nodes are not seen: {error}",
                error=error.message,
            )

    async def _begin_anew(self) -> None:
        """The database is back, or events may be missing: rely on nothing that was known."""
        self._log.info("changes by other nodes may have been missed: everything is read again")
        await maybeDeferred(self._resync)
        self._failed_since = None

    def _act(self, events: list[LoggedEvent], page: LogPage, began: float) -> None:
        now = []
        for event in events:
            self._reader.put_off(event)
            # The time was read by the database after this node asked.
            wait = event.not_before - page.now - (self._clock.seconds() - began)
            if event.not_before > page.now and wait > 0:
                self._later(wait, event)
            else:
                now.append(event)
        self._hand_on(now)

    def _later(self, seconds: float, event: LoggedEvent) -> None:
        def act() -> None:
            self._delays.discard(delayed)
            self._hand_on([event])

        delayed = self._clock.callLater(seconds, act)
        self._delays.add(delayed)

    def _hand_on(self, events: list[LoggedEvent]) -> None:
        """Act on events; that it was done is told when it was, lest a successor leave it out."""
        acting: list[Deferred[object]] = []
        for event in events:
            acting += self._call("node", event.channel, event.data)
            if self._callbacks["worker"].get(event.channel):
                acting.append(
                    self._publish(_EVENT, [event.id, event.at, event.channel, event.data])
                )
        DeferredList(acting).addCallback(lambda _: self._acted_on(events))

    def _acted_on(self, events: list[LoggedEvent]) -> None:
        if not self._is_reader:
            return
        for event in events:
            self._reader.done(event)
        self._tell_progress([event.id for event in events])

    def _tell_progress(self, done: list[str]) -> None:
        progress = self._reader.progress()
        if progress is not None:
            self._publish(_PROGRESS, [progress, done])

    def _publish(self, event: str, data: Any) -> Deferred[object]:
        return self._bus.publish(CHANNEL, event, data).addErrback(
            lambda failure: self._log.warn(
                "the other workers could not be told of the cluster's events: {reason}",
                reason=failure.getErrorMessage(),
            )
        )

    def _call(self, scope: Scope, channel: str, data: str) -> list[Deferred[object]]:
        calls = []
        for callback in list(self._callbacks[scope].get(channel, ())):
            called: Deferred[object] = maybeDeferred(callback, data)
            called.addErrback(
                lambda failure: self._log.failure(
                    "a subscriber to the cluster's channel {channel} failed",
                    failure=failure,
                    channel=channel,
                )
            )
            calls.append(called)
        return calls

    def _came(self, data: Any, _channel: str, _event: str, _worker: int) -> None:
        event_id, at, channel, text = data
        self._heard.forget(at - self._reach)
        if self._heard.add(event_id, at):
            self._call("worker", channel, text)

    def _progressed(self, data: Any, _channel: str, _event: str, _worker: int) -> None:
        if not self._is_reader:
            self._reader.learn(*data)

    def _purge(self) -> Deferred[Any]:
        def failed(failure: Failure) -> None:
            failure.trap(DatabaseError)
            self._log.info(
                "old events stay in the database for now: {error}",
                error=failure.getErrorMessage(),
            )

        return self._database.purge_events().addErrback(failed)
