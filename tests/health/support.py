"""Several workers over one virtual clock and a bus between them."""

from __future__ import annotations

import json

from twisted.internet.defer import Deferred, fail, succeed
from zope.interface import implementer

from kongtx.events.interfaces import IEventBus
from kongtx.health.checks import HealthChecks
from kongtx.health.interfaces import IProber
from tests.balancer.support import World, target_of, upstream_of


class Hub:
    """Delivers what a worker publishes to all, in a later turn, as JSON."""

    def __init__(self, clock):
        self.clock = clock
        self.buses = []
        self.published = []
        self.broken = False

    def bus(self):
        self.buses.append(Bus(self, len(self.buses)))
        return self.buses[-1]

    def send(self, sender, channel, event, data):
        text = json.dumps(data)
        self.published.append((channel, event, json.loads(text)))
        self.clock.callLater(0, self._deliver, sender, channel, event, text)

    def _deliver(self, sender, channel, event, text):
        for bus in self.buses:
            for wanted, name, callback in list(bus.subscribed):
                if wanted == channel and name in (None, event):
                    callback(json.loads(text), channel, event, sender)


@implementer(IEventBus)
class Bus:
    def __init__(self, hub, worker):
        self.hub, self.worker, self.subscribed = hub, worker, []

    def publish(self, channel, event, data=None, unique=None):
        if self.hub.broken:
            return fail(ConnectionError("no bus"))
        self.hub.send(self.worker, channel, event, data)
        return succeed(None)

    def publish_local(self, channel, event, data=None):
        raise AssertionError("not used")

    def subscribe(self, channel, event, callback, weak=False):
        entry = (channel, event, callback)
        self.subscribed.append(entry)
        return lambda: self.subscribed.remove(entry)


@implementer(IProber)
class FakeProber:
    """Outcomes from a table of C{address:port}; 200 for all else."""

    def __init__(self):
        self.outcomes = {}
        self.checked = []
        self.held = None

    def check(self, probe):
        self.checked.append(f"{probe.address}:{probe.port}")
        outcome = self.outcomes.get(self.checked[-1], 200)
        if self.held is None:
            return succeed(outcome)
        waiting = Deferred()
        self.held.append(waiting)
        return waiting


def checks_of(active=(), passive=(), threshold=0):
    """An upstream's C{healthchecks}; C{active} and C{passive} are pairs like
    C{unhealthy_interval=1}."""
    checks = {"threshold": threshold}
    for kind, given in (("active", active), ("passive", passive)):
        part = checks[kind] = {
            "type": "http",
            "healthy": {"http_statuses": [200, 302], "successes": 0},
            "unhealthy": {
                "http_statuses": [429, 500, 503], "http_failures": 0, "tcp_failures": 0,
                "timeouts": 0,
            },
        }  # fmt: skip
        if kind == "active":
            part |= {"timeout": 1, "concurrency": 10, "http_path": "/", "headers": None,
                     "https_sni": None, "https_verify_certificate": True}  # fmt: skip
            part["healthy"]["interval"] = part["unhealthy"]["interval"] = 0
        for name, value in dict(given).items():
            side, _, field = name.partition("_")
            if side in ("healthy", "unhealthy") and field:
                part[side][field] = value
            else:
                part[name] = value
    return checks


PASSIVE = checks_of(passive={"unhealthy_tcp_failures": 2, "unhealthy_http_failures": 3,
                             "unhealthy_timeouts": 2, "healthy_successes": 2})  # fmt: skip
ACTIVE = checks_of(
    active={"healthy_interval": 5, "unhealthy_interval": 1, "healthy_successes": 2,
            "unhealthy_tcp_failures": 2, "unhealthy_http_failures": 2, "unhealthy_timeouts": 1}
)  # fmt: skip


class Worker(World):
    def __init__(self, hub, clock, table=None, prober=True, broadcast=None):
        super().__init__(table)
        self.clock = clock
        self.resolver._reactor = clock
        self.resolver._seconds = self.resolver._lookup._seconds = clock.seconds
        self.balancers._reactor = clock
        self.prober = FakeProber()
        self.probes = prober
        self.health = HealthChecks(
            self.balancers,
            clock,
            hub.bus(),
            prober=self.prober,
            probes_here=lambda: self.probes,
            broadcast=broadcast,
        )

    def configure(self, *targets, **fields):
        upstream = self.up(*targets, **fields)
        if not self.health.running:
            self.health.startService()
        return upstream

    def report(self, port, outcome, seconds=0.01):
        """An attempt at the peer on 10.0.0.1 with the port."""
        upstream = self.balancers.upstreams()[0]
        peer = next(peer for peer in upstream.peers if peer.port == port)
        upstream.started(peer)
        upstream.finished(peer, outcome, seconds)

    @property
    def out(self):
        """Ports of the peers that are not available."""
        return [p.port for p in self.balancers.upstreams()[0].peers if not p.available]

    @property
    def unused(self):
        return [p.port for p in self.balancers.upstreams()[0].peers if not p.usable]


__all__ = ["ACTIVE", "PASSIVE", "Hub", "Worker", "checks_of", "target_of", "upstream_of"]
