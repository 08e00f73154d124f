"""All balancers of a worker."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from random import Random
from typing import Any

from twisted.internet.interfaces import IReactorTime

from kongtx.balancer.host import AddressBalancer, NameBalancer
from kongtx.balancer.interfaces import IBalancer, IPeerObserver
from kongtx.balancer.upstream import UpstreamBalancer
from kongtx.dns.interfaces import IResolver
from kongtx.dns.records import ip_version, strip_brackets

Entity = Mapping[str, Any]

#: Balancers for hosts that are no upstreams are kept up to this number.
HOSTS_KEPT = 10_000


class Balancers:
    """Makes balancers from the configuration, and keeps them from one to the next.

    @param resolver: gives the addresses of names.
    @param reactor: for the time.
    @param random: chance; a generator of its own where unset.
    @param zone: the node's zone, for upstreams with the tag C{kongtx:zone-aware}.

    @ivar observer: told of peers and attempts; set it before the first L{update}.
    """

    def __init__(
        self,
        resolver: IResolver,
        reactor: IReactorTime,
        random: Random | None = None,
        zone: str = "",
    ) -> None:
        self._resolver = resolver
        self._reactor = reactor
        self._random = random or Random()
        self._zone = zone
        self.observer: IPeerObserver | None = None
        self._by_id: dict[str, UpstreamBalancer] = {}
        self._by_name: dict[str, UpstreamBalancer] = {}
        self._hosts: dict[tuple[str, int], IBalancer] = {}

    def update(self, upstreams: Iterable[Entity], targets: Iterable[Entity]) -> None:
        """Take over a configuration. Upstreams that are in both stay, with what is known of their
        targets; the balancer objects that L{for_host} gave for them go on working.

        @param upstreams: all upstream entities.
        @param targets: all target entities.
        """
        by_upstream: dict[str, list[Entity]] = {}
        for target in targets:
            by_upstream.setdefault(target["upstream"]["id"], []).append(target)
        before, self._by_id, self._by_name = self._by_id, {}, {}
        for entity in upstreams:
            upstream_id = str(entity["id"])
            upstream = before.pop(upstream_id, None) or UpstreamBalancer(
                self._resolver, self._reactor, self._random, self.observer, self._zone
            )
            self._by_id[upstream_id] = self._by_name[str(entity["name"])] = upstream
            upstream.configure(entity, by_upstream.get(upstream_id, ()))
        for upstream in before.values():
            upstream.stop()
            if self.observer is not None:
                self.observer.removed(upstream)
        self._hosts = {}

    def for_host(self, host: str, port: int) -> IBalancer:
        """The balancer for a service.

        @param host: its host: an upstream's name, whose targets have ports of their own; an
            address; or a name in the DNS.
        @param port: its port.
        """
        upstream = self._by_name.get(host)
        if upstream is not None:
            return upstream
        balancer = self._hosts.get((host, port))
        if balancer is None:
            address = strip_brackets(host)
            if ip_version(address):
                balancer = AddressBalancer(address, port, host.encode("latin-1"))
            else:
                balancer = NameBalancer(host, port, self._resolver, self._random)
            if len(self._hosts) >= HOSTS_KEPT:
                # Plugins may ask for as many as there are.
                self._hosts.clear()
            self._hosts[host, port] = balancer
        return balancer

    def upstream(self, upstream_id: str) -> UpstreamBalancer | None:
        """The balancer of an upstream."""
        return self._by_id.get(upstream_id)

    def upstreams(self) -> list[UpstreamBalancer]:
        """All upstreams' balancers."""
        return list(self._by_id.values())

    def stop(self) -> None:
        """End all timers and queries."""
        self.update((), ())
