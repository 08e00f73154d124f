"""What the balancer's tests share: entities, requests, and a resolver over a table."""

from __future__ import annotations

from random import Random

import attrs
from twisted.internet.task import Clock

from kongtx.balancer.balancers import Balancers
from kongtx.balancer.peer import Peer
from kongtx.dns.resolver import Resolver
from kongtx.dns.settings import DNSSettings
from tests.dns.fakes import FakeServers


@attrs.define
class Request:
    client_ip: str = "192.0.2.1"
    path: bytes = b"/"
    query: bytes = b""
    headers: list = attrs.Factory(list)
    consumer_id: str = ""
    captures: tuple = ((), {})
    hash_cookie: object = None


def upstream_of(name="up", **fields):
    return {
        "id": f"id-{name}",
        "name": name,
        "algorithm": "round-robin",
        "hash_on": "none",
        "hash_fallback": "none",
        "slots": 1000,
        "host_header": None,
        "use_srv_name": False,
        "tags": None,
        "client_certificate": None,
        "healthchecks": {"threshold": 0},
        **fields,
    }


def target_of(target, weight=100, upstream="up", tags=None):
    return {
        "id": f"{upstream}/{target}",
        "upstream": {"id": f"id-{upstream}"},
        "target": target,
        "weight": weight,
        "tags": tags,
    }


class World:
    """Balancers over a virtual clock and name servers made of a table."""

    def __init__(self, table=None, zone="", observer=None, **settings):
        self.clock = Clock()
        self.servers = FakeServers(table)
        settings.setdefault("order", ("LAST", "SRV", "A", "AAAA"))
        self.resolver = Resolver(
            self.clock,
            DNSSettings(hostsfile="/nonexistent", resolv_conf="/nonexistent", **settings),
            exchanger=self.servers,
            random=Random(3),
            environ={},
        )
        self.balancers = Balancers(self.resolver, self.clock, Random(7), zone)
        self.balancers.observer = observer

    def up(self, *targets, **fields):
        """An upstream with the targets, given as C{target} or C{(target, weight)}."""
        entities = [
            target if isinstance(target, dict)
            else target_of(*(target if isinstance(target, tuple) else (target,)))
            for target in targets
        ]  # fmt: skip
        self.balancers.update([upstream_of(**fields)], entities)
        return self.balancers.for_host("up", 80)

    def key(self, balancer, request=None, failed=()):
        return balancer.pick(request or Request(), failed).key


def peers_of(*weights):
    """Peers named by their port, 1 and up."""
    return [Peer("10.0.0.1", port, b"", weight) for port, weight in enumerate(weights, 1)]
