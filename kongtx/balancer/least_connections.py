"""The peer with the fewest attempts under way for its weight. Pure; hot path."""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heapify, heappop, heappush
from random import Random

from zope.interface import implementer

from kongtx.balancer.interfaces import IAlgorithm, IPeer
from kongtx.balancer.peer import Peer

# (score, order, serial, peer); outdated once the peer's serial moved on.
_Entry = tuple[float, int, int, Peer]


@implementer(IAlgorithm)
class LeastConnections:
    """Chooses the least C{(connections + 1) / weight} (Kong: the same); of equals, who has waited
    longest since its count changed.

    A change pushes a new entry on the heap and leaves the old one to be skipped: O(log n), without
    a search for the old entry.

    @param random: the order of peers that are equal at first.
    """

    def __init__(self, random: Random) -> None:
        self._random = random
        self._heap: list[_Entry] = []
        self._peers: set[Peer] = set()
        self._order = 0

    def update(self, peers: Sequence[Peer]) -> None:
        """See L{IAlgorithm}."""
        order = {entry[-1]: entry[1] for entry in self._heap if entry[2] == entry[-1].serial}
        self._peers = {peer for peer in peers if peer.usable and peer.weight > 0}
        newcomers = [peer for peer in peers if peer in self._peers and peer not in order]
        self._random.shuffle(newcomers)
        for peer in newcomers:
            order[peer] = self._next()
        self._heap = [(_score(peer), order[peer], peer.serial, peer) for peer in self._peers]
        heapify(self._heap)

    def pick(self, value: bytes | None, failed: Sequence[IPeer]) -> Peer | None:
        """See L{IAlgorithm}."""
        heap = self._heap
        passed: list[_Entry] = []
        chosen: Peer | None = None
        while heap:
            entry = heap[0]
            peer = entry[3]
            if entry[2] != peer.serial:
                heappop(heap)
            elif failed and peer in failed:
                passed.append(heappop(heap))
            else:
                chosen = peer
                break
        if passed:
            for entry in passed:
                heappush(heap, entry)
            if chosen is None:
                chosen = passed[0][3]
        return chosen

    def started(self, peer: Peer) -> None:
        """See L{IAlgorithm}."""
        self._push(peer)

    def finished(self, peer: Peer, failed: bool, seconds: float) -> None:
        """See L{IAlgorithm}."""
        self._push(peer)

    def _push(self, peer: Peer) -> None:
        if peer not in self._peers:
            return
        peer.serial += 1
        self._order += 1
        heap = self._heap
        heappush(heap, ((peer.connections + 1) / peer.weight, self._order, peer.serial, peer))
        if len(heap) > 4 * len(self._peers) + 64:
            self._heap = [entry for entry in heap if entry[2] == entry[3].serial]
            heapify(self._heap)

    def _next(self) -> int:
        self._order += 1
        return self._order


def _score(peer: Peer) -> float:
    return (peer.connections + 1) / peer.weight
