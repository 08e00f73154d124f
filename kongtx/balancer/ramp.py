"""Slow start: peers that came back get their weight step by step."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from kongtx.balancer.peer import Peer

STEPS = 10


class Ramp:
    """Raises the factor of peers from a tenth to one.

    @param reactor: for the time.
    @param changed: called when factors changed.
    """

    def __init__(self, reactor: IReactorTime, changed: Callable[[], None]) -> None:
        self._reactor = reactor
        self._changed = changed
        self._rising: dict[Peer, tuple[float, float]] = {}
        self._timer: IDelayedCall | None = None

    def begin(self, peer: Peer, seconds: float) -> None:
        """Let a peer start at a tenth of its weight and rise for so many seconds."""
        self._rising[peer] = (self._reactor.seconds(), seconds)
        _set(peer, 1 / STEPS)
        if self._timer is None:
            self._timer = self._reactor.callLater(seconds / STEPS, self._step)

    def stop(self) -> None:
        """Leave factors as they are."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _step(self) -> None:
        self._timer = None
        now = self._reactor.seconds()
        for peer, (began, seconds) in list(self._rising.items()):
            factor = 1 / STEPS + (1 - 1 / STEPS) * (now - began) / seconds
            if factor >= 1 - 1e-9:
                del self._rising[peer]
                factor = 1.0
            _set(peer, factor)
        if self._rising:
            shortest = min(seconds for _, seconds in self._rising.values())
            self._timer = self._reactor.callLater(shortest / STEPS, self._step)
        self._changed()


def _set(peer: Peer, factor: float) -> None:
    peer.factor = factor
    peer.weight = peer.nominal * factor
