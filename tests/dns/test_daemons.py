"""The whole resolver against Debian's dnsmasq and unbound."""

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred, maybeDeferred

from kongtx.dns.errors import EmptyAnswer, NameNotFound, ServerFailed, ServersUnreachable
from kongtx.dns.exchange import Exchanger
from kongtx.dns.records import A
from kongtx.dns.resolver import Resolver
from kongtx.dns.settings import DNSSettings

from .servers import dnsmasq, free_port, unbound

BIG = [f"10.9.{n // 250}.{n % 250 + 1}" for n in range(300)]


def _up(daemon):
    pytest_twisted.blockon(Deferred.fromCoroutine(daemon.ready(_probe)))
    return daemon


def _probe(address):
    return Exchanger(reactor, [address], timeout=0.2, attempts=1).ask("up.test", A)


@pytest.fixture(scope="module")
def masq(tmp_path_factory):
    daemon = dnsmasq(
        tmp_path_factory.mktemp("dnsmasq"),
        "host-record=one.test,10.0.0.1,2001:db8::1,30",
        "host-record=two.test,10.0.0.1",
        "host-record=two.test,10.0.0.2",
        "host-record=six.test,2001:db8::6",
        "cname=alias.test,alias2.test",
        "cname=alias2.test,one.test",
        "srv-host=_web._tcp.test,one.test,8001,1,10",
        "srv-host=_web._tcp.test,two.test,8002,2,5",
        "host-record=db.corp.test,10.0.0.7",
        *(f"host-record=big.test,{address}" for address in BIG),
    )
    yield _up(daemon)
    daemon.stop()


@pytest.fixture(scope="module")
def bound(tmp_path_factory):
    daemon = unbound(
        tmp_path_factory.mktemp("unbound"),
        "one.test. 30 IN A 10.1.0.1",
        "alias.test. 30 IN CNAME one.test.",
        "svc.test. 15 IN SRV 1 10 9001 one.test.",
        *(f"big.test. 30 IN A {address}" for address in BIG),
    )
    yield _up(daemon)
    daemon.stop()


def _resolver(tmp_path, *servers, conf="", **settings):
    (tmp_path / "resolv.conf").write_text(conf)
    (tmp_path / "hosts").write_text("")
    settings.setdefault("order", ("LAST", "SRV", "A", "AAAA", "CNAME"))
    return Resolver(
        reactor,
        DNSSettings(
            resolver=tuple(getattr(server, "address", server) for server in servers),
            hostsfile=str(tmp_path / "hosts"),
            resolv_conf=str(tmp_path / "resolv.conf"),
            timeout=1,
            **settings,
        ),
        environ={},
    )


async def _find(resolver, name):
    answer = await maybeDeferred(resolver.resolve, name)
    return sorted((record.address, record.port) for record in answer.records)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("one.test", [("10.0.0.1", 0)]),
        ("two.test", [("10.0.0.1", 0), ("10.0.0.2", 0)]),
        ("six.test", [("2001:db8::6", 0)]),
        ("alias.test", [("10.0.0.1", 0)]),
        ("_web._tcp.test", [("10.0.0.1", 8001), ("10.0.0.1", 8002), ("10.0.0.2", 8002)]),
    ],
)
@pytest_twisted.ensureDeferred
async def test_dnsmasq_answers(masq, tmp_path, name, found):
    assert await _find(_resolver(tmp_path, masq), name) == found


@pytest_twisted.ensureDeferred
async def test_dnsmasq_has_more_than_a_datagram_holds(masq, tmp_path):
    found = await _find(_resolver(tmp_path, masq), "big.test")

    assert found == sorted((address, 0) for address in BIG)


@pytest_twisted.ensureDeferred
async def test_search_and_server_from_resolv_conf(masq, tmp_path):
    conf = f"nameserver 127.0.0.1:{masq.address[1]}\nsearch nowhere.test corp.test\n"

    assert await _find(_resolver(tmp_path, conf=conf), "db") == [("10.0.0.7", 0)]


@pytest_twisted.ensureDeferred
async def test_an_unknown_name_and_a_name_without_such_a_record(masq, tmp_path):
    with pytest.raises(NameNotFound):
        await _find(_resolver(tmp_path, masq), "gone.test")
    with pytest.raises(EmptyAnswer):
        await _find(_resolver(tmp_path, masq, order=("A",)), "six.test")


@pytest_twisted.ensureDeferred
async def test_a_refusal_is_told_apart(masq, tmp_path):
    with pytest.raises(ServerFailed):
        await _find(_resolver(tmp_path, masq), "elsewhere.example")


@pytest_twisted.ensureDeferred
async def test_a_dead_server_before_a_living_one(masq, tmp_path):
    resolver = _resolver(tmp_path, ("127.0.0.1", free_port()), masq)

    assert await _find(resolver, "one.test") == [("10.0.0.1", 0)]


@pytest_twisted.ensureDeferred
async def test_nobody_there(tmp_path):
    with pytest.raises(ServersUnreachable) as caught:
        await _find(_resolver(tmp_path, ("127.0.0.1", free_port())), "one.test")

    assert "connection refused" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("one.test", [("10.1.0.1", 0)]),
        ("alias.test", [("10.1.0.1", 0)]),
        ("svc.test", [("10.1.0.1", 9001)]),
        ("big.test", sorted((address, 0) for address in BIG)),
    ],
)
@pytest_twisted.ensureDeferred
async def test_unbound_answers(bound, tmp_path, name, found):
    assert await _find(_resolver(tmp_path, bound), name) == found


@pytest_twisted.ensureDeferred
async def test_a_server_that_dies_leaves_the_stale_answer_in_use(tmp_path):
    daemon = dnsmasq(tmp_path, "host-record=one.test,10.0.0.1,1")
    try:
        await daemon.ready(_probe)
        resolver = _resolver(tmp_path, daemon, order=("A",), valid_ttl=0.05)
        first = await _find(resolver, "one.test")
    finally:
        daemon.stop()

    later = [await _find(resolver, "one.test") for _ in range(3)]

    assert [first, *later] == [[("10.0.0.1", 0)]] * 4
