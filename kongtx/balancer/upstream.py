"""An upstream: its targets, its algorithm, and who may be chosen. Hot path: C{pick}."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from random import Random
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from kongtx.balancer.consistent_hashing import ConsistentHashing
from kongtx.balancer.errors import NoPeerAvailable
from kongtx.balancer.hashing import compile_hash
from kongtx.balancer.interfaces import (
    IAlgorithm,
    IBalancer,
    IBalanceRequest,
    IPeer,
    IPeerObserver,
)
from kongtx.balancer.latency import Latency
from kongtx.balancer.least_connections import LeastConnections
from kongtx.balancer.peer import Peer
from kongtx.balancer.ramp import Ramp
from kongtx.balancer.round_robin import RoundRobin
from kongtx.balancer.tags import Extras, parse_extras
from kongtx.balancer.target import Policy, Target
from kongtx.dns.interfaces import IResolver
from kongtx.errors import KongtxError

Entity = Mapping[str, Any]
_ALGORITHM_FIELDS = ("algorithm", "slots")
_ENOUGH_OF_ZONE = 0.5  # of the own zone's weight must be usable for it to be preferred


@implementer(IBalancer)
class UpstreamBalancer:
    """Balances over the targets of one upstream, and lives as long as the upstream does.

    @param resolver: gives the addresses of targets.
    @param reactor: for the time.
    @param random: chance.
    @param observer: told of changes and outcomes; L{None} if nobody cares.
    @param zone: the node's zone.

    @ivar entity: the upstream entity.
    @ivar extras: what its tags switch on.
    @ivar healthy: whether enough of the weight is available (C{healthchecks.threshold}).
    @ivar watched: whether the observer wants to hear of each attempt's outcome; the observer sets
        it.
    """

    def __init__(
        self,
        resolver: IResolver,
        reactor: IReactorTime,
        random: Random,
        observer: IPeerObserver | None = None,
        zone: str = "",
    ) -> None:
        self._resolver = resolver
        self._reactor = reactor
        self._random = random
        self.observer = observer
        self._zone = zone
        self.entity: Entity = {}
        self.extras = Extras()
        self.healthy = False
        self.watched = False
        self.targets: dict[str, Target] = {}
        self._targets_given: tuple[Entity, ...] = ()
        self._algorithm: IAlgorithm = RoundRobin(random)
        self._hash: Any = None
        self._peers: list[Peer] = []
        self._waiting: list[Deferred[None]] = []
        self._configuring = False
        self._ramp = Ramp(reactor, self._ramped)

    @property
    def id(self) -> str:
        """The upstream's id."""
        return str(self.entity["id"])

    @property
    def name(self) -> str:
        """The upstream's name."""
        return str(self.entity["name"])

    @property
    def client_certificate(self) -> Entity | None:
        """See L{IBalancer}."""
        return self.entity.get("client_certificate")

    @property
    def peers(self) -> Sequence[Peer]:
        """All peers with a weight above zero."""
        return self._peers

    def configure(self, entity: Entity, targets: Iterable[Entity]) -> None:
        """Take over a configuration; targets that are in both keep their peers and what is known
        of them: health, connections, latency, place in the turn.

        @param entity: the upstream.
        @param targets: its targets.
        """
        given = tuple(targets)
        if entity == self.entity and given == self._targets_given:
            return
        before, self.entity, self._targets_given = self.entity, entity, given
        self.extras = parse_extras(entity.get("tags"))
        self._hash = compile_hash(entity, lambda: str(uuid.uuid4()))
        if any(before.get(field) != entity.get(field) for field in _ALGORITHM_FIELDS):
            self._algorithm = self._make_algorithm(entity)
        policy = Policy(
            entity.get("host_header"),
            bool(entity.get("use_srv_name")),
            self.extras.divide_weight,
        )
        self._configuring = True
        try:
            self._replace_targets(given, policy)
        finally:
            self._configuring = False
        self._changed()

    def stop(self) -> None:
        """Follow names no longer; attempts under way may still be reported."""
        for target in self.targets.values():
            target.stop()
        self._ramp.stop()
        self._release()

    def pick(self, request: IBalanceRequest, failed: Sequence[IPeer]) -> IPeer | Deferred[IPeer]:
        """See L{IBalancer}."""
        if self.healthy:
            value = None if self._hash is None else self._hash(request)
            peer = self._algorithm.pick(value, failed)
            if peer is not None:
                return peer
        if any(target.pending for target in self.targets.values()):
            waiter: Deferred[None] = Deferred()
            self._waiting.append(waiter)
            return waiter.addCallback(lambda _: self.pick(request, failed))
        raise NoPeerAvailable

    def started(self, peer: IPeer) -> None:
        """See L{IBalancer}."""
        if isinstance(peer, Peer):
            peer.connections += 1
            self._algorithm.started(peer)

    def finished(self, peer: IPeer, outcome: int | str, seconds: float) -> None:
        """See L{IBalancer}."""
        if isinstance(peer, Peer):
            peer.connections -= 1
            self._algorithm.finished(peer, isinstance(outcome, str), seconds)
            if self.watched and self.observer is not None:
                self.observer.finished(self, peer, outcome, seconds)

    def set_available(self, peer: Peer, available: bool) -> None:
        """What health checks think of a peer."""
        if peer.available is not available:
            peer.available = available
            self._turned(peer, available)

    def set_ejected(self, peer: Peer, ejected: bool) -> None:
        """Take a peer out for a while as an outlier; it counts as healthy all the same."""
        if peer.ejected is not ejected:
            peer.ejected = ejected
            self._turned(peer, not ejected)

    def weights(self) -> tuple[float, float]:
        """The sum of all peers' weights, and of those that health checks hold back."""
        total = sum(peer.nominal for peer in self._peers)
        return total, sum(peer.nominal for peer in self._peers if not peer.available)

    def _turned(self, peer: Peer, back: bool) -> None:
        if back and self.extras.slow_start:
            self._ramp.begin(peer, self.extras.slow_start)
        self._refresh()

    def _replace_targets(self, given: tuple[Entity, ...], policy: Policy) -> None:
        before, self.targets = self.targets, {}
        for entity in given:
            label = str(entity["target"])
            target = before.pop(label, None)
            if target is None:
                target = Target(entity, policy, self._resolver, self._reactor, self._changed)
                self.targets[label] = target
                target.start()
            else:
                target.configure(entity, policy)
                self.targets[label] = target
        for target in before.values():
            target.stop()

    def _changed(self) -> None:
        """Targets or their peers are others now."""
        if self._configuring:
            return
        self._peers = [
            peer for target in self.targets.values() for peer in target.peers if peer.nominal > 0
        ]
        if self.observer is not None:
            self.observer.peers_changed(self)
        self._refresh()
        if self.healthy or not any(target.pending for target in self.targets.values()):
            self._release()

    def _ramped(self) -> None:
        self._algorithm.update(self._peers)

    def _refresh(self) -> None:
        """Recompute who is usable, and tell the algorithm."""
        total, unavailable = self.weights()
        threshold = float((self.entity.get("healthchecks") or {}).get("threshold") or 0)
        self.healthy = total > 0 and (total - unavailable) / total * 100 > threshold
        self._prefer_zone()
        for peer in self._peers:
            peer.usable = peer.available and not peer.ejected and peer.preferred
        self._algorithm.update(self._peers)

    def _prefer_zone(self) -> None:
        local = [peer for peer in self._peers if peer.target and peer.target.zone == self._zone]
        usable = sum(peer.nominal for peer in local if peer.available and not peer.ejected)
        enough = usable >= _ENOUGH_OF_ZONE * sum(peer.nominal for peer in local)
        prefer = bool(self.extras.zone_aware and self._zone and usable and enough)
        chosen = set(local) if prefer else set(self._peers)
        for peer in self._peers:
            peer.preferred = peer in chosen

    def _release(self) -> None:
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            waiter.callback(None)

    def _make_algorithm(self, entity: Entity) -> IAlgorithm:
        kind = entity.get("algorithm") or "round-robin"
        if kind == "round-robin":
            return RoundRobin(self._random)
        if kind == "least-connections":
            return LeastConnections(self._random)
        if kind == "latency":
            return Latency(self._random, self._reactor.seconds)
        if kind == "consistent-hashing":
            return ConsistentHashing(int(entity.get("slots") or 10000), self._random)
        raise KongtxError(
            f"the algorithm of upstream {entity.get('name')} must be round-robin, "
            f"consistent-hashing, least-connections or latency, not {kind}"
        )
