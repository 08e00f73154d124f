from collections import Counter

import pytest
from zope.interface import implementer
from zope.interface.verify import verifyObject

from kongtx.balancer.errors import NoPeerAvailable
from kongtx.balancer.interfaces import IBalancer, IPeer, IPeerObserver
from kongtx.dns.records import A
from kongtx.errors import KongtxError
from tests.dns.fakes import a

from .support import Request, World, target_of


@implementer(IPeerObserver)
class Observer:
    def __init__(self):
        self.seen = []

    def peers_changed(self, upstream):
        self.seen.append(("peers", sorted(peer.key for peer in upstream.peers)))

    def removed(self, upstream):
        self.seen.append(("removed", upstream.name))

    def finished(self, upstream, peer, outcome, seconds):
        self.seen.append((peer.key, outcome, seconds))


def _counts(balancer, picks, request=None):
    return Counter(balancer.pick(request or Request(), ()).key for _ in range(picks))


def test_it_provides_its_interfaces():
    balancer = World().up("10.0.0.1:80")

    verifyObject(IBalancer, balancer)
    verifyObject(IPeer, balancer.pick(Request(), ()))


def test_the_client_certificate_is_that_of_the_upstream():
    world = World()

    assert world.up(client_certificate={"id": "c"}).client_certificate == {"id": "c"}
    assert world.balancers.for_host("10.0.0.1", 80).client_certificate is None
    assert world.balancers.for_host("a.test", 80).client_certificate is None


def test_targets_are_chosen_by_weight_and_weight_zero_never():
    balancer = World().up(("10.0.0.1:80", 30), ("10.0.0.2:80", 10), ("10.0.0.3:80", 0))

    assert _counts(balancer, 40) == {"10.0.0.1:80": 30, "10.0.0.2:80": 10}


@pytest.mark.parametrize(
    "algorithm", ["round-robin", "least-connections", "latency", "consistent-hashing"]
)
def test_every_algorithm_avoids_what_the_request_tried(algorithm):
    balancer = World().up(
        "10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80", algorithm=algorithm,
        **({"hash_on": "ip"} if algorithm == "consistent-hashing" else {}),
    )  # fmt: skip
    failed = []
    for _ in range(3):
        peer = balancer.pick(Request(), failed)
        balancer.started(peer)
        balancer.finished(peer, "tcp_failure", 0.1)
        failed.append(peer)

    assert len(set(failed)) == 3
    assert balancer.pick(Request(), failed) in failed


@pytest.mark.parametrize("algorithm", ["round-robin", "least-connections", "latency"])
def test_without_targets_there_is_no_peer(algorithm):
    balancer = World().up(algorithm=algorithm)

    with pytest.raises(NoPeerAvailable) as caught:
        balancer.pick(Request(), ())
    assert caught.value.status == 503
    assert caught.value.message == "failure to get a peer from the ring-balancer"


def test_an_unknown_algorithm_is_refused():
    with pytest.raises(KongtxError, match="not roulette"):
        World().up(algorithm="roulette")


def test_an_unavailable_peer_is_out_and_comes_back():
    balancer = World().up("10.0.0.1:80", "10.0.0.2:80")
    peer = balancer.peers[0]
    balancer.set_available(peer, False)
    during = _counts(balancer, 4)
    balancer.set_available(peer, True)

    assert during == {"10.0.0.2:80": 4}
    assert _counts(balancer, 4) == {"10.0.0.1:80": 2, "10.0.0.2:80": 2}


@pytest.mark.parametrize(
    ("threshold", "healthy"), [(0, True), (49, True), (50, False), (80, False)]
)
def test_below_the_threshold_the_whole_upstream_is_out(threshold, healthy):
    balancer = World().up("10.0.0.1:80", "10.0.0.2:80", healthchecks={"threshold": threshold})
    balancer.set_available(balancer.peers[0], False)

    assert balancer.healthy is healthy
    assert balancer.weights() == (200, 100)


def test_with_no_peer_available_it_is_unhealthy():
    balancer = World().up("10.0.0.1:80")
    balancer.set_available(balancer.peers[0], False)

    with pytest.raises(NoPeerAvailable):
        balancer.pick(Request(), ())


def test_a_pick_waits_for_the_first_answer_of_the_dns():
    world = World({("a.test", A): a("a.test", "1.1.1.1")})
    world.servers.held = []
    balancer = world.up("a.test:80")
    waiting = balancer.pick(Request(), ())
    world.servers.release()

    assert waiting.result.key == "1.1.1.1:80"


def test_a_pick_does_not_wait_while_another_target_is_known():
    world = World({("a.test", A): a("a.test", "1.1.1.1")})
    world.servers.held = []

    assert world.key(world.up("a.test:80", "10.0.0.1:80")) == "10.0.0.1:80"


def test_a_pick_that_waited_in_vain_fails():
    world = World()
    world.servers.held = []
    waiting = world.up("gone.test:80").pick(Request(), ())
    world.servers.release()
    failures = []
    waiting.addErrback(failures.append)

    assert failures[0].check(NoPeerAvailable)


def test_removing_the_upstream_ends_the_waiting():
    world = World()
    world.servers.held = []
    waiting = world.up("gone.test:80").pick(Request(), ())
    world.balancers.update([], [])
    failures = []
    waiting.addErrback(failures.append)

    assert failures[0].check(NoPeerAvailable)


def test_what_is_known_of_a_peer_survives_a_new_configuration():
    world = World()
    balancer = world.up("10.0.0.1:80", "10.0.0.2:80")
    first, second = balancer.peers
    balancer.set_available(first, False)
    balancer.started(second)
    second.ewma = 0.7
    again = world.up(("10.0.0.2:80", 50), "10.0.0.1:80", "10.0.0.3:80", algorithm="latency")

    assert again is balancer
    assert set(balancer.peers) > {first, second}
    assert (first.available, second.connections, second.weight) == (False, 1, 50)
    assert "10.0.0.1:80" not in _counts(balancer, 20)


def test_the_turn_survives_an_unchanged_configuration():
    world = World()
    balancer = world.up("10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80")
    keys = [world.key(balancer), world.key(balancer)]
    world.up("10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80")

    assert len({*keys, world.key(balancer)}) == 3


def test_a_removed_target_is_not_chosen_and_not_followed():
    world = World({("a.test", A): a("a.test", "1.1.1.1", ttl=10)})
    balancer = world.up("a.test:80", "10.0.0.1:80")
    world.up("10.0.0.1:80")

    assert _counts(balancer, 3) == {"10.0.0.1:80": 3}
    assert world.clock.getDelayedCalls() == []


def test_an_attempt_at_a_removed_peer_can_still_be_reported():
    world = World()
    balancer = world.up("10.0.0.1:80", "10.0.0.2:80", algorithm="least-connections")
    peer = balancer.pick(Request(), ())
    balancer.started(peer)
    world.up("10.0.0.3:80", algorithm="least-connections")
    balancer.finished(peer, 200, 0.1)

    assert peer.connections == 0
    assert world.key(balancer) == "10.0.0.3:80"


def test_connections_are_counted():
    balancer = World().up("10.0.0.1:80")
    peer = balancer.pick(Request(), ())
    balancer.started(peer)
    balancer.started(peer)
    balancer.finished(peer, 200, 0.1)

    assert peer.connections == 1


def test_the_same_value_goes_to_the_same_peer():
    balancer = World().up(
        "10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80",
        algorithm="consistent-hashing", hash_on="ip",
    )  # fmt: skip
    seen = {
        ip: set(_counts(balancer, 5, Request(client_ip=ip)))
        for ip in (f"192.0.2.{n}" for n in range(50))
    }

    assert all(len(keys) == 1 for keys in seen.values())
    assert len(set.union(*seen.values())) == 3


def test_a_cookie_is_handed_back_and_leads_to_the_same_peer():
    balancer = World().up(
        "10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80", algorithm="consistent-hashing",
        hash_on="cookie", hash_on_cookie="sid",
    )  # fmt: skip
    request = Request()
    first = balancer.pick(request, ())
    cookie = request.hash_cookie
    later = Request(headers=[(b"cookie", b"sid=" + cookie.value)])

    assert len(cookie.value) == 36
    assert balancer.pick(later, ()) is first
    assert later.hash_cookie is None


def test_the_observer_hears_of_peers_and_when_it_wants_of_outcomes():
    observer = Observer()
    world = World({("a.test", A): a("a.test", "1.1.1.1", ttl=5)}, observer=observer)
    verifyObject(IPeerObserver, observer)
    balancer = world.up("a.test:80")
    peer = balancer.pick(Request(), ())
    for watched in (False, True):
        balancer.watched = watched
        balancer.started(peer)
        balancer.finished(peer, 503, 0.25)
    world.servers.table["a.test", A] = a("a.test", "1.1.1.2")
    world.clock.advance(5)
    world.balancers.update([], [])

    assert observer.seen == [
        ("peers", ["1.1.1.1:80"]),
        ("1.1.1.1:80", 503, 0.25),
        ("peers", ["1.1.1.2:80"]),
        ("removed", "up"),
    ]


def test_slow_start_brings_a_recovered_peer_back_step_by_step():
    world = World()
    balancer = world.up("10.0.0.1:80", "10.0.0.2:80", tags=["kongtx:slow-start=10"])
    peer = balancer.peers[0]
    at_first = _counts(balancer, 200)[peer.key]
    balancer.set_available(peer, False)
    balancer.set_available(peer, True)
    shares = []
    for _ in range(11):
        shares.append(_counts(balancer, 200)[peer.key])
        world.clock.advance(1)

    assert at_first == 100
    assert shares[0] == pytest.approx(200 * 0.1 / 1.1, abs=2)
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(100, abs=2)
    assert balancer.weights() == (200, 0)
    assert world.clock.getDelayedCalls() == []


def test_an_ejected_peer_gets_nothing_but_counts_as_healthy():
    balancer = World().up("10.0.0.1:80", "10.0.0.2:80", healthchecks={"threshold": 60})
    balancer.set_ejected(balancer.peers[0], True)

    assert balancer.healthy
    assert _counts(balancer, 4) == {"10.0.0.2:80": 4}


def _zoned(tags=("kongtx:zone-aware",), zone="a"):
    return World(zone=zone).up(
        *(
            target_of(f"10.0.0.{n}:80", tags=[f"kongtx:zone={name}"])
            for n, name in enumerate("aabb")
        ),
        tags=list(tags),
    )


def test_the_own_zone_comes_first():
    assert set(_counts(_zoned(), 8)) == {"10.0.0.0:80", "10.0.0.1:80"}


@pytest.mark.parametrize(
    "balancer", [_zoned(tags=()), _zoned(zone=""), _zoned(zone="c")], ids=["off", "none", "other"]
)
def test_without_tag_or_zone_all_are_used(balancer):
    assert len(_counts(balancer, 8)) == 4


def test_when_most_of_the_own_zone_is_out_all_zones_are_used():
    balancer = _zoned()
    own = [peer for peer in balancer.peers if peer.target.zone == "a"]
    balancer.set_available(own[0], False)
    half = set(_counts(balancer, 8))
    balancer.set_available(own[1], False)
    none = set(_counts(balancer, 8))
    balancer.set_available(own[0], True)
    balancer.set_available(own[1], True)

    assert half == {"10.0.0.1:80"}
    assert none == {"10.0.0.2:80", "10.0.0.3:80"}
    assert set(_counts(balancer, 8)) == {"10.0.0.0:80", "10.0.0.1:80"}
