"""The event bus of a node with one process: no sockets, the same promises."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from kongtx.events.chunks import check_name, decode, encode
from kongtx.events.errors import BusClosedError, EventsError
from kongtx.events.interfaces import IEventBus, ILeases, IMasterLink
from kongtx.events.link import Handler, Peer, answer
from kongtx.events.recent import UNIQUE_WINDOW, RecentKeys
from kongtx.events.subscriptions import Callback, Subscriptions


@implementer(IEventBus, IMasterLink)
class LocalEventBus:
    """Events and calls within one process.

    Data goes through JSON as on the real bus, so that what works here works there. Events are
    delivered in a later turn of the reactor, as there.

    @param clock: runs the deliveries and tells the time for unique events.
    """

    def __init__(
        self,
        clock: IReactorTime,
        worker_id: int = 0,
        pid: int = 0,
        unique_window: float = UNIQUE_WINDOW,
    ) -> None:
        self._clock = clock
        self.peer = Peer(worker_id, pid, "local")
        self._subscriptions = Subscriptions()
        self._recent = RecentKeys(unique_window)
        self._handlers: dict[str, Handler] = {}
        self._queue: list[tuple[str, str, bytes, Deferred[None]]] = []
        self._closed = False

    def publish(
        self, channel: str, event: str, data: Any = None, unique: str | None = None
    ) -> Deferred[None]:
        """See L{IEventBus.publish}."""
        return maybeDeferred(self._publish, channel, event, data, unique)

    def _publish(self, channel: str, event: str, data: Any, unique: str | None) -> Deferred[None]:
        if self._closed:
            raise BusClosedError("the event bus has been stopped")
        check_name("channel", channel)
        check_name("event", event)
        payload = encode(data)
        if unique is not None and not self._recent.is_new(unique, self._clock.seconds()):
            return succeed(None)
        if not self._queue:
            self._clock.callLater(0, self._deliver)
        delivered: Deferred[None] = Deferred()
        self._queue.append((channel, event, payload, delivered))
        return delivered

    def _deliver(self) -> None:
        queue, self._queue = self._queue, []
        for channel, event, payload, delivered in queue:
            self._subscriptions.dispatch(decode(payload), channel, event, self.peer.worker_id)
            delivered.callback(None)

    def publish_local(self, channel: str, event: str, data: Any = None) -> None:
        """See L{IEventBus.publish_local}."""
        self._subscriptions.dispatch(data, channel, event, self.peer.worker_id)

    def subscribe(
        self, channel: str, event: str | None, callback: Callback, weak: bool = False
    ) -> Callable[[], None]:
        """See L{IEventBus.subscribe}."""
        return self._subscriptions.add(channel, event, callback, weak)

    def call(self, name: str, data: Any = None) -> Deferred[Any]:
        """See L{IMasterLink.call}."""
        return answer(self._handlers, name, decode(encode(data)), self.peer)

    def gather(self, name: str, data: Any = None) -> Deferred[list[dict[str, Any]]]:
        """See L{IMasterLink.gather}."""
        about = {"worker_id": self.peer.worker_id, "pid": self.peer.pid}
        asked = self.call(name, data)
        return asked.addCallbacks(lambda answer: [{**about, "answer": answer}], lambda _: [])

    def serve(self, name: str, handler: Handler) -> None:
        """See L{IMasterLink.serve}."""
        self._handlers[name] = handler

    def close(self) -> None:
        """Deliver what waits and take nothing more."""
        self._closed = True
        self._deliver()


@implementer(ILeases)
class LocalLeases:
    """The only worker holds whatever it asks for."""

    def __init__(self) -> None:
        self._bids: dict[str, Callable[[bool], object]] = {}
        self._is_closed = False

    def hold(self, name: str, tell: Callable[[bool], object]) -> Callable[[], None]:
        """See L{ILeases.hold}."""
        if self._is_closed:
            return lambda: None
        if name in self._bids:
            raise EventsError(f"this worker already asks for the lease {name}")
        self._bids[name] = tell
        tell(True)

        def give_back() -> None:
            if self._bids.get(name) is tell:
                del self._bids[name]
                tell(False)

        return give_back

    def close(self) -> None:
        """Give every name back, and hold none any more."""
        self._is_closed = True
        while self._bids:
            self._bids.popitem()[1](False)
