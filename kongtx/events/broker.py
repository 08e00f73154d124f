"""The broker of the event bus: one in the master, every worker connected to it.

Events are spread in the order in which the broker takes them, so every worker sees the same order,
and the events of one sender stay in theirs.
"""

from __future__ import annotations

import os
import stat
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from attrs import frozen
from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredList, maybeDeferred, succeed
from twisted.internet.interfaces import IListeningPort, IPushProducer
from twisted.internet.protocol import Factory
from twisted.logger import Logger
from twisted.protocols import amp
from twisted.python.failure import Failure
from zope.interface import implementer

from kongtx.events.chunks import MAX_PAYLOAD, check_name, decode, encode, numbers, split
from kongtx.events.commands import Deliver, Hand, Hello, Piece, Publish
from kongtx.events.errors import EventsError
from kongtx.events.interfaces import IEventBus
from kongtx.events.leases import LEASES_CHANNEL, LeaseTable
from kongtx.events.link import BUS_CHANNEL, GATHER, MASTER, Handler, Link, Peer
from kongtx.events.recent import UNIQUE_WINDOW, RecentKeys
from kongtx.events.subscriptions import Callback, Subscriptions

#: Bytes that may wait for a worker which does not read, before it is cut off.
MAX_BACKLOG = 256 * 1024 * 1024
#: Seconds in which a worker must answer a question to all.
GATHER_TIMEOUT = 2.0
#: Processes whose last event number is remembered, so that an event sent again is taken once.
_MAX_INSTANCES = 1024

log = Logger()


@frozen
class _Event:
    sender: int
    channel: str
    event: str
    payload: bytes


@implementer(IPushProducer)
class _WorkerLink(Link):
    """The broker's end of one worker's connection."""

    transport: Any

    def __init__(self, broker: EventBroker) -> None:
        super().__init__(broker.handlers, broker.numbers, broker.max_payload)
        self._broker = broker
        self._behind: int | None = None

    def connectionMade(self) -> None:
        amp.AMP.connectionMade(self)
        self.transport.registerProducer(self, True)

    def pauseProducing(self) -> None:
        """The transport's buffer is full: count what is written from now on."""
        if self._behind is None:
            self._behind = 0

    def resumeProducing(self) -> None:
        """The worker has read what was written."""
        self._behind = None

    def stopProducing(self) -> None:
        """The connection is gone; L{connectionLost} says the same."""

    def write(self, data: bytes) -> None:
        """Send boxes, unless the worker is too far behind; then cut it off."""
        if self._behind is not None:
            self._behind += len(data)
            if self._behind > self._broker.max_backlog:
                log.error(
                    "worker {worker_id} has not read its events for {size} bytes: cut off",
                    worker_id=self.peer.worker_id if self.peer else "?",
                    size=self._behind,
                )
                self.transport.abortConnection()
                return
        self.transport.write(data)

    @Hello.responder
    def hello_came(self, worker_id: int, pid: int, instance: bytes) -> dict[str, Any]:
        """A worker says who it is."""
        self.peer = Peer(worker_id, pid, instance.decode())
        return {"taken": self._broker.joined(self, self.peer), "limit": self.limit}

    @Publish.responder
    def publish_came(
        self,
        sequence: int,
        channel: str,
        event: str,
        message: int,
        tail: bytes,
        *,
        unique: str | None = None,
    ) -> dict[str, Any]:
        """A worker has an event for everyone."""
        payload = self.assembler.finish(message, tail)
        if self.peer is None:
            raise EventsError("say hello first")
        taken = _Event(self.peer.worker_id, channel, event, payload)
        self._broker.take(self, self.peer.instance, sequence, taken, unique)
        return {}

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        amp.AMP.connectionLost(self, reason)
        if self.peer is not None:
            self._broker.left(self, self.peer)


class _BrokerFactory(Factory):
    noisy = False

    def __init__(self, broker: EventBroker) -> None:
        self._broker = broker

    def buildProtocol(self, addr: object) -> _WorkerLink:
        return _WorkerLink(self._broker)


@implementer(IEventBus)
class EventBroker(Service):
    """Spreads events, answers calls, arbitrates leases.

    The process that runs it takes part with C{worker_id} L{MASTER}: it may publish and subscribe.
    It hears of workers on channel L{BUS_CHANNEL}: events C{joined} and C{left} with the data
    C{{"worker_id", "pid", "instance"}}. Unique events go to workers alone.

    @param reactor: provides C{IReactorUNIX} and C{IReactorTime}.
    @param path: of the UNIX socket.
    @param unique_window: seconds in which events with the key of an earlier one are dropped.
    @param max_payload: the most bytes in one payload.
    @param max_backlog: the most bytes that wait for a worker which does not read.
    """

    def __init__(
        self,
        reactor: Any,
        path: str,
        *,
        unique_window: float = UNIQUE_WINDOW,
        max_payload: int = MAX_PAYLOAD,
        max_backlog: int = MAX_BACKLOG,
    ) -> None:
        self._reactor = reactor
        self.path = path
        self.max_payload = max_payload
        self.max_backlog = max_backlog
        self.numbers = numbers()
        self.handlers: dict[str, Handler] = {
            "lease.acquire": self._acquire,
            "lease.release": self._release,
            GATHER: self._gather,
        }
        self._links: dict[_WorkerLink, Peer] = {}
        self._taken: OrderedDict[str, int] = OrderedDict()
        self._recent = RecentKeys(unique_window)
        self._orphans: list[_Event] = []
        self._leases = LeaseTable()
        self._subscriptions = Subscriptions()
        self._port: IListeningPort | None = None

    def startService(self) -> None:
        """Listen. A socket that a dead process left behind is replaced."""
        Service.startService(self)
        if os.path.exists(self.path) and stat.S_ISSOCK(os.stat(self.path).st_mode):
            os.unlink(self.path)
        self._port = self._reactor.listenUNIX(self.path, _BrokerFactory(self), mode=0o600)

    def stopService(self) -> Deferred[None]:
        """Stop listening and hang up."""
        Service.stopService(self)
        port, self._port = self._port, None
        for link in list(self._links):
            link.transport.loseConnection()
        stopped = port.stopListening() if port is not None else None
        return stopped if stopped is not None else succeed(None)

    def peers(self) -> list[Peer]:
        """The workers that are connected."""
        return list(self._links.values())

    def publish(
        self, channel: str, event: str, data: Any = None, unique: str | None = None
    ) -> Deferred[None]:
        """See L{IEventBus.publish}."""
        return maybeDeferred(self._publish, channel, event, data, unique)

    def _publish(self, channel: str, event: str, data: Any, unique: str | None) -> None:
        payload = encode(data, self.max_payload)
        check_name("channel", channel)
        self._spread(None, _Event(MASTER, channel, check_name("event", event), payload), unique)

    def publish_local(self, channel: str, event: str, data: Any = None) -> None:
        """See L{IEventBus.publish_local}."""
        self._subscriptions.dispatch(data, channel, event, MASTER)

    def subscribe(
        self, channel: str, event: str | None, callback: Callback, weak: bool = False
    ) -> Callable[[], None]:
        """See L{IEventBus.subscribe}."""
        return self._subscriptions.add(channel, event, callback, weak)

    def serve(self, name: str, handler: Handler) -> None:
        """Answer a worker's calls of this name: see L{kongtx.events.link.Handler}."""
        self.handlers[name] = handler

    def call(self, peer: Peer, name: str, data: Any = None) -> Deferred[Any]:
        """Ask one worker.

        @return: a Deferred of the answer's data; fails with L{kongtx.events.errors.CallError}.
        """
        for link, known in self._links.items():
            if known == peer:
                return link.ask(name, data)
        gone: Deferred[Any] = Deferred()
        gone.errback(EventsError(f"worker {peer.worker_id} (pid {peer.pid}) is not connected"))
        return gone

    def gather(self, name: str, data: Any = None) -> Deferred[list[dict[str, Any]]]:
        """Ask every worker: see L{kongtx.events.interfaces.IMasterLink.gather}."""
        peers = sorted(self.peers(), key=lambda peer: (peer.worker_id, peer.pid))
        asked = [
            self.call(peer, name, data).addTimeout(GATHER_TIMEOUT, self._reactor) for peer in peers
        ]

        def collect(results: list[tuple[bool, Any]]) -> list[dict[str, Any]]:
            return [
                {"worker_id": peer.worker_id, "pid": peer.pid, "answer": answer}
                for peer, (is_answered, answer) in zip(peers, results, strict=True)
                if is_answered
            ]

        return DeferredList(asked, consumeErrors=True).addCallback(collect)

    def _gather(self, data: Any, peer: Peer) -> Deferred[list[dict[str, Any]]]:
        return self.gather(data["name"], data["data"])

    # What the links report.

    def joined(self, link: _WorkerLink, peer: Peer) -> int:
        """A worker said hello; the number of the last event taken from it."""
        self._links[link] = peer
        self.publish_local(BUS_CHANNEL, "joined", _news(peer))
        orphans, self._orphans = self._orphans, []
        for event in orphans:
            self._hand(link, event)
        return self._taken.get(peer.instance, 0)

    def left(self, link: _WorkerLink, peer: Peer) -> None:
        """A worker's connection ended: what it held is free."""
        if self._links.pop(link, None) is None:
            return
        if peer not in self._links.values():
            self._tell_free(self._leases.drop(peer.instance))
        self.publish_local(BUS_CHANNEL, "left", _news(peer))

    def take(
        self, link: _WorkerLink, instance: str, sequence: int, event: _Event, unique: str | None
    ) -> None:
        """Spread a worker's event, unless it is one that was sent again."""
        if sequence <= self._taken.get(instance, 0):
            return
        self._taken[instance] = sequence
        self._taken.move_to_end(instance)
        while len(self._taken) > _MAX_INSTANCES:
            self._taken.popitem(last=False)
        self._spread(link, event, unique)

    def _spread(self, link: _WorkerLink | None, event: _Event, unique: str | None) -> None:
        if unique is None:
            self._broadcast(event)
        elif self._recent.is_new(unique, self._reactor.seconds()):
            self._hand(link, event)

    def _broadcast(self, event: _Event) -> None:
        pieces, tail = split(event.payload)
        message = next(self.numbers) if pieces else 0
        boxes = [_box(Piece, {"message": message, "piece": piece}) for piece in pieces]
        boxes.append(_box(Deliver, _arguments(event, message, tail)))
        data = b"".join(boxes)
        for link in list(self._links):
            link.write(data)
        if self._subscriptions.wants(event.channel, event.event):
            data_ = decode(event.payload)
            self._subscriptions.dispatch(data_, event.channel, event.event, event.sender)

    def _hand(
        self, first: _WorkerLink | None, event: _Event, tried: tuple[_WorkerLink, ...] = ()
    ) -> None:
        """Give a unique event to one worker; to the next one if its connection ends before it
        has answered, and to the first one that comes when none is there."""
        link = first if first in self._links else None
        link = link or next((link for link in self._links if link not in tried), None)
        if link is None:
            self._orphans.append(event)
            return
        ahead = link.send_ahead(event.payload)
        handed = link.say(Hand, **_arguments(event, ahead["message"], ahead["tail"]))
        handed.addErrback(lambda _: self._hand(None, event, (*tried, link)))

    # Leases.

    def _acquire(self, data: Any, peer: Peer) -> bool:
        return self._leases.acquire(data["name"], peer.instance)

    def _release(self, data: Any, peer: Peer) -> None:
        if self._leases.release(data["name"], peer.instance):
            self._tell_free([data["name"]])

    def _tell_free(self, names: list[str]) -> None:
        if names and self.running:
            self._publish(LEASES_CHANNEL, "free", {"names": names}, None)


def _news(peer: Peer) -> dict[str, Any]:
    return {"worker_id": peer.worker_id, "pid": peer.pid, "instance": peer.instance}


def _arguments(event: _Event, message: int, tail: bytes) -> dict[str, Any]:
    return {
        "sender": event.sender,
        "channel": event.channel,
        "event": event.event,
        "message": message,
        "tail": tail,
    }


def _box(command: type[amp.Command], arguments: dict[str, Any]) -> bytes:
    """The bytes of a command that wants no answer, the same for every connection."""
    box = command.makeArguments(arguments, None)
    box[amp.COMMAND] = command.commandName
    data: bytes = box.serialize()
    return data
