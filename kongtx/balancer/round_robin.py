"""Round-robin by weight, evenly interleaved. Pure; hot path."""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heapify, heappop, heappush, heapreplace
from random import Random

from zope.interface import implementer

from kongtx.balancer.interfaces import IAlgorithm, IPeer
from kongtx.balancer.peer import Peer

# (due, tie, base, count, weight, peer): the peer is due at base + count / weight.
_Entry = tuple[float, int, float, int, float, Peer]


@implementer(IAlgorithm)
class RoundRobin:
    """Each peer is due every C{1 / weight} of a turn; who is due first is next.

    So over a full turn (the sum of the weights, divided by their greatest common divisor) each peer
    is chosen exactly as often as its weight says, never in bursts, at the cost of a heap operation.
    Kong shuffles a wheel that holds each peer as often as its weight instead.

    @param random: where in the turn each peer begins, so that workers do not march in step.
    """

    def __init__(self, random: Random) -> None:
        self._random = random
        self._heap: list[_Entry] = []
        self._now = 0.0

    def update(self, peers: Sequence[Peer]) -> None:
        """See L{IAlgorithm}."""
        known = {entry[-1]: entry for entry in self._heap}
        now = self._now
        heap: list[_Entry] = []
        for peer in peers:
            if not peer.usable or peer.weight <= 0:
                continue
            weight, entry = peer.weight, known.get(peer)
            tie = self._random.getrandbits(32)
            if entry is None:
                # Within its first interval, clear of both ends, so that a turn from here is exact
                # whatever rounding does.
                due = now + self._random.uniform(0.25, 0.75) / weight
            elif entry[4] == weight:
                heap.append(entry)
                continue
            else:
                due = now + (entry[0] - now) * entry[4] / weight
            heap.append((due, tie, due, 0, weight, peer))
        heapify(heap)
        self._heap = heap

    def pick(self, value: bytes | None, failed: Sequence[IPeer]) -> Peer | None:
        """See L{IAlgorithm}."""
        heap = self._heap
        if not heap:
            return None
        if failed:
            return self._pick_other(failed)
        return self._take(heap[0])

    def _take(self, entry: _Entry) -> Peer:
        due, tie, base, count, weight, peer = entry
        self._now = due
        count += 1
        if count == weight:
            # A turn of this peer is complete: counting anew keeps rounding from adding up.
            base += 1.0
            count = 0
        heapreplace(self._heap, (base + count / weight, tie, base, count, weight, peer))
        return peer

    def _pick_other(self, failed: Sequence[IPeer]) -> Peer:
        heap = self._heap
        passed: list[_Entry] = []
        while heap and heap[0][-1] in failed:
            passed.append(heappop(heap))
        if not heap:
            # All have failed; who is due next may have come back.
            heap.extend(passed)
            heapify(heap)
            return self._take(heap[0])
        peer = self._take(heap[0])
        for entry in passed:
            heappush(heap, entry)
        return peer

    def started(self, peer: Peer) -> None:
        """See L{IAlgorithm}; nothing to do."""

    def finished(self, peer: Peer, failed: bool, seconds: float) -> None:
        """See L{IAlgorithm}; nothing to do."""
