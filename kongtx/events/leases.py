"""One worker of the node at a time: names that are held by one and taken over when it goes.

The master's L{LeaseTable} is the arbiter; workers ask through L{BusLeases}.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from kongtx.events.errors import EventsError
from kongtx.events.interfaces import IEventBus, ILeases, IMasterLink
from kongtx.events.link import BUS_CHANNEL

#: The channel on which the arbiter says that a name is free.
LEASES_CHANNEL = "leases"

log = Logger()


class LeaseTable:
    """Who holds what. Pure; the broker feeds it."""

    def __init__(self) -> None:
        self._holders: dict[str, str] = {}

    def acquire(self, name: str, holder: str) -> bool:
        """Whether C{holder} holds the name now."""
        return self._holders.setdefault(name, holder) == holder

    def release(self, name: str, holder: str) -> bool:
        """Give a name back; whether it is free through this."""
        if self._holders.get(name) != holder:
            return False
        del self._holders[name]
        return True

    def drop(self, holder: str) -> list[str]:
        """Forget a holder that went away; the names that are free now."""
        freed = [name for name, held_by in self._holders.items() if held_by == holder]
        for name in freed:
            del self._holders[name]
        return freed


class _Bid:
    __slots__ = ("held", "tell")

    def __init__(self, tell: Callable[[bool], object]) -> None:
        self.tell = tell
        self.held = False

    def set(self, held: bool) -> None:
        if held is self.held:
            return
        self.held = held
        try:
            self.tell(held)
        except Exception:
            log.failure("the holder of a lease failed when it was told")


@implementer(ILeases)
class BusLeases:
    """Leases of one worker.

    A worker that loses its connection to the master counts its names as lost at once, so that two
    workers never both believe to hold one for longer than it takes to notice.

    @param bus: provides L{IEventBus} and L{IMasterLink}.
    """

    def __init__(self, bus: Any) -> None:
        self._bus: IEventBus = IEventBus(bus)
        self._link: IMasterLink = IMasterLink(bus)
        self._bids: dict[str, _Bid] = {}
        self._is_closed = False
        self._endings = [
            self._bus.subscribe(LEASES_CHANNEL, "free", self._freed),
            self._bus.subscribe(BUS_CHANNEL, "lost", self._lost),
            self._bus.subscribe(BUS_CHANNEL, "reconnected", self._again),
        ]

    def hold(self, name: str, tell: Callable[[bool], object]) -> Callable[[], None]:
        """See L{ILeases.hold}."""
        if name in self._bids:
            raise EventsError(f"this worker already asks for the lease {name}")
        self._bids[name] = bid = _Bid(tell)
        if not self._is_closed:
            self._ask(name)

        def give_back() -> None:
            if self._bids.get(name) is bid:
                del self._bids[name]
                bid.set(False)
                self._call("lease.release", name)

        return give_back

    def close(self) -> None:
        """Give every name back, and hold none any more."""
        self._is_closed = True
        for end in self._endings:
            end()
        for name in list(self._bids):
            self._bids.pop(name).set(False)
            self._call("lease.release", name)

    def _ask(self, name: str) -> None:
        def answered(held: object) -> None:
            bid = self._bids.get(name)
            if bid is not None:
                bid.set(held is True)

        self._call("lease.acquire", name, answered)

    def _call(self, verb: str, name: str, then: Callable[[object], None] | None = None) -> None:
        def failed(failure: Failure) -> None:
            # The reconnection asks again; a release needs no repeating, as the broker drops
            # whatever a lost connection held.
            log.debug(
                "{verb} of {name}: {reason}",
                verb=verb,
                name=name,
                reason=failure.getErrorMessage(),
            )

        called = self._link.call(verb, {"name": name})
        if then is not None:
            called.addCallback(then)
        called.addErrback(failed)

    def _freed(self, data: Any, channel: str, event: str, worker_id: int) -> None:
        for name in data["names"]:
            bid = self._bids.get(name)
            if bid is not None and not bid.held:
                self._ask(name)

    def _lost(self, data: Any, channel: str, event: str, worker_id: int) -> None:
        for bid in list(self._bids.values()):
            bid.set(False)

    def _again(self, data: Any, channel: str, event: str, worker_id: int) -> None:
        for name in list(self._bids):
            self._ask(name)
