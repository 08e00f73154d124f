"""A peer: one address of a target. Hot path."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zope.interface import implementer

from kongtx.balancer.interfaces import IPeer

if TYPE_CHECKING:
    from kongtx.balancer.target import Target


@implementer(IPeer)
class Peer:
    """One address that can be connected to, with what its balancer knows of it.

    C{address}, C{port} and C{host} never change; a peer whose host header changes is a new peer.

    @ivar target: the target it belongs to; L{None} for a host that is no upstream.
    @ivar nominal: its configured weight: the target's, or that of its SRV record.
    @ivar factor: what part of its weight counts at the moment (slow start), up to 1.
    @ivar weight: C{nominal * factor}.
    @ivar available: whether health checks let it have requests.
    @ivar ejected: whether it is out for a while as an outlier.
    @ivar preferred: whether its zone is to be used at the moment.
    @ivar usable: whether algorithms may choose it; follows from the three above.
    @ivar connections: attempts under way.
    @ivar ewma: seconds an attempt takes, the peak-sensitive average.
    @ivar touched: when C{ewma} was last measured.
    @ivar serial: counts changes of C{connections}.
    """

    __slots__ = (
        "address", "available", "connections", "ejected", "ewma", "factor", "host", "nominal",
        "port", "preferred", "serial", "target", "touched", "usable", "weight",
    )  # fmt: skip

    def __init__(
        self,
        address: str,
        port: int,
        host: bytes,
        weight: float = 1,
        target: Target | None = None,
    ) -> None:
        self.address = address
        self.port = port
        self.host = host
        self.target = target
        self.nominal = self.weight = weight
        self.factor = 1.0
        self.available = self.preferred = self.usable = True
        self.ejected = False
        self.connections = 0
        self.ewma = 0.0
        self.touched = 0.0
        self.serial = 0

    def __repr__(self) -> str:
        return f"<Peer {self.key} weight={self.weight:g} usable={self.usable}>"

    @property
    def key(self) -> str:
        """C{address:port}, an IPv6 address in brackets."""
        return f"{self.shown}:{self.port}"

    @property
    def shown(self) -> str:
        """The address as Kong shows it: IPv6 in brackets."""
        return f"[{self.address}]" if ":" in self.address else self.address
