import pytest
from twisted.internet.task import Clock
from zope.interface.verify import verifyObject

from kongtx.balancer.errors import NoPeerAvailable
from kongtx.balancer.interfaces import IPeerObserver
from kongtx.dns.records import A
from kongtx.health.errors import HealthError
from kongtx.health.interfaces import IHealthChecker
from tests.balancer.support import Request, target_of
from tests.dns.fakes import EMPTY, a

from .support import ACTIVE, PASSIVE, Hub, Worker, checks_of

TARGETS = ("10.0.0.1:1", "10.0.0.1:2", "10.0.0.1:3")


class Node:
    """Workers of one node, the first of which probes."""

    def __init__(self, workers=1, *, targets=TARGETS, table=None, broadcast=None, **fields):
        self.clock = Clock()
        self.hub = Hub(self.clock)
        self.table, self.targets, self.fields = table, targets, fields
        self.broadcast = broadcast
        self.workers = []
        for _ in range(workers):
            self.workers.append(self.start())
        self.settle()

    def start(self):
        worker = Worker(self.hub, self.clock, self.table, not self.workers, self.broadcast)
        worker.configure(*self.targets, **self.fields)
        return worker

    def settle(self):
        self.clock.pump([0.03, 0.03])

    @property
    def out(self):
        return [worker.out for worker in self.workers]


def _health(worker, **kw):
    entities = worker.balancers.upstreams()[0]._targets_given
    return {shown["target"]: shown for shown in worker.health.upstream_health("id-up", entities)}


def test_it_provides_its_interfaces():
    health = Node(healthchecks=PASSIVE).workers[0].health

    verifyObject(IHealthChecker, health)
    verifyObject(IPeerObserver, health)


@pytest.mark.parametrize(
    "outcomes", [["tcp_failure"] * 2, ["timeout"] * 2, [504, "timeout"], [500, 503, 429]]
)
def test_the_circuit_breaks_at_the_threshold(outcomes):
    node = Node(healthchecks=PASSIVE)
    for outcome in outcomes[:-1]:
        node.workers[0].report(1, outcome)
    before = node.out
    node.workers[0].report(1, outcomes[-1])

    assert before == [[]]
    assert node.out == [[1]]


def test_a_broken_circuit_keeps_requests_away():
    worker = Node(healthchecks=PASSIVE).workers[0]
    worker.report(2, "tcp_failure")
    worker.report(2, "tcp_failure")
    upstream = worker.balancers.upstreams()[0]

    assert {upstream.pick(Request(), ()).port for _ in range(10)} == {1, 3}


def test_when_all_are_out_there_is_no_peer():
    worker = Node(healthchecks=PASSIVE, targets=TARGETS[:1]).workers[0]
    worker.report(1, "tcp_failure")
    worker.report(1, "tcp_failure")

    with pytest.raises(NoPeerAvailable):
        worker.balancers.upstreams()[0].pick(Request(), ())


def test_without_checks_nothing_is_counted():
    worker = Node().workers[0]
    for _ in range(10):
        worker.report(1, "tcp_failure")

    assert worker.out == []
    assert not worker.balancers.upstreams()[0].watched


def test_passive_successes_count_where_only_active_checks_fail_a_target():
    both = {**ACTIVE, "passive": checks_of(passive={"healthy_successes": 1})["passive"]}
    node = Node(healthchecks=both)
    node.workers[0].health.set_health("id-up", target_of(TARGETS[0]), None, False)
    node.workers[0].report(1, 200)

    assert node.out == [[]]


def test_workers_add_up_what_each_of_them_sees():
    node = Node(3, healthchecks=PASSIVE)
    for worker in node.workers:
        worker.report(1, 500)
    before = node.out
    node.settle()

    assert before == [[], [], []]
    assert node.out == [[1], [1], [1]]


def test_a_status_that_one_worker_arrives_at_is_that_of_all():
    node = Node(2, healthchecks=PASSIVE)
    node.workers[1].report(1, "tcp_failure")
    node.workers[1].report(1, "tcp_failure")
    node.settle()

    assert node.out == [[1], [1]]


def test_successes_count_over_workers_too():
    node = Node(2, healthchecks=PASSIVE)
    node.workers[0].health.set_health("id-up", target_of(TARGETS[0]), None, False)
    node.settle()
    node.workers[0].report(1, 200)
    node.settle()
    node.workers[1].report(1, 200)
    node.settle()

    assert node.out == [[], []]


def test_many_reports_travel_together_and_what_does_not_count_not_at_all():
    node = Node(2, healthchecks=checks_of(passive={"unhealthy_http_failures": 200}))
    node.hub.published.clear()
    for _ in range(50):
        node.workers[0].report(1, 500)
        node.workers[0].report(1, 200)
        node.workers[0].report(1, 404)
    node.settle()

    assert [(event, len(data["reports"])) for _, event, data in node.hub.published] == [
        ("reports", 50)
    ]


def test_a_worker_that_starts_later_learns_what_is_known():
    node = Node(2, healthchecks=PASSIVE)
    node.workers[0].report(1, "tcp_failure")
    node.workers[0].report(1, "tcp_failure")
    node.workers[0].report(2, "tcp_failure")
    node.settle()
    node.workers.append(node.start())
    node.settle()
    node.workers[2].report(2, "tcp_failure")
    node.settle()

    assert node.out == [[1, 2]] * 3


def test_when_the_bus_fails_the_worker_goes_by_itself_until_it_hears_again():
    node = Node(2, healthchecks=PASSIVE)
    first, second = node.workers
    node.hub.broken = True
    first.report(1, "tcp_failure")
    first.report(1, "tcp_failure")
    alone = node.out
    node.hub.broken = False
    second.health.set_health("id-up", target_of(TARGETS[0]), None, True)
    node.settle()

    assert alone == [[1], []]
    assert node.out == [[], []]


def test_only_the_chosen_worker_probes():
    node = Node(2, healthchecks=ACTIVE)
    node.clock.advance(5)

    assert sorted(node.workers[0].prober.checked) == ["10.0.0.1:1", "10.0.0.1:2", "10.0.0.1:3"]
    assert node.workers[1].prober.checked == []


def test_probing_passes_to_another_worker():
    node = Node(2, healthchecks=ACTIVE)
    node.workers[0].probes, node.workers[1].probes = False, True
    node.clock.advance(5)

    assert node.workers[0].prober.checked == []
    assert len(node.workers[1].prober.checked) == 3


def test_a_dead_target_is_out_within_an_interval_and_comes_back():
    checks = checks_of(
        active={"healthy_interval": 5, "unhealthy_interval": 1, "healthy_successes": 2,
                "unhealthy_tcp_failures": 1}
    )  # fmt: skip
    node = Node(2, healthchecks=checks)
    prober = node.workers[0].prober
    prober.outcomes["10.0.0.1:2"] = "tcp_failure"
    node.clock.advance(5)
    node.settle()
    dead = node.out
    del prober.outcomes["10.0.0.1:2"]
    node.clock.advance(1)
    node.settle()
    almost = node.out
    node.clock.advance(1)
    node.settle()

    assert (dead, almost, node.out) == ([[2], [2]], [[2], [2]], [[], []])


def test_healthy_and_unhealthy_targets_have_their_own_intervals():
    node = Node(healthchecks=ACTIVE)
    node.workers[0].health.set_health("id-up", target_of(TARGETS[2]), None, False)
    prober = node.workers[0].prober
    prober.outcomes["10.0.0.1:3"] = 500
    node.clock.pump([0.5] * 9)

    assert prober.checked == ["10.0.0.1:3"] * 4


@pytest.mark.parametrize(
    ("outcome", "rounds"), [("tcp_failure", 2), (500, 2), (0, 2), ("timeout", 1), (404, None)]
)
def test_active_checks_have_their_own_limits(outcome, rounds):
    node = Node(healthchecks=ACTIVE)
    node.workers[0].prober.outcomes["10.0.0.1:1"] = outcome
    counts = []
    for _ in range(3):
        node.clock.advance(5)
        counts.append(node.workers[0].out)

    expected = [[1] if rounds and n >= rounds else [] for n in (1, 2, 3)]
    assert counts == expected


def test_a_status_set_by_hand_holds_on_all_workers_and_nodes():
    packets = []
    node = Node(2, healthchecks=PASSIVE, broadcast=lambda *packet: packets.append(packet))
    other = Node(2, healthchecks=PASSIVE)
    node.workers[1].health.set_health("id-up", target_of(TARGETS[0]), None, False)
    node.settle()
    for _, packet in packets:
        other.workers[0].health.from_cluster(packet)
    other.settle()

    assert packets == [("balancer:post_health", "10.0.0.1||1|0|id-up|up")]
    assert (node.out, other.out) == ([[1], [1]], [[1], [1]])
    node.workers[0].health.set_health("id-up", target_of(TARGETS[0]), None, True)
    node.settle()
    assert node.out == [[], []]


def test_one_address_of_a_target_can_be_set():
    node = Node(
        targets=["a.test:80"],
        table={("a.test", A): a("a.test", "1.1.1.1", "1.1.1.2")},
        healthchecks=PASSIVE,
    )
    worker = node.workers[0]
    target = target_of("a.test:80")
    worker.health.set_health("id-up", target, "1.1.1.2:80", False)
    one = [peer.address for peer in worker.balancers.upstreams()[0].peers if not peer.available]
    worker.health.set_health("id-up", target, "1.1.1.1", False)  # port 8000: no such address
    still = [peer.address for peer in worker.balancers.upstreams()[0].peers if not peer.available]
    worker.health.set_health("id-up", target, None, False)

    assert one == still == ["1.1.1.2"]
    assert worker.out == [80, 80]


def test_an_ipv6_target_can_be_set():
    label = "[0000:0000:0000:0000:0000:0000:0000:0001]:80"
    node = Node(targets=[label], healthchecks=PASSIVE)
    node.workers[0].health.set_health("id-up", target_of(label), None, False)

    assert node.out == [[80]]


def test_setting_needs_checks_and_an_upstream():
    node = Node()

    with pytest.raises(HealthError, match="no healthchecker found for up"):
        node.workers[0].health.set_health("id-up", target_of(TARGETS[0]), None, False)
    with pytest.raises(HealthError, match="Upstream id-no has no balancer"):
        node.workers[0].health.set_health("id-no", target_of(TARGETS[0]), None, False)


@pytest.mark.parametrize("packet", ["", "a|b", "h||x|1|id|n", "h||80|1|id-gone|n"])
def test_a_packet_that_makes_no_sense_does_no_harm(packet):
    node = Node(healthchecks=PASSIVE)
    node.workers[0].health.from_cluster(packet)

    assert node.out == [[]]


def test_statuses_survive_a_new_configuration_but_not_the_end_of_checks():
    node = Node(healthchecks=PASSIVE)
    worker = node.workers[0]
    worker.report(1, "tcp_failure")
    worker.report(1, "tcp_failure")
    worker.configure(*TARGETS, "10.0.0.1:4", healthchecks=ACTIVE, algorithm="latency")
    kept = worker.out
    worker.configure(*TARGETS, healthchecks=checks_of())
    off = worker.out
    worker.configure(*TARGETS, healthchecks=PASSIVE)

    assert (kept, off, worker.out) == ([1], [], [])


def test_a_new_address_in_the_dns_starts_healthy():
    node = Node(
        targets=["a.test:80"],
        table={("a.test", A): a("a.test", "1.1.1.1", ttl=10)},
        healthchecks=PASSIVE,
    )
    worker = node.workers[0]
    worker.health.set_health("id-up", target_of("a.test:80"), None, False)
    worker.servers.table["a.test", A] = a("a.test", "1.1.1.1", "1.1.1.2", ttl=10)
    node.clock.advance(10)

    peers = worker.balancers.upstreams()[0].peers
    assert [(p.address, p.available) for p in peers] == [("1.1.1.1", False), ("1.1.1.2", True)]


def test_listeners_are_told_and_one_that_fails_harms_nobody():
    node = Node(2, healthchecks=PASSIVE)
    told = []
    health = node.workers[1].health
    end_broken = health.subscribe(lambda *event: 1 / 0)
    end = health.subscribe(lambda *event: told.append(event))
    node.workers[0].report(1, "tcp_failure")
    node.workers[0].report(1, "tcp_failure")
    node.settle()
    end()
    end_broken()
    node.workers[0].health.set_health("id-up", target_of(TARGETS[0]), None, True)
    node.settle()

    assert told == [("id-up", "10.0.0.1", 1, "10.0.0.1", "unhealthy")]


def test_health_as_the_admin_api_shows_it():
    node = Node(targets=[("10.0.0.1:1", 30), ("10.0.0.1:2", 10)], healthchecks=PASSIVE)
    worker = node.workers[0]
    worker.report(2, "tcp_failure")
    worker.report(2, "tcp_failure")

    assert _health(worker)["10.0.0.1:1"] == {
        **target_of("10.0.0.1:1", 30),
        "health": "HEALTHY",
        "data": {
            "host": "10.0.0.1",
            "port": 1,
            "dns": "A",
            "nodeWeight": 30,
            "weight": {"total": 30, "available": 30, "unavailable": 0},
            "addresses": [{"ip": "10.0.0.1", "port": 1, "health": "HEALTHY", "weight": 30}],
        },
    }
    assert _health(worker)["10.0.0.1:2"]["health"] == "UNHEALTHY"
    assert _health(worker)["10.0.0.1:2"]["data"]["weight"] == {
        "total": 10, "available": 0, "unavailable": 10,
    }  # fmt: skip
    assert worker.health.balancer_health("id-up") == {
        "health": "HEALTHY",
        "balancer_health": "HEALTHY",
        "id": "id-up",
        "details": {
            "healthy": True,
            "weight": {"total": 40, "available": 30, "unavailable": 10},
            "hosts": [
                {
                    "host": "10.0.0.1",
                    "port": port,
                    "dns": "A",
                    "nodeWeight": weight,
                    "weight": {
                        "total": weight,
                        "available": weight if healthy else 0,
                        "unavailable": 0 if healthy else weight,
                    },
                    "addresses": [
                        {"ip": "10.0.0.1", "port": port, "weight": weight, "healthy": healthy}
                    ],
                }
                for port, weight, healthy in ((1, 30, True), (2, 10, False))
            ],
        },
    }


def test_a_target_is_healthy_if_any_address_is():
    node = Node(
        targets=["a.test:80"],
        table={("a.test", A): a("a.test", "1.1.1.1", "1.1.1.2")},
        healthchecks=PASSIVE,
    )
    node.workers[0].health.set_health("id-up", target_of("a.test:80"), "1.1.1.2:80", False)
    shown = _health(node.workers[0])["a.test:80"]

    assert shown["health"] == "HEALTHY"
    assert [address["health"] for address in shown["data"]["addresses"]] == ["HEALTHY", "UNHEALTHY"]


def test_off_and_dns_errors_are_shown():
    node = Node(
        targets=["gone.test:80", ("10.0.0.1:1", 0), "empty.test:80"],
        table={("empty.test", A): EMPTY},
        healthchecks=PASSIVE,
    )
    shown = _health(node.workers[0])
    off = Node().workers[0]

    assert [shown[name]["health"] for name in shown] == [
        "DNS_ERROR", "HEALTHCHECKS_OFF", "DNS_ERROR",
    ]  # fmt: skip
    assert shown["gone.test:80"]["data"]["dns"] == "dns server error: 3 name error"
    assert shown["10.0.0.1:1"]["data"]["addresses"] == [
        {"ip": "10.0.0.1", "port": 1, "health": "HEALTHCHECKS_OFF", "weight": 0}
    ]
    assert {entity["health"] for entity in _health(off).values()} == {"HEALTHCHECKS_OFF"}
    assert off.health.balancer_health("id-up")["health"] == "HEALTHCHECKS_OFF"


def test_an_upstream_below_its_threshold_is_unhealthy():
    node = Node(healthchecks={**PASSIVE, "threshold": 70})
    worker = node.workers[0]
    worker.report(1, "tcp_failure")
    worker.report(1, "tcp_failure")

    assert worker.health.balancer_health("id-up")["health"] == "UNHEALTHY"
    with pytest.raises(NoPeerAvailable):
        worker.balancers.upstreams()[0].pick(Request(), ())


def test_a_removed_upstream_is_forgotten():
    node = Node(healthchecks=ACTIVE)
    node.workers[0].balancers.update([], [])

    with pytest.raises(HealthError):
        node.workers[0].health.balancer_health("id-up")
    assert node.clock.getDelayedCalls() == []


def test_stopping_ends_all_timers_and_subscriptions():
    node = Node(healthchecks={**ACTIVE, "passive": PASSIVE["passive"]},
                tags=["kongtx:outlier-errors=50"])  # fmt: skip
    node.workers[0].report(1, "tcp_failure")
    node.workers[0].health.stopService()
    node.clock.advance(0)

    assert node.clock.getDelayedCalls() == []
    assert node.hub.buses[0].subscribed == []


OUTLIERS = [
    "kongtx:outlier-errors=50", "kongtx:outlier-requests=4", "kongtx:outlier-interval=10",
    "kongtx:outlier-ejection=30", "kongtx:outlier-most=40",
]  # fmt: skip


def _interval(node, port=1, outcome=500):
    for _ in range(4):
        for other in (1, 2, 3):
            node.workers[0].report(other, outcome if other == port else 200)
    node.clock.advance(10)


def test_an_outlier_is_ejected_for_a_time_that_grows_with_each_ejection_in_a_row():
    node = Node(tags=OUTLIERS)
    times = []
    for _ in range(2):
        _interval(node)
        out = 0
        while node.workers[0].unused == [1]:
            node.clock.advance(1)
            out += 1
        times.append(out)

    assert times == [30, 60]
    assert node.out == [[]]


def test_good_behaviour_shortens_the_next_ejection():
    node = Node(tags=OUTLIERS)
    _interval(node)
    node.clock.pump([1] * 30)
    _interval(node, port=None)
    _interval(node)
    ejected = node.workers[0].unused
    node.clock.pump([1] * 30)

    assert ejected == [1]
    assert node.workers[0].unused == []


def test_a_slow_peer_is_ejected():
    node = Node(tags=["kongtx:outlier-latency=3", "kongtx:outlier-requests=4"])
    for _ in range(4):
        for port, seconds in ((1, 0.1), (2, 0.1), (3, 0.5)):
            node.workers[0].report(port, 200, seconds)
    node.clock.advance(10)

    assert node.workers[0].unused == [3]


def test_without_the_tag_an_ejected_peer_is_back_at_once():
    node = Node(tags=OUTLIERS)
    _interval(node)
    node.workers[0].configure(*TARGETS, tags=None)

    assert node.workers[0].unused == []
    assert node.clock.getDelayedCalls() == []
