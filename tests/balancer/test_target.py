import pytest

from kongtx.balancer.target import Policy, Target, split_target
from kongtx.dns.records import SRV, A
from tests.dns.fakes import EMPTY, a, srv

from .support import World, target_of


class Setup(World):
    def __init__(self, target, table=None, policy=None, **settings):
        super().__init__(table, **settings)
        self.changes = 0
        self.target = Target(target, policy or Policy(), self.resolver, self.clock, self._count)
        self.target.start()

    def _count(self):
        self.changes += 1

    @property
    def found(self):
        return [(peer.address, peer.port, peer.weight) for peer in self.target.peers]


@pytest.mark.parametrize(
    ("text", "split"),
    [
        ("a.test:80", ("a.test", 80)),
        ("a.test", ("a.test", 8000)),
        ("1.2.3.4:80", ("1.2.3.4", 80)),
        ("[::1]:80", ("[::1]", 80)),
        ("[::1]", ("[::1]", 8000)),
    ],
)
def test_targets_are_split(text, split):
    assert split_target(text) == split


@pytest.mark.parametrize(
    ("target", "address", "host"),
    [
        ("10.0.0.1:80", "10.0.0.1", b"10.0.0.1"),
        ("[0000:0000:0000:0000:0000:0000:0000:0001]:80",
         "0000:0000:0000:0000:0000:0000:0000:0001",
         b"[0000:0000:0000:0000:0000:0000:0000:0001]"),
    ],
)  # fmt: skip
def test_an_address_is_known_at_once_and_never_asked_for(target, address, host):
    it = Setup(target_of(target))
    (peer,) = it.target.peers

    assert (peer.address, peer.port, peer.host, peer.weight) == (address, 80, host, 100)
    assert it.servers.order == []
    assert it.clock.getDelayedCalls() == []


def test_each_address_of_a_name_has_the_weight_of_the_target():
    it = Setup(target_of("a.test:80", 30), {("a.test", A): a("a.test", "1.1.1.1", "1.1.1.2")})

    assert it.found == [("1.1.1.1", 80, 30), ("1.1.1.2", 80, 30)]
    assert it.target.peers[0].host == b"a.test"
    assert it.target.kind == "A"


def test_the_weight_can_be_divided_between_the_addresses():
    it = Setup(
        target_of("a.test:80", 30),
        {("a.test", A): a("a.test", "1.1.1.1", "1.1.1.2")},
        Policy(divide_weight=True),
    )

    assert it.found == [("1.1.1.1", 80, 15), ("1.1.1.2", 80, 15)]


SERVICES = {
    ("s.test", SRV): srv(
        "s.test",
        (1, 20, 8001, "x.test"),
        (1, 0, 0, "1.1.1.9"),
        (2, 50, 8003, "y.test"),
    ),
    ("x.test", A): a("x.test", "1.1.1.1"),
    ("y.test", A): a("y.test", "1.1.1.2"),
}


def test_services_bring_their_own_weights_and_ports_by_priority():
    it = Setup(target_of("s.test:80", 100), SERVICES)

    assert it.found == [("1.1.1.1", 8001, 20), ("1.1.1.9", 80, 1)]
    assert {peer.host for peer in it.target.peers} == {b"s.test"}


def test_the_name_in_the_service_record_can_be_the_host():
    it = Setup(target_of("s.test:80"), SERVICES, Policy(use_srv_name=True))

    assert [peer.host for peer in it.target.peers] == [b"x.test", b"s.test"]


def test_the_upstreams_host_header_replaces_all():
    it = Setup(target_of("s.test:80"), SERVICES, Policy("fixed.test", True))

    assert {peer.host for peer in it.target.peers} == {b"fixed.test"}


def test_a_target_of_weight_zero_gets_nothing_whatever_its_services_say():
    it = Setup(target_of("s.test:80", 0), SERVICES)

    assert {weight for _, _, weight in it.found} == {0}


def test_two_services_at_one_address_add_up():
    it = Setup(
        target_of("s.test:80"),
        {("s.test", SRV): srv("s.test", (1, 2, 81, "1.1.1.1"), (1, 3, 81, "1.1.1.1"))},
    )

    assert it.found == [("1.1.1.1", 81, 5)]


def test_changes_in_the_dns_are_followed_at_the_ttl():
    it = Setup(target_of("a.test:80"), {("a.test", A): a("a.test", "1.1.1.1", "1.1.1.2", ttl=10)})
    kept = it.target.peers[1]
    it.servers.table["a.test", A] = a("a.test", "1.1.1.2", "1.1.1.3", ttl=10)
    it.clock.advance(9.9)
    before = it.found
    it.clock.advance(0.2)

    assert [address for address, _, _ in before] == ["1.1.1.1", "1.1.1.2"]
    assert [peer.address for peer in it.target.peers] == ["1.1.1.2", "1.1.1.3"]
    assert it.target.peers[0] is kept
    assert it.changes == 2


def test_an_answer_that_says_the_same_changes_nothing():
    it = Setup(target_of("a.test:80"), {("a.test", A): a("a.test", "1.1.1.1", "1.1.1.2", ttl=10)})
    peers = set(it.target.peers)
    it.servers.table["a.test", A] = a("a.test", "1.1.1.2", "1.1.1.1", ttl=10)
    it.clock.pump([10, 10])

    assert it.servers.asked["a.test", A] == 3
    assert set(it.target.peers) == peers
    assert it.changes == 1


def test_a_new_weight_of_a_service_is_followed():
    it = Setup(
        target_of("s.test:80"), {("s.test", SRV): srv("s.test", (1, 2, 81, "1.1.1.1"), ttl=5)}
    )
    peer = it.target.peers[0]
    it.servers.table["s.test", SRV] = srv("s.test", (1, 9, 81, "1.1.1.1"), ttl=5)
    it.clock.advance(5)

    assert it.target.peers == [peer]
    assert peer.weight == 9


def test_a_ttl_of_zero_is_asked_for_each_second():
    it = Setup(target_of("a.test:80"), {("a.test", A): a("a.test", "1.1.1.1", ttl=0)})
    it.servers.asked.clear()
    it.clock.pump([0.5] * 10)

    assert it.servers.asked["a.test", A] == 5


def test_a_name_that_is_gone_has_no_peers_until_it_is_back():
    table = {("a.test", A): a("a.test", "1.1.1.1", ttl=10)}
    it = Setup(target_of("a.test:80"), table, order=("A",))
    it.servers.table["a.test", A] = EMPTY
    it.clock.advance(10)
    gone = (it.found, str(it.target.error))
    it.servers.table["a.test", A] = a("a.test", "1.1.1.2", ttl=10)
    it.clock.advance(30)

    assert gone == ([], "dns client error: 101 empty record received")
    assert it.found == [("1.1.1.2", 80, 100)]
    assert it.target.error is None


def test_dead_servers_leave_the_peers_as_they_are():
    it = Setup(target_of("a.test:80"), {("a.test", A): a("a.test", "1.1.1.1", ttl=10)})
    it.servers.down = True
    it.clock.pump([1] * 60)

    assert it.found == [("1.1.1.1", 80, 100)]


def test_weight_zero_can_be_raised_live():
    it = Setup(target_of("a.test:80", 0), {("a.test", A): a("a.test", "1.1.1.1")})
    before = it.found
    it.target.configure(target_of("a.test:80", 5), Policy())

    assert before == [("1.1.1.1", 80, 0)]
    assert it.found == [("1.1.1.1", 80, 5)]
    assert it.servers.asked["a.test", A] == 1


def test_a_stopped_target_asks_no_more():
    it = Setup(target_of("a.test:80"), {("a.test", A): a("a.test", "1.1.1.1", ttl=10)})
    it.target.stop()

    assert it.clock.getDelayedCalls() == []


def test_a_target_stopped_while_it_is_asked_for_changes_nothing():
    world = World({("a.test", A): a("a.test", "1.1.1.1")})
    world.servers.held = []
    changes = []
    target = Target(
        target_of("a.test:80"), Policy(), world.resolver, world.clock, lambda: changes.append(1)
    )
    target.start()
    pending = target.pending
    target.stop()
    world.servers.release()

    assert pending
    assert (target.peers, changes) == ([], [])
