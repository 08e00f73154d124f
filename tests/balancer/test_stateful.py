"""Any sequence of configurations, health, DNS changes and attempts: what must always hold."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from kongtx.balancer.errors import NoPeerAvailable
from kongtx.dns.records import SRV, A
from tests.dns.fakes import NXDOMAIN, a, srv

from .support import Request, World, target_of, upstream_of

ALGORITHMS = ["round-robin", "least-connections", "latency", "consistent-hashing"]
NAMES = ["10.0.0.1:80", "10.0.0.2:80", "10.0.0.2:81", "a.test:80", "s.test:80", "gone.test:80"]
ADDRESSES = [f"1.1.1.{n}" for n in range(1, 5)]
TARGETS = st.dictionaries(st.sampled_from(NAMES), st.sampled_from([0, 1, 2, 100, 65535]))


class Balancing(RuleBasedStateMachine):
    @initialize()
    def begin(self):
        self.world = World({("a.test", A): a("a.test", "1.1.1.1", ttl=5)})
        self.under_way = []
        self.balancer = None
        self.configure("round-robin", {"10.0.0.1:80": 100}, 0, False)

    @rule(
        algorithm=st.sampled_from(ALGORITHMS),
        weights=TARGETS,
        threshold=st.sampled_from([0, 0, 50]),
        slow=st.booleans(),
    )
    def configure(self, algorithm, weights, threshold, slow):
        hashing = algorithm == "consistent-hashing"
        upstream = upstream_of(
            algorithm=algorithm,
            hash_on="ip" if hashing else "none",
            slots=20,
            healthchecks={"threshold": threshold},
            tags=["kongtx:slow-start=10"] if slow else None,
        )
        self.world.balancers.update(
            [upstream], [target_of(name, weight) for name, weight in weights.items()]
        )
        before, self.balancer = self.balancer, self.world.balancers.for_host("up", 80)
        assert before in (None, self.balancer)
        self.weights = weights

    @rule(addresses=st.lists(st.sampled_from(ADDRESSES), unique=True))
    def dns_changes(self, addresses):
        self.world.servers.table["a.test", A] = (
            a("a.test", *addresses, ttl=5) if addresses else NXDOMAIN
        )
        services = [(1, n, 8000 + n, address) for n, address in enumerate(addresses)]
        self.world.servers.table["s.test", SRV] = (
            srv("s.test", *services, ttl=5) if services else NXDOMAIN
        )

    @rule(seconds=st.sampled_from([0.5, 6, 31]))
    def time_passes(self, seconds):
        self.world.clock.advance(seconds)

    @rule(data=st.data(), available=st.booleans())
    def health_changes(self, data, available):
        if self.balancer.peers:
            peer = data.draw(st.sampled_from(list(self.balancer.peers)))
            self.balancer.set_available(peer, available)

    @rule(data=st.data(), ejected=st.booleans())
    def outliers_change(self, data, ejected):
        if self.balancer.peers:
            peer = data.draw(st.sampled_from(list(self.balancer.peers)))
            self.balancer.set_ejected(peer, ejected)

    @rule(ip=st.sampled_from(["192.0.2.1", "192.0.2.2"]), retries=st.integers(0, 3))
    def request(self, ip, retries):
        failed = []
        usable = {peer for peer in self.balancer.peers if peer.usable}
        for _ in range(retries + 1):
            try:
                peer = self.balancer.pick(Request(client_ip=ip), failed)
            except NoPeerAvailable:
                assert not self.balancer.healthy or not usable
                return
            assert peer in usable
            assert peer not in failed or usable <= set(failed)
            self.balancer.started(peer)
            self.under_way.append(peer)
            failed.append(peer)

    @rule(outcome=st.sampled_from([200, 500, "tcp_failure", "timeout"]), seconds=st.floats(0, 5))
    def attempt_ends(self, outcome, seconds):
        if self.under_way:
            self.balancer.finished(self.under_way.pop(0), outcome, seconds)

    @invariant()
    def counts_are_right(self):
        if self.balancer is None:
            return
        for peer in self.balancer.peers:
            assert peer.connections == self.under_way.count(peer)
            assert peer.weight == peer.nominal * peer.factor > 0
            assert peer.usable is (peer.available and not peer.ejected)
        total, unavailable = self.balancer.weights()
        assert 0 <= unavailable <= total

    @invariant()
    def only_targets_with_weight_have_peers(self):
        if self.balancer is not None:
            labels = {peer.target.label for peer in self.balancer.peers}
            assert labels <= {name for name, weight in self.weights.items() if weight}

    def teardown(self):
        self.world.balancers.stop()
        assert self.world.clock.getDelayedCalls() == []


Balancing.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestBalancing = Balancing.TestCase
