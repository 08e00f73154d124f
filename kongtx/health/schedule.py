"""When the addresses of an upstream are checked."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from twisted.internet.defer import CancelledError, Deferred, DeferredList, DeferredSemaphore
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from kongtx.balancer.peer import Peer


class Rounds:
    """Checks a set of peers every so many seconds, a few at a time.

    A round that takes longer than the interval delays the next: no peer is checked twice at once.

    @param reactor: for the time.
    @param interval: seconds from one round's beginning to the next.
    @param concurrency: checks under way at most.
    @param peers: the peers to check in a round.
    @param check: checks one; a Deferred that fires when it is done.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: IReactorTime,
        interval: float,
        concurrency: int,
        peers: Callable[[], Iterable[Peer]],
        check: Callable[[Peer], Deferred[None]],
    ) -> None:
        self._reactor = reactor
        self._interval = interval
        self._concurrency = concurrency
        self._peers = peers
        self._check = check
        self._running: list[Deferred[None]] = []
        self._busy = False
        self._timer: IDelayedCall | None = reactor.callLater(interval, self._begin)

    def stop(self) -> None:
        """End, and cancel the checks under way."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for check in list(self._running):
            check.cancel()

    def _begin(self) -> None:
        self._timer = self._reactor.callLater(self._interval, self._begin)
        if self._busy:
            return
        self._busy = True
        semaphore = DeferredSemaphore(min(self._concurrency, 2**16))
        checks = [semaphore.run(self._one, peer) for peer in self._peers()]
        DeferredList(checks).addCallback(self._end)

    def _one(self, peer: Peer) -> Deferred[None]:
        if self._timer is None:  # stopped meanwhile
            done: Deferred[None] = Deferred()
            done.callback(None)
            return done
        check = self._check(peer)
        self._running.append(check)
        check.addBoth(self._checked, check, peer)
        return check

    def _checked(self, result: object, check: Deferred[None], peer: Peer) -> None:
        self._running.remove(check)
        if isinstance(result, Failure) and not result.check(CancelledError):
            self._log.failure("checking {peer} failed unexpectedly", result, peer=peer.key)

    def _end(self, _: object) -> None:
        self._busy = False
