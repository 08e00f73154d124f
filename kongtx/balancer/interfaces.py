"""What the proxy asks of a balancer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from zope.interface import Attribute, Interface

if TYPE_CHECKING:
    from kongtx.balancer.hashing import HashCookie
    from kongtx.balancer.peer import Peer
    from kongtx.balancer.upstream import UpstreamBalancer


class IPeer(Interface):
    """One address that can be connected to; immutable while an attempt uses it."""

    address: str = Attribute("``str``: an IPv4 or IPv6 literal, or a path after ``unix:``.")
    port: int = Attribute("``int``: the TCP port.")
    host: bytes = Attribute("``bytes``: the Host header's value for this peer, without its port.")


class IBalanceRequest(Interface):
    """The facts of a request that hashing can use; the data plane's request provides it."""

    client_ip: str = Attribute("``str``: the client's address, after real-IP resolution.")
    path: bytes = Attribute("``bytes``: the normalised path.")
    query: bytes = Attribute("``bytes``: the query, without ``?``.")
    headers: list[tuple[bytes, bytes]] = Attribute(
        "``list[tuple[bytes, bytes]]``: lower-case names and values."
    )
    consumer_id: str = Attribute("``str``: the consumer's or credential's id; empty if none.")
    captures: tuple[Sequence[bytes], Mapping[str, bytes]] = Attribute(
        "``tuple[Sequence[bytes], Mapping[str, bytes]]``: of the route's regex."
    )
    hash_cookie: HashCookie | None = Attribute(
        "``HashCookie | None``: None at first. A balancer that hashes on a cookie which the client "
        "did not send sets it: the response then gets the header ``Set-Cookie: "
        "hash_cookie.header``. Later picks for the same request use its value."
    )


class IAlgorithm(Interface):
    """Chooses among peers. Pure: time and chance are given to its constructor."""

    def update(peers: Sequence[Peer]) -> None:
        """The peers, their weights or their C{usable} changed.

        @param peers: all peers with a weight above zero, usable or not. What is known of those
            that were there before is kept.
        """

    def pick(value: bytes | None, failed: Sequence[IPeer]) -> Peer | None:
        """Choose a usable peer.

        @param value: what to hash; L{None} where there is nothing.
        @param failed: avoided as long as there is any other.
        @return: L{None} if no peer is usable.
        """

    def started(peer: Peer) -> None:
        """The peer's C{connections} went up."""

    def finished(peer: Peer, failed: bool, seconds: float) -> None:
        """The peer's C{connections} went down, after an attempt of so many seconds."""


class IPeerObserver(Interface):
    """Told what happens to the peers of upstreams; health checks are one."""

    def peers_changed(upstream: UpstreamBalancer) -> None:
        """The upstream is new, was configured anew, or gained or lost peers."""

    def removed(upstream: UpstreamBalancer) -> None:
        """The upstream is no more."""

    def finished(
        upstream: UpstreamBalancer, peer: Peer, outcome: int | str, seconds: float
    ) -> None:
        """An attempt ended; called only while the upstream's C{watched} is true."""


class IBalancer(Interface):
    """Chooses a peer for one service host: an upstream's targets, a name, or an address."""

    client_certificate: Mapping[str, Any] | None = Attribute(
        "``Mapping | None``: the reference to the upstream's client certificate, which TLS peers "
        "are shown where the service has none of its own."
    )

    def pick(request: IBalanceRequest, failed: Sequence[IPeer]) -> IPeer | Deferred[IPeer]:
        """Choose a peer.

        @param request: an L{IBalanceRequest}.
        @param failed: the peers that this request has tried in vain, oldest first.
        @return: an L{IPeer}; or a L{Deferred<twisted.internet.defer.Deferred>} of one, only if
            something (a name) has to be waited for.
        @raise BalancerError: (or the Deferred fails with it) a typed error from
            C{kongtx.balancer.errors} that carries Kong's status and message.
        """

    def started(peer: IPeer) -> None:
        """An attempt at the peer begins (connections are counted from here)."""

    def finished(peer: IPeer, outcome: int | str, seconds: float) -> None:
        """The attempt ended; called exactly once for each C{started}.

        @param outcome: the HTTP status received, or C{"tcp_failure"} or C{"timeout"}.
        @param seconds: from connect to the response's header.
        """
