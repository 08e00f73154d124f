"""Consistent hashing with minimal movement. Pure; hot path."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from heapq import heapify, heapreplace
from math import log1p
from random import Random
from zlib import crc32

from zope.interface import implementer

from kongtx.balancer.interfaces import IAlgorithm, IPeer
from kongtx.balancer.peer import Peer

_GOLDEN = 0x9E3779B1  # 2**32 over the golden ratio: spreads the bits of a checksum
_MASK = 0xFFFFFFFF
_PROBES = 64


def build_table(weights: Mapping[str, float], slots: int) -> list[str]:
    """Which peer owns which slot.

    Each peer visits all slots in an order of its own, at times of its own; a slot belongs to its
    first visitor. A visit does not depend on what other peers there are, so a peer that is removed
    gives up its own slots and no other slot changes hands; one that is added, or gains weight,
    takes slots from the others and moves nothing between them. The times are those of a race with
    exponential waiting times, in which each wins as often as its weight says.

    @param weights: from peer name to weight above zero; not empty.
    @param slots: at least this many; the table has the next prime number of them.
    @return: the owner's name for each slot.
    """
    size = next_prime(slots)
    runners: list[tuple[float, str, int, int, int, float, float]] = []
    for name, weight in weights.items():
        digest = blake2b(name.encode(), digest_size=24).digest()
        offset = int.from_bytes(digest[:8], "big") % size
        stride = int.from_bytes(digest[8:16], "big") % (size - 1) + 1
        phase = (int.from_bytes(digest[16:], "big") >> 11) / 2**53
        due = -log1p(-phase / size) / weight
        runners.append((due, name, 0, offset, stride, phase, weight))
    heapify(runners)
    table: list[str | None] = [None] * size
    missing = size
    while True:
        _, name, visits, slot, stride, phase, weight = runners[0]
        if table[slot] is None:
            table[slot] = name
            missing -= 1
            if not missing:
                break
        visits += 1
        due = -log1p(-(visits + phase) / size) / weight if visits < size else float("inf")
        slot = (slot + stride) % size
        heapreplace(runners, (due, name, visits, slot, stride, phase, weight))
    return table  # type: ignore[return-value]  # full now


def next_prime(number: int) -> int:
    """The least prime number that is not below C{number}."""
    candidate = max(number, 2)
    while any(candidate % divisor == 0 for divisor in range(2, int(candidate**0.5) + 1)):
        candidate += 1
    return candidate


@implementer(IAlgorithm)
class ConsistentHashing:
    """The same value goes to the same peer, on every worker and node.

    Values whose peer is not usable are spread over the others by weight, and return with it; no
    other value moves. A request without a value goes anywhere, by weight.

    @param slots: the upstream's C{slots}; about a hundred for each target make the weights good
        to a tenth.
    @param random: where requests without a value go.
    """

    def __init__(self, slots: int, random: Random) -> None:
        self._slots = slots
        self._random = random
        self._weights: dict[str, float] = {}
        self._names: list[str] = []
        self._table: list[Peer] = []
        self._peers: dict[str, Peer] = {}
        self._built_for: dict[str, float] = {}
        self._built = True

    def update(self, peers: Sequence[Peer]) -> None:
        """See L{IAlgorithm}; the table is built when it is first needed."""
        self._peers = {_name(peer): peer for peer in peers}
        # Weights that rise or fall for a while (slow start) do not move slots: pick skips instead.
        self._weights = {name: peer.nominal for name, peer in self._peers.items()}
        self._built = False

    def pick(self, value: bytes | None, failed: Sequence[IPeer]) -> Peer | None:
        """See L{IAlgorithm}."""
        if not self._built:
            self._build()
        table = self._table
        if not table:
            return None
        point = self._random.getrandbits(32) if value is None else crc32(value)
        point = point * _GOLDEN & _MASK
        size = len(table)
        peer = table[point * size >> 32]
        if peer.usable and not failed and peer.factor == 1.0:
            return peer
        return self._probe(point, failed)

    def _probe(self, point: int, failed: Sequence[IPeer]) -> Peer | None:
        """Look on at places that depend on the value alone."""
        table, size = self._table, len(self._table)
        for _ in range(_PROBES):
            peer = table[point * size >> 32]
            point = (point * 0x915F77F5 + 0x6A09E667) & _MASK
            # A peer in slow start keeps a part of its values, always the same ones.
            if peer.usable and peer not in failed and (point >> 7) % 1000 < peer.factor * 1000:
                return peer
        usable = [peer for _, peer in sorted(self._peers.items()) if peer.usable]
        others = [peer for peer in usable if peer not in failed] or usable
        return others[point % len(others)] if others else None

    def started(self, peer: Peer) -> None:
        """See L{IAlgorithm}; nothing to do."""

    def finished(self, peer: Peer, failed: bool, seconds: float) -> None:
        """See L{IAlgorithm}; nothing to do."""

    def _build(self) -> None:
        self._built = True
        if self._weights != self._built_for:
            self._names = build_table(self._weights, self._slots) if self._weights else []
            self._built_for = self._weights
        self._table = [self._peers[name] for name in self._names]


def _name(peer: Peer) -> str:
    return f"{peer.target.label}|{peer.key}" if peer.target is not None else peer.key
