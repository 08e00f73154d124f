"""Health checks of several workers over the real bus, one of them probing by a lease."""

import tempfile
from pathlib import Path

import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import maybeDeferred
from twisted.internet.task import deferLater

from kongtx.balancer.balancers import Balancers
from kongtx.dns.resolver import Resolver
from kongtx.dns.settings import DNSSettings
from kongtx.events.broker import EventBroker
from kongtx.events.bus import EventBus
from kongtx.events.leases import BusLeases
from kongtx.health.checks import HealthChecks
from tests.balancer.support import target_of, upstream_of

from .support import FakeProber, checks_of

TARGETS = [target_of("10.0.0.1:1"), target_of("10.0.0.1:2")]


class Worker:
    def __init__(self, path, number, healthchecks):
        self.bus = EventBus(reactor, path, number, retry_policy=lambda _: 0.01)
        self.bus.startService()
        self.balancers = Balancers(Resolver(reactor, DNSSettings()), reactor)
        self.prober = FakeProber()
        self.holds = False
        self.health = HealthChecks(
            self.balancers, reactor, self.bus, prober=self.prober, probes_here=lambda: self.holds
        )
        self.upstream = upstream_of(healthchecks=healthchecks)

    async def start(self):
        await self.bus.when_connected()
        self.leases = BusLeases(self.bus)
        self.leases.hold("healthchecks", lambda held: setattr(self, "holds", held))
        self.balancers.update([self.upstream], TARGETS)
        self.health.startService()

    async def stop(self):
        self.health.stopService()
        self.balancers.stop()
        self.leases.close()
        await maybeDeferred(self.bus.stopService)

    def fail(self, port):
        upstream = self.balancers.upstream("id-up")
        peer = next(peer for peer in upstream.peers if peer.port == port)
        upstream.started(peer)
        upstream.finished(peer, "tcp_failure", 0.01)

    @property
    def out(self):
        return [peer.port for peer in self.balancers.upstream("id-up").peers if not peer.available]


async def _until(condition):
    for _ in range(400):
        if condition():
            return
        await deferLater(reactor, 0.005)
    raise AssertionError("it did not come true in 2 s")


@pytest_twisted.async_yield_fixture()
async def start():
    with tempfile.TemporaryDirectory() as directory:
        path = str(Path(directory) / "s")
        broker = EventBroker(reactor, path)
        broker.startService()
        workers = []

        async def begin(**checks):
            worker = Worker(path, len(workers), checks_of(**checks))
            workers.append(worker)
            await worker.start()
            return worker

        yield begin
        for worker in workers:
            if worker.health.running:
                await worker.stop()
        await broker.stopService()


@pytest_twisted.ensureDeferred
async def test_failures_add_up_over_workers_and_a_new_one_learns_of_them(start):
    passive = {"unhealthy_tcp_failures": 3}
    workers = [await start(passive=passive) for _ in range(3)]
    for worker in workers:
        worker.fail(1)
    await _until(lambda: [worker.out for worker in workers] == [[1]] * 3)

    late = await start(passive=passive)

    await _until(lambda: late.out == [1])


@pytest_twisted.ensureDeferred
async def test_one_worker_probes_and_another_takes_over(start):
    active = {"healthy_interval": 0.05, "unhealthy_tcp_failures": 1}
    first, second = [await start(active=active) for _ in range(2)]
    await _until(lambda: len(first.prober.checked) >= 4)
    before = list(second.prober.checked)
    second.prober.outcomes["10.0.0.1:2"] = "tcp_failure"
    await first.stop()

    await _until(lambda: second.out == [2])
    assert before == []


@pytest_twisted.ensureDeferred
async def test_what_is_set_by_hand_holds_everywhere(start):
    workers = [await start(passive={"unhealthy_timeouts": 1}) for _ in range(2)]
    workers[0].health.set_health("id-up", TARGETS[1], None, False)

    await _until(lambda: [worker.out for worker in workers] == [[2], [2]])
