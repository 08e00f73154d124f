"""A target: the addresses behind it, followed in the DNS while it lives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import attrs
from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from kongtx.balancer.peer import Peer
from kongtx.balancer.tags import zone_of
from kongtx.dns.errors import DNSError
from kongtx.dns.interfaces import IAnswer, IResolver
from kongtx.dns.records import ip_version, strip_brackets

REQUERY = 30  # seconds until a name that failed is asked again (Kong: REQUERY_INTERVAL)
REFOLLOW = 1  # seconds at least between two questions for a name


@attrs.frozen(slots=True)
class Policy:
    """How a target's addresses become peers; the same for all targets of an upstream.

    @ivar host_header: the upstream's; L{None} takes the target's name.
    @ivar use_srv_name: whether the name in an SRV record is the host.
    @ivar divide_weight: see L{Extras<kongtx.balancer.tags.Extras>}.
    """

    host_header: str | None = None
    use_srv_name: bool = False
    divide_weight: bool = False


class Target:
    """One target of an upstream, and its peers.

    @param entity: the target entity.
    @param policy: see L{Policy}.
    @param resolver: gives the addresses of its name.
    @param reactor: for the time.
    @param changed: called without arguments when C{peers}, or their weights, changed.

    @ivar label: C{name:port}, as the entity has it.
    @ivar name: the name or address, IPv6 in brackets.
    @ivar peers: a peer for each address, of weight 0 if the target has that.
    @ivar kind: the record type that answered: C{A}, C{AAAA} or C{SRV}; empty if none did.
    @ivar error: why there is no address; L{None} if there is one, or it is being asked for.
    @ivar zone: see L{zone_of}.
    """

    _log = Logger()

    def __init__(
        self,
        entity: Mapping[str, Any],
        policy: Policy,
        resolver: IResolver,
        reactor: IReactorTime,
        changed: Callable[[], None],
    ) -> None:
        self.entity = entity
        self.label = str(entity["target"])
        self.name, self.port = split_target(self.label)
        self.weight = int(entity["weight"])
        self.zone = zone_of(entity.get("tags"))
        self.peers: list[Peer] = []
        self.kind = ""
        self.error: DNSError | None = None
        self._policy = policy
        self._resolver = resolver
        self._reactor = reactor
        self._changed = changed
        self._answer: IAnswer | None = None
        self._asking: Deferred[Any] | None = None
        self._timer: IDelayedCall | None = None

    @property
    def pending(self) -> bool:
        """Whether the first answer is still to come."""
        return self._asking is not None and self._answer is None

    def start(self) -> None:
        """Find the addresses; those of literals and cached names are known when this returns."""
        self._ask(maybeDeferred(self._resolver.resolve, strip_brackets(self.name)))

    def stop(self) -> None:
        """Follow the name no longer."""
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None
        asking, self._asking = self._asking, None
        if asking is not None:
            asking.cancel()

    def configure(self, entity: Mapping[str, Any], policy: Policy) -> None:
        """Take over a new weight, tags or policy; addresses and peers stay."""
        self.entity = entity
        self.zone = zone_of(entity.get("tags"))
        self.weight = int(entity["weight"])
        self._policy = policy
        self._make_peers()

    def _ask(self, asked: Deferred[Any]) -> None:
        self._asking = asked
        asked.addCallbacks(self._answered, self._failed)

    def _answered(self, answer: IAnswer) -> None:
        self._asking = None
        first = self._answer is None
        self._answer, self.kind, self.error = answer, answer.kind, None
        if answer.expires != float("inf"):
            self._follow_in(max(answer.expires - self._reactor.seconds(), REFOLLOW))
        if self._make_peers() or first:
            self._changed()

    def _failed(self, failure: Failure) -> None:
        if failure.check(CancelledError):
            return
        self._asking = None
        self.error = failure.value if isinstance(failure.value, DNSError) else None
        self._answer, self.kind = None, ""
        if self.error is None:
            self._log.failure("resolving the target {target} failed", failure, target=self.label)
        else:
            self._log.warn(
                "querying dns for {name} failed: {error}", name=self.name, error=self.error
            )
        self._follow_in(REQUERY)
        self._make_peers()
        self._changed()

    def _follow_in(self, seconds: float) -> None:
        self._timer = self._reactor.callLater(
            seconds, lambda: self._ask(self._resolver.refresh(strip_brackets(self.name)))
        )

    def _make_peers(self) -> bool:
        """Bring the peers in line with the answer, keeping those that are still there.

        @return: whether they, or their weights, are others now.
        """
        before = {peer: peer.nominal for peer in self.peers}
        kept = {(peer.address, peer.port, peer.host): peer for peer in self.peers}
        peers: dict[tuple[str, int, bytes], Peer] = {}
        for address, port, host, weight in self._addresses():
            peer = peers.get((address, port, host))
            if peer is not None:
                peer.nominal += weight  # two SRV records that lead to one address
            else:
                peer = kept.get((address, port, host)) or Peer(address, port, host, target=self)
                peer.nominal = weight
                peers[address, port, host] = peer
        for peer in peers.values():
            peer.weight = peer.nominal * peer.factor
        self.peers = list(peers.values())
        return before != {peer: peer.nominal for peer in self.peers}

    def _addresses(self) -> list[tuple[str, int, bytes, float]]:
        if self._answer is None:
            return []
        records = self._answer.records
        best = min((record.priority for record in records), default=0)
        records = [record for record in records if record.priority == best]
        service = self.kind == "SRV"
        divisor = len(records) if self._policy.divide_weight else 1
        return [
            (
                record.address,
                record.port or self.port,
                self._host(record.name if service else ""),
                # Weight 0 in an SRV record means rarely, not never (Kong: 1; RFC 2782).
                (record.weight or 1) if service and self.weight else self.weight / divisor,
            )
            for record in records
        ]

    def _host(self, service_name: str) -> bytes:
        if self._policy.host_header is not None:
            return self._policy.host_header.encode("latin-1")
        if service_name and self._policy.use_srv_name and not ip_version(service_name):
            return service_name.encode("latin-1")
        return self.name.encode("latin-1")


def split_target(text: str) -> tuple[str, int]:
    """The name and port of a target entity's C{target}; the port is 8000 where missing."""
    name, colon, port = text.rpartition(":")
    if not colon or not port.isdigit() or (text.startswith("[") and not name.endswith("]")):
        return text, 8000
    return name, int(port)
