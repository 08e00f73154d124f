"""Balancer and health checks over real sockets: targets that die and come back under requests."""

import time
from collections import Counter

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred, DeferredList, maybeDeferred
from twisted.internet.error import ConnectError
from twisted.internet.protocol import ClientFactory, Factory, Protocol
from twisted.internet.task import deferLater

from kongtx.balancer.balancers import Balancers
from kongtx.dns.resolver import Resolver
from kongtx.dns.settings import DNSSettings
from kongtx.events.local import LocalEventBus
from kongtx.health.checks import HealthChecks
from kongtx.health.probes import Prober
from tests.balancer.support import Request, target_of, upstream_of

from .support import checks_of

ADDRESSES = ("127.0.0.2", "127.0.0.3", "127.0.0.4")


class Answering(Protocol):
    """One answer for each request, after a moment."""

    def connectionMade(self):
        self.factory.open.append(self)

    def connectionLost(self, reason):
        self.factory.open.remove(self)

    def dataReceived(self, data):
        reactor.callLater(0.002, self._answer)

    def _answer(self):
        self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")


class Upstream:
    """A server that can be killed, connections and all, and started again."""

    def __init__(self, address, port=0):
        self.address, self.port = address, port
        self.start()

    def start(self):
        factory = self.factory = Factory.forProtocol(Answering)
        factory.noisy = False
        factory.open = []
        self.listening = reactor.listenTCP(self.port, factory, interface=self.address)
        self.port = self.listening.getHost().port

    async def kill(self):
        await maybeDeferred(self.listening.stopListening)
        for connection in list(self.factory.open):
            connection.transport.abortConnection()


class Attempt(Protocol):
    def connectionMade(self):
        self.transport.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")

    def dataReceived(self, data):
        self.factory.end(int(data.split()[1]))

    def connectionLost(self, reason):
        self.factory.end("tcp_failure")


class AttemptFactory(ClientFactory):
    protocol = Attempt
    noisy = False

    def __init__(self):
        self.done = Deferred()

    def clientConnectionFailed(self, connector, reason):
        reason.trap(ConnectError)
        self.end("tcp_failure")

    def end(self, outcome):
        if not self.done.called:
            self.done.callback(outcome)


class Load:
    """Requests with retries, as the proxy makes them."""

    def __init__(self, balancer, retries=2):
        self.balancer, self.retries = balancer, retries
        self.answers, self.failed, self.under_way = Counter(), Counter(), Counter()

    async def request(self):
        failed = []
        for _ in range(self.retries + 1):
            peer = self.balancer.pick(Request(), failed)
            self.balancer.started(peer)
            self.under_way[peer.address] += 1
            began = time.monotonic()
            factory = AttemptFactory()
            connector = reactor.connectTCP(peer.address, peer.port, factory)
            outcome = await factory.done
            connector.disconnect()
            self.under_way[peer.address] -= 1
            self.balancer.finished(peer, outcome, time.monotonic() - began)
            if isinstance(outcome, int):
                self.answers[outcome, peer.address] += 1
                return
            failed.append(peer)
            self.failed[peer.address] += 1
        self.answers["lost", None] += 1

    async def run(self, count, pause=0.001):
        running = []
        for _ in range(count):
            running.append(Deferred.fromCoroutine(self.request()))
            await deferLater(reactor, pause)
        await DeferredList(running)


@pytest.fixture
def world():
    servers = [Upstream(ADDRESSES[0])]
    servers += [Upstream(address, servers[0].port) for address in ADDRESSES[1:]]
    balancers = Balancers(Resolver(reactor, DNSSettings()), reactor)
    health = HealthChecks(balancers, reactor, LocalEventBus(reactor), prober=Prober(reactor))

    def configure(**fields):
        targets = [target_of(f"{server.address}:{server.port}") for server in servers]
        balancers.update([upstream_of(**fields)], targets)
        health.startService()
        return Load(balancers.for_host("up", 80))

    configure.servers = servers
    yield configure
    health.stopService()
    balancers.stop()
    for server in servers:
        pytest_twisted.blockon(Deferred.fromCoroutine(server.kill()))


@pytest_twisted.ensureDeferred
async def test_a_killed_target_costs_no_request_and_gets_no_more_than_it_takes_to_notice(world):
    load = world(
        healthchecks=checks_of(passive={"unhealthy_tcp_failures": 3, "healthy_successes": 1})
    )
    running = Deferred.fromCoroutine(load.run(300))
    await deferLater(reactor, 0.15)
    in_flight = load.under_way[ADDRESSES[1]]
    await world.servers[1].kill()
    await running

    assert load.answers["lost", None] == 0
    assert sum(load.answers.values()) == 300
    # Those on their way when it died, those that the limit needs, and those that were begun before
    # the first failure was heard of.
    assert 1 <= load.failed[ADDRESSES[1]] <= in_flight + 3 + 5
    assert load.failed.keys() == {ADDRESSES[1]}


@pytest.mark.long
@pytest_twisted.ensureDeferred
async def test_at_two_thousand_requests_a_second_a_killed_target_costs_no_request(world):
    load = world(
        healthchecks=checks_of(passive={"unhealthy_tcp_failures": 3, "healthy_successes": 1})
    )
    rate, seconds = 2000, 3
    requests, under_way, behind = [], 0, 0.0
    began = reactor.seconds()
    for sent in range(rate * seconds):
        due = began + sent / rate
        if sent % 20 == 0:
            await deferLater(reactor, max(due - reactor.seconds(), 0))
            behind = max(behind, reactor.seconds() - due)
        requests.append(Deferred.fromCoroutine(load.request()))
        if sent == rate:
            under_way = load.under_way[ADDRESSES[1]]
            await world.servers[1].kill()
    await DeferredList(requests)

    assert load.answers["lost", None] == 0
    assert sum(load.answers.values()) == rate * seconds
    # What was on its way to it, the limit, and what was begun before a refusal could be heard of:
    # a batch, and what came while the loop was behind.
    assert load.failed[ADDRESSES[1]] <= under_way + 3 + 20 + rate * behind


@pytest_twisted.ensureDeferred
async def test_without_checks_every_third_attempt_is_in_vain_and_no_request_is_lost(world):
    load = world()
    await world.servers[1].kill()
    await load.run(90)

    assert load.answers["lost", None] == 0
    # A third of 90 requests and of their retries.
    assert load.failed.keys() == {ADDRESSES[1]}
    assert load.failed[ADDRESSES[1]] == pytest.approx(45, abs=2)


@pytest_twisted.ensureDeferred
async def test_active_checks_notice_death_within_an_interval_and_life_again(world):
    interval = 0.15
    load = world(
        healthchecks=checks_of(
            active={
                "healthy_interval": interval, "unhealthy_interval": interval,
                "healthy_successes": 1, "unhealthy_tcp_failures": 1,
            }
        )
    )  # fmt: skip
    await world.servers[2].kill()
    await deferLater(reactor, interval * 1.3)
    await load.run(30)
    while_dead = dict(load.failed)
    world.servers[2].start()
    await deferLater(reactor, interval * 1.5)
    load.answers.clear()
    await load.run(30)

    assert while_dead == {}
    assert load.answers == {(200, address): 10 for address in ADDRESSES}
