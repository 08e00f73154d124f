import pytest
from zope.interface.verify import verifyObject

from kongtx.balancer.balancers import HOSTS_KEPT
from kongtx.balancer.errors import NameResolutionFailed, ResolverFailed
from kongtx.balancer.interfaces import IBalancer
from kongtx.dns.records import SRV, A
from tests.dns.fakes import EMPTY, SERVFAIL, a, srv

from .support import Request, World, target_of, upstream_of


def _pick(balancer, failed=()):
    """The peer, or the error, of a pick that has nothing to wait for."""
    picked = balancer.pick(Request(), failed)
    if hasattr(picked, "addBoth"):
        results = []
        picked.addBoth(results.append)
        return getattr(results[0], "value", results[0])
    return picked


@pytest.mark.parametrize(
    ("host", "address", "header"),
    [("10.0.0.1", "10.0.0.1", b"10.0.0.1"), ("::1", "::1", b"::1"), ("[::1]", "::1", b"[::1]")],
)
def test_an_address_is_its_own_peer(host, address, header):
    balancer = World().balancers.for_host(host, 8080)
    peer = _pick(balancer)
    verifyObject(IBalancer, balancer)

    assert (peer.address, peer.port, peer.host) == (address, 8080, header)
    assert balancer.pick(Request(), [peer]) is peer


def test_no_more_hosts_are_kept_than_a_plugin_should_be_able_to_ask_for():
    balancers = World().balancers
    first = balancers.for_host("10.0.0.1", 1)
    assert balancers.for_host("10.0.0.1", 1) is first
    for port in range(2, HOSTS_KEPT + 2):
        balancers.for_host("10.0.0.1", port)
    assert balancers.for_host("10.0.0.1", 1) is not first


def test_an_upstream_comes_before_the_dns():
    world = World({("up", A): a("up", "1.1.1.1")})
    world.up("10.0.0.1:80")

    assert _pick(world.balancers.for_host("up", 99)).key == "10.0.0.1:80"


def test_a_name_is_resolved_and_its_addresses_are_taken_in_turn():
    world = World({("a.test", A): a("a.test", "1.1.1.1", "1.1.1.2")})
    balancer = world.balancers.for_host("a.test", 81)
    verifyObject(IBalancer, balancer)
    peers = [_pick(balancer) for _ in range(4)]

    assert sorted(peer.key for peer in peers) == ["1.1.1.1:81"] * 2 + ["1.1.1.2:81"] * 2
    assert peers[0] is peers[2]
    assert peers[0].host == b"a.test"


def test_a_known_name_needs_no_deferred():
    world = World({("a.test", A): a("a.test", "1.1.1.1")})
    balancer = world.balancers.for_host("a.test", 81)
    _pick(balancer)

    assert balancer.pick(Request(), ()).key == "1.1.1.1:81"


def test_the_turn_goes_on_over_new_answers():
    world = World({("a.test", A): a("a.test", "1.1.1.1", "1.1.1.2", ttl=0)})
    balancer = world.balancers.for_host("a.test", 81)

    assert len({_pick(balancer).key for _ in range(2)}) == 2


def test_failed_addresses_are_avoided_while_there_is_another():
    world = World({("a.test", A): a("a.test", "1.1.1.1", "1.1.1.2", "1.1.1.3")})
    balancer = world.balancers.for_host("a.test", 81)
    failed = []
    for _ in range(3):
        failed.append(_pick(balancer, failed))

    assert len(set(failed)) == 3
    assert _pick(balancer, failed) in failed


def test_services_bring_their_ports_and_the_next_priority_serves_retries():
    world = World(
        {("s.test", SRV): srv("s.test", (1, 1, 8001, "1.1.1.1"), (2, 1, 8002, "1.1.1.2"))}
    )
    balancer = world.balancers.for_host("s.test", 80)
    first = _pick(balancer)

    assert [_pick(balancer).key for _ in range(3)] == ["1.1.1.1:8001"] * 3
    assert _pick(balancer, [first]).key == "1.1.1.2:8002"


@pytest.mark.parametrize(
    ("table", "down", "error", "status", "message"),
    [
        ({}, False, NameResolutionFailed, 503, "name resolution failed"),
        ({("a.test", A): EMPTY}, False, NameResolutionFailed, 503, "name resolution failed"),
        ({("a.test", A): SERVFAIL}, False, ResolverFailed, 500,
         "dns server error: 2 server failure"),
        ({}, True, ResolverFailed, 500, "dns server error: no answer: timeout"),
    ],
)  # fmt: skip
def test_errors_are_those_of_kong(table, down, error, status, message):
    world = World(table, order=("A",))
    world.servers.down = down
    balancer = world.balancers.for_host("a.test", 80)
    found = _pick(balancer)

    assert (type(found), found.status, found.message) == (error, status, message)
    with pytest.raises(error, match=message):
        balancer.pick(Request(), ())


def test_an_update_keeps_upstreams_that_stay_and_drops_those_that_go():
    world = World()
    upstreams = [upstream_of("one"), upstream_of("two")]
    targets = [target_of("10.0.0.1:80", upstream="one"), target_of("10.0.0.2:80", upstream="two")]
    world.balancers.update(upstreams, targets)
    one, two = (world.balancers.for_host(name, 80) for name in ("one", "two"))
    world.balancers.update(upstreams[:1], targets)

    assert world.balancers.for_host("one", 80) is one
    assert world.balancers.for_host("two", 80) is not two
    assert world.balancers.upstream("id-one") is one
    assert world.balancers.upstream("id-two") is None
    assert world.balancers.upstreams() == [one]


def test_a_renamed_upstream_is_found_by_its_new_name():
    world = World()
    world.balancers.update([upstream_of("one")], [])
    one = world.balancers.for_host("one", 80)
    world.balancers.update([{**upstream_of("one"), "name": "new"}], [])

    assert world.balancers.for_host("new", 80) is one
    assert world.balancers.for_host("one", 80) is not one


def test_stopping_leaves_no_timers():
    world = World({("a.test", A): a("a.test", "1.1.1.1", ttl=5)})
    world.up("a.test:80")
    world.balancers.stop()

    assert world.clock.getDelayedCalls() == []
