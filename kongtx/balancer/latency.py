"""The peer that answers soonest: peak EWMA, power of two choices. Pure; hot path."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import exp
from random import Random

from zope.interface import implementer

from kongtx.balancer.interfaces import IAlgorithm, IPeer
from kongtx.balancer.peer import Peer

DECAY = 10.0  # seconds after which a measurement counts 1/e (Kong: DECAY_TIME)
FAILURE = 1.0  # seconds that a failed attempt counts at least: failing fast must not attract
_COMPARE_ALL = 4  # among so few, all are compared
_FLOOR = 1e-4  # seconds; below it, attempts under way decide


@implementer(IAlgorithm)
class Latency:
    """Compares C{ewma * (connections + 1) / weight} and takes the least.

    The average rises at once to a slower measurement and sinks slowly with faster ones and with
    time, so that a peer that was slow is tried again. Among more than four peers, two at random are
    compared: near the best of all, without the herd that runs to it. New peers begin with the
    average of the others (Kong: the same).

    @param random: picks the two.
    @param seconds: the time.
    """

    def __init__(self, random: Random, seconds: Callable[[], float]) -> None:
        self._chance = random.random
        self._seconds = seconds
        self._peers: list[Peer] = []

    def update(self, peers: Sequence[Peer]) -> None:
        """See L{IAlgorithm}."""
        before, now = set(self._peers), self._seconds()
        self._peers = [peer for peer in peers if peer.usable and peer.weight > 0]
        known = [peer for peer in self._peers if peer in before]
        if known:
            average = sum(_decayed(peer, now) for peer in known) / len(known)
            for peer in self._peers:
                if peer not in before:
                    peer.ewma, peer.touched = average, now

    def pick(self, value: bytes | None, failed: Sequence[IPeer]) -> Peer | None:
        """See L{IAlgorithm}."""
        peers = self._peers
        if failed:
            peers = [peer for peer in peers if peer not in failed] or peers
        count = len(peers)
        if count <= _COMPARE_ALL:
            if count <= 1:
                return peers[0] if peers else None
            now = self._seconds()
            return min(peers, key=lambda peer: _cost(peer, now))
        first = int(self._chance() * count)
        second = int(self._chance() * (count - 1))
        if second >= first:
            second += 1
        one, other, now = peers[first], peers[second], self._seconds()
        return one if _cost(one, now) <= _cost(other, now) else other

    def started(self, peer: Peer) -> None:
        """See L{IAlgorithm}; nothing to do."""

    def finished(self, peer: Peer, failed: bool, seconds: float) -> None:
        """See L{IAlgorithm}."""
        if failed:
            seconds = max(seconds, FAILURE)
        now = self._seconds()
        ewma = peer.ewma
        if seconds < ewma:
            past = exp(min(peer.touched - now, 0.0) / DECAY)
            seconds = ewma * past + seconds * (1.0 - past)
        peer.ewma, peer.touched = seconds, now


def _decayed(peer: Peer, now: float) -> float:
    return peer.ewma * exp(min(peer.touched - now, 0.0) / DECAY)


def _cost(peer: Peer, now: float) -> float:
    return (
        (peer.ewma * exp(min(peer.touched - now, 0.0) / DECAY) + _FLOOR)
        * (peer.connections + 1)
        / peer.weight
    )
