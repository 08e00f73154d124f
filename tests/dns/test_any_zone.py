"""Whatever the servers say, a resolution ends with addresses or a typed error."""

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from kongtx.dns.errors import DNSError
from kongtx.dns.message import Data, Response
from kongtx.dns.records import AAAA, CNAME, SRV, A, ip_version
from kongtx.dns.resolver import Resolver
from kongtx.dns.settings import DNSSettings

from .fakes import FakeServers

NAMES = ["a.test", "b.test", "c.test", "_s._tcp.test"]
name = st.sampled_from(NAMES)
ttl = st.integers(0, 20)
data = st.one_of(
    st.builds(Data, name, st.just(A), ttl, st.sampled_from(["1.1.1.1", "1.1.1.2"])),
    st.builds(Data, name, st.just(AAAA), ttl, st.just("::1")),
    st.builds(Data, name, st.just(CNAME), ttl, name),
    st.builds(
        Data, name, st.just(SRV), ttl, st.one_of(name, st.just("")), st.integers(0, 3),
        st.integers(0, 2), st.integers(0, 5),
    ),
)  # fmt: skip
response = st.builds(
    Response,
    st.sampled_from([0, 0, 0, 0, 2, 3, 5]),
    st.just(False),
    st.lists(data, max_size=5).map(tuple),
)
zone = st.dictionaries(st.tuples(name, st.sampled_from([A, AAAA, CNAME, SRV])), response)
order = st.lists(
    st.sampled_from(["LAST", "SRV", "A", "AAAA", "CNAME"]), min_size=1, unique=True
).map(tuple)


@settings(max_examples=150)
@given(zone, zone, order, st.booleans(), st.booleans())
def test_every_resolution_ends_well(first, second, order, by_name, no_sync):
    clock, servers = Clock(), FakeServers(first)
    resolver = Resolver(
        clock,
        DNSSettings(
            hostsfile="/nonexistent", resolv_conf="/nonexistent", order=order, srv_by_name=by_name,
            no_sync=no_sync, stale_ttl=15, cache_size=3,
        ),
        exchanger=servers,
        environ={},
    )  # fmt: skip
    for table in (first, second):
        servers.table = table
        for asked in NAMES * 2:
            _check(resolver, asked)
        clock.advance(10)
    assert sum(servers.asked.values()) < 5000


def _check(resolver, asked):
    try:
        outcome = resolver.resolve(asked, 80)
    except DNSError:
        return
    if isinstance(outcome, Deferred):
        results = []
        outcome.addBoth(results.append)
        (outcome,) = results
        if hasattr(outcome, "check"):
            assert outcome.check(DNSError), outcome
            return
    assert outcome.records
    for record in outcome.records:
        assert ip_version(record.address)
        assert record.port > 0
    address, port = resolver.to_ip(asked, 80) if outcome.expires > 0 else ("1.1.1.1", 80)
    assert ip_version(address)
    assert port > 0
