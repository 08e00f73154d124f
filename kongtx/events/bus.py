"""A worker's end of the event bus: connects to the broker, and again when the broker went away."""

from __future__ import annotations

import os
import random
import uuid
from collections import deque
from collections.abc import Callable
from typing import Any

from twisted.application.internet import ClientService, backoffPolicy
from twisted.application.service import Service
from twisted.internet.defer import Deferred, fail
from twisted.internet.endpoints import UNIXClientEndpoint
from twisted.internet.protocol import Factory
from twisted.logger import Logger
from twisted.protocols import amp
from twisted.python.failure import Failure
from zope.interface import implementer

from kongtx.events.chunks import MAX_PAYLOAD, check_name, decode, encode, numbers
from kongtx.events.commands import Deliver, Hand, Hello, Publish
from kongtx.events.errors import BusClosedError, BusFullError, EventsError, PayloadError
from kongtx.events.interfaces import IEventBus, IMasterLink
from kongtx.events.link import BUS_CHANNEL, GATHER, MASTER, Handler, Link, Peer
from kongtx.events.subscriptions import Callback, Subscriptions

#: The most events that wait for the broker's answer, or for the broker itself.
MAX_PENDING = 10_000
#: Seconds that a stopping bus waits for the answers to its last events.
FLUSH_TIMEOUT = 1.0

log = Logger()


class _Outgoing:
    """An event on its way to the broker."""

    __slots__ = ("channel", "done", "event", "payload", "sequence", "unique")

    def __init__(
        self, sequence: int, channel: str, event: str, unique: str | None, payload: bytes
    ) -> None:
        self.sequence = sequence
        self.channel = channel
        self.event = event
        self.unique = unique
        self.payload = payload
        self.done: Deferred[None] = Deferred()


class _BusLink(Link):
    """The worker's end of its connection."""

    transport: Any

    def __init__(self, bus: EventBus) -> None:
        super().__init__(bus.handlers, bus.numbers, bus.max_payload)
        self._bus = bus
        self.peer = Peer(MASTER, 0, "master")

    def connectionMade(self) -> None:
        amp.AMP.connectionMade(self)
        self._bus.greet(self)

    @Deliver.responder
    def deliver_came(
        self, sender: int, channel: str, event: str, message: int, tail: bytes
    ) -> dict[str, Any]:
        """An event for every worker."""
        self._bus.came(self.assembler.finish(message, tail), channel, event, sender)
        return {}

    @Hand.responder
    def hand_came(
        self, sender: int, channel: str, event: str, message: int, tail: bytes
    ) -> dict[str, Any]:
        """A unique event, for this worker alone."""
        return self.deliver_came(sender, channel, event, message, tail)

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        amp.AMP.connectionLost(self, reason)
        self._bus.lost(self)


class _BusFactory(Factory):
    noisy = False

    def __init__(self, bus: EventBus) -> None:
        self._bus = bus

    def buildProtocol(self, addr: object) -> _BusLink:
        return _BusLink(self._bus)


@implementer(IEventBus, IMasterLink)
class EventBus(Service):
    """The bus as a worker sees it.

    Events published while the broker is away wait and are sent, in order, once it is back; an event
    whose answer was lost is sent again and taken once. What other workers published meanwhile is
    missed: on channel L{BUS_CHANNEL} this worker's own subscribers hear C{started} (first
    connection), C{lost}, C{reconnected} (drop what events keep fresh) and C{stopping}.

    @param reactor: provides C{IReactorUNIX} and C{IReactorTime}.
    @param path: of the broker's UNIX socket.
    @param max_pending: the most events that wait.
    """

    def __init__(
        self,
        reactor: Any,
        path: str,
        worker_id: int,
        *,
        max_pending: int = MAX_PENDING,
        max_payload: int = MAX_PAYLOAD,
        retry_policy: Callable[[int], float] | None = None,
    ) -> None:
        self._reactor = reactor
        self.worker_id = worker_id
        self.max_payload = max_payload
        self.numbers = numbers()
        self.handlers: dict[str, Handler] = {}
        self._instance = uuid.uuid4().hex
        self._max_pending = max_pending
        self._pending: deque[_Outgoing] = deque()
        self._sequence = 0
        self._subscriptions = Subscriptions()
        self._link: _BusLink | None = None
        self._greeted = False
        self._waiters: list[Deferred[_BusLink]] = []
        self._closed = False
        self._flushed: Deferred[None] | None = None
        self._client = ClientService(
            UNIXClientEndpoint(reactor, path, timeout=5),
            _BusFactory(self),
            retryPolicy=retry_policy
            or backoffPolicy(0.05, 2.0, 1.5, jitter=lambda: random.uniform(0, 0.05)),
            clock=reactor,
        )

    def startService(self) -> None:
        """Connect, and keep connected."""
        Service.startService(self)
        self._client.startService()

    def stopService(self) -> Deferred[None]:
        """Wait a moment for the answers to what was published, then hang up."""
        Service.stopService(self)
        self.publish_local(BUS_CHANNEL, "stopping")
        self._closed = True
        stopped = self._flush()
        stopped.addBoth(lambda _: self._client.stopService())
        return stopped.addBoth(lambda _: self._fail_waiting())

    def _flush(self) -> Deferred[None]:
        flushed: Deferred[None] = Deferred()
        self._flushed = flushed
        if not self._pending or self._link is None:
            flushed.callback(None)
        return flushed.addTimeout(FLUSH_TIMEOUT, self._reactor).addErrback(
            lambda _: log.warn(
                "{count} events were not taken by the master", count=len(self._pending)
            )
        )

    def _fail_waiting(self) -> None:
        while self._pending:
            self._pending.popleft().done.errback(_closed())
        while self._waiters:
            self._waiters.pop().errback(_closed())

    def when_connected(self) -> Deferred[None]:
        """A Deferred that fires when the broker knows this worker."""
        return self._when_linked().addCallback(lambda _: None)

    def _when_linked(self) -> Deferred[_BusLink]:
        if self._closed:
            return fail(_closed())
        waiter: Deferred[_BusLink] = Deferred(self._forget_waiter)
        if self._link is not None:
            waiter.callback(self._link)
        else:
            self._waiters.append(waiter)
        return waiter

    def _forget_waiter(self, waiter: Deferred[_BusLink]) -> None:
        self._waiters.remove(waiter)

    def publish(
        self, channel: str, event: str, data: Any = None, unique: str | None = None
    ) -> Deferred[None]:
        """See L{IEventBus.publish}.

        @return: fails with L{BusFullError} when too many events wait, L{BusClosedError} when the
            bus is stopped, L{kongtx.events.errors.PayloadError} when the event cannot travel.
        """
        try:
            entry = self._outgoing(channel, event, data, unique)
        except EventsError:
            return fail()
        self._pending.append(entry)
        if self._link is not None:
            self._send(self._link, entry)
        return entry.done

    def _outgoing(self, channel: str, event: str, data: Any, unique: str | None) -> _Outgoing:
        if self._closed:
            raise _closed()
        if len(self._pending) >= self._max_pending:
            raise BusFullError(f"{self._max_pending} events wait for the master to take them")
        check_name("channel", channel)
        check_name("event", event)
        if unique is not None:
            check_name("unique key", unique)
        payload = encode(data, self.max_payload)
        self._sequence += 1
        return _Outgoing(self._sequence, channel, event, unique, payload)

    def publish_local(self, channel: str, event: str, data: Any = None) -> None:
        """See L{IEventBus.publish_local}."""
        self._subscriptions.dispatch(data, channel, event, self.worker_id)

    def subscribe(
        self, channel: str, event: str | None, callback: Callback, weak: bool = False
    ) -> Callable[[], None]:
        """See L{IEventBus.subscribe}."""
        return self._subscriptions.add(channel, event, callback, weak)

    def gather(self, name: str, data: Any = None) -> Deferred[list[dict[str, Any]]]:
        """See L{IMasterLink.gather}."""
        return self.call(GATHER, {"name": name, "data": data})

    def serve(self, name: str, handler: Handler) -> None:
        """See L{IMasterLink.serve}."""
        self.handlers[name] = handler

    def call(self, name: str, data: Any = None) -> Deferred[Any]:
        """See L{IMasterLink.call}. Waits for the broker when it is away."""
        return self._when_linked().addCallback(lambda link: link.ask(name, data))

    # What the link reports.

    def came(self, payload: bytes, channel: str, event: str, sender: int) -> None:
        """An event came from the broker."""
        if self._subscriptions.wants(channel, event):
            self._subscriptions.dispatch(decode(payload), channel, event, sender)

    def lost(self, link: _BusLink) -> None:
        """The connection ended."""
        if self._link is link:
            self._link = None
            if not self._closed:
                log.warn("lost the connection to the event broker")
                self.publish_local(BUS_CHANNEL, "lost")

    def greet(self, link: _BusLink) -> None:
        """A connection is there: say who this is."""
        greeted = link.say(
            Hello, worker_id=self.worker_id, pid=os.getpid(), instance=self._instance.encode()
        )
        greeted.addCallback(lambda box: self._connected(link, box["taken"], box["limit"]))
        # The connection ended before the answer; the client service makes the next one.
        greeted.addErrback(lambda _: link.transport.abortConnection())

    def _connected(self, link: _BusLink, taken: int, limit: int) -> None:
        while self._pending and self._pending[0].sequence <= taken:
            self._pending.popleft().done.callback(None)
        self._link = link
        self.max_payload = min(limit, self.max_payload)
        for entry in list(self._pending):
            if len(entry.payload) <= limit:
                self._send(link, entry)
            else:
                self._remove(entry)
                entry.done.errback(PayloadError(f"event data is longer than {limit} bytes"))
        news = "reconnected" if self._greeted else "started"
        self._greeted = True
        self.publish_local(BUS_CHANNEL, news)
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            waiter.callback(link)

    def _send(self, link: _BusLink, entry: _Outgoing) -> None:
        sent = link.say(
            Publish,
            sequence=entry.sequence,
            channel=entry.channel,
            event=entry.event,
            unique=entry.unique,
            **link.send_ahead(entry.payload),
        )
        sent.addCallbacks(self._taken, self._not_taken, (entry,), {}, (entry,))

    def _taken(self, _box: object, entry: _Outgoing) -> None:
        self._remove(entry)
        entry.done.callback(None)

    def _not_taken(self, failure: Failure, entry: _Outgoing) -> None:
        # A lost connection leaves the event in the queue: the next connection sends it again.
        if failure.check(amp.RemoteAmpError):
            self._remove(entry)
            entry.done.errback(EventsError(f"the broker refused: {failure.getErrorMessage()}"))

    def _remove(self, entry: _Outgoing) -> None:
        if self._pending and self._pending[0] is entry:
            self._pending.popleft()
        elif entry in self._pending:
            self._pending.remove(entry)
        if not self._pending and self._flushed is not None and not self._flushed.called:
            self._flushed.callback(None)


def _closed() -> BusClosedError:
    return BusClosedError("the event bus has been stopped")
