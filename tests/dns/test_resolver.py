import pytest
from twisted.internet.task import Clock
from zope.interface.verify import verifyObject

from kongtx.dns.errors import (
    DNSError,
    EmptyAnswer,
    InvalidName,
    NameNotFound,
    RecursionDetected,
    ServerFailed,
    ServersUnreachable,
)
from kongtx.dns.interfaces import IAnswer, IResolver
from kongtx.dns.message import Data
from kongtx.dns.records import AAAA, CNAME, SRV, A, Record
from kongtx.dns.resolver import Resolver
from kongtx.dns.settings import DNSSettings

from .fakes import EMPTY, SERVFAIL, FakeServers, a, aaaa, cname, srv


class Setup:
    def __init__(self, tmp_path, table=None, **settings):
        self.clock = Clock()
        self.servers = FakeServers(table)
        self.hosts = tmp_path / "hosts"
        self.conf = tmp_path / "resolv.conf"
        for path in (self.hosts, self.conf):
            if not path.exists():
                path.write_text("")
        settings.setdefault("order", ("LAST", "SRV", "A", "AAAA", "CNAME"))
        self.resolver = Resolver(
            self.clock,
            DNSSettings(hostsfile=str(self.hosts), resolv_conf=str(self.conf), **settings),
            exchanger=self.servers,
            environ={},
        )

    def get(self, name, port=None):
        """The answer, or the error, of a resolution that has nothing to wait for."""
        try:
            outcome = self.resolver.resolve(name, port)
        except DNSError as error:
            return error
        if hasattr(outcome, "addBoth"):
            results = []
            outcome.addBoth(results.append)
            assert results, "still waiting"
            return getattr(results[0], "value", results[0])
        return outcome

    def addresses(self, name):
        return [record.address for record in self.get(name).records]


@pytest.fixture
def setup(tmp_path):
    return lambda table=None, **settings: Setup(tmp_path, table, **settings)


def test_it_provides_its_interface(setup):
    it = setup({("a.test", A): a("a.test", "1.1.1.1")})

    verifyObject(IResolver, it.resolver)
    verifyObject(IAnswer, it.get("a.test"))


def test_a_hit_is_synchronous_and_the_same_object(setup):
    it = setup({("a.test", A): a("a.test", "1.1.1.1", "1.1.1.2", ttl=10)})
    first = it.get("a.test")

    assert it.resolver.resolve("a.test") is first
    assert first.records == (Record("1.1.1.1", name="a.test"), Record("1.1.1.2", name="a.test"))
    assert (first.expires, first.kind) == (10, "A")
    assert it.servers.asked["a.test", A] == 1


def test_a_port_is_given_to_records_without_one(setup):
    it = setup({("a.test", A): a("a.test", "1.1.1.1")})

    assert it.get("a.test", 80).records[0].port == 80
    assert it.resolver.resolve("a.test", 80) is it.resolver.resolve("a.test", 80)


@pytest.mark.parametrize(
    ("name", "address", "kind"),
    [("1.2.3.4", "1.2.3.4", "A"), ("::1", "::1", "AAAA"), ("[::1]", "::1", "AAAA")],
)
def test_literals_are_synchronous_and_ask_nobody(setup, name, address, kind):
    it = setup()
    answer = it.resolver.resolve(name)

    assert (answer.records[0].address, answer.kind) == (address, kind)
    assert it.servers.order == []


def test_types_are_tried_in_order_and_the_last_that_worked_comes_first(setup):
    it = setup({("a.test", AAAA): aaaa("a.test", "::5", ttl=1)}, stale_ttl=0)
    it.get("a.test")
    first, it.servers.order[:] = list(it.servers.order), []
    it.clock.advance(2)
    it.get("a.test")

    assert first == [("a.test", SRV), ("a.test", A), ("a.test", AAAA)]
    assert it.servers.order == [("a.test", AAAA)]


def test_without_last_the_order_stays(setup):
    it = setup({("a.test", A): a("a.test", "1.1.1.1", ttl=1)}, order=("AAAA", "A"), stale_ttl=0)
    it.get("a.test")
    it.clock.advance(31)
    it.get("a.test")

    assert it.servers.order == [("a.test", AAAA), ("a.test", A)] * 2


def test_search_suffixes_are_tried(setup, tmp_path):
    (tmp_path / "resolv.conf").write_text("search one.test two.test\noptions ndots:1")
    it = setup({("db.two.test", A): a("db.two.test", "1.1.1.1")}, order=("A",))

    assert it.addresses("db") == ["1.1.1.1"]
    assert it.servers.order == [("db.one.test", A), ("db.two.test", A)]
    assert it.get("db").records[0].name == "db"


def test_names_are_case_insensitive(setup):
    it = setup({("a.test", A): a("a.test", "1.1.1.1")})

    assert it.addresses("A.Test") == ["1.1.1.1"]


def test_a_cname_chain_in_one_answer_is_followed(setup):
    chain = cname("a.test", "b.test", Data("b.test", A, 5, "1.1.1.1"), ttl=90)
    it = setup({("a.test", A): chain})

    assert it.addresses("a.test") == ["1.1.1.1"]
    assert it.get("a.test").expires == 5


def test_a_cname_chain_over_several_answers_is_followed(setup):
    it = setup(
        {
            ("a.test", A): cname("a.test", "b.test", ttl=3),
            ("b.test", A): cname("b.test", "c.test"),
            ("c.test", A): a("c.test", "1.1.1.1"),
        }
    )

    assert it.addresses("a.test") == ["1.1.1.1"]
    assert it.get("a.test").expires == 3


def test_a_cname_found_by_type_is_resolved_again(setup):
    it = setup(
        {("a.test", CNAME): cname("a.test", "b.test"), ("b.test", A): a("b.test", "1.1.1.1")}
    )

    assert it.addresses("a.test") == ["1.1.1.1"]


def test_an_alias_is_an_absolute_name(setup, tmp_path):
    (tmp_path / "resolv.conf").write_text("search corp.test\noptions ndots:3")
    it = setup(
        {
            ("a.corp.test", CNAME): cname("a.corp.test", "b.test"),
            ("b.test", A): a("b.test", "1.1.1.1"),
        },
        order=("CNAME", "A"),
    )

    assert it.addresses("a") == ["1.1.1.1"]
    assert it.servers.order == [("a.corp.test", CNAME), ("b.test", CNAME), ("b.test", A)]


@pytest.mark.parametrize(("rtype", "error"), [(A, EmptyAnswer), (CNAME, RecursionDetected)])
def test_a_circle_of_cnames_is_an_error(setup, rtype, error):
    it = setup(
        {
            ("a.test", rtype): cname("a.test", "b.test"),
            ("b.test", rtype): cname("b.test", "a.test"),
        },
        order=("A",) if rtype == A else ("CNAME",),
    )

    assert type(it.get("a.test")) is error


def test_services_are_flattened_with_their_ports_and_divided_weights(setup):
    it = setup(
        {
            ("s.test", SRV): srv(
                "s.test", (1, 10, 8001, "x.test"), (2, 7, 0, "y.test"), (1, 5, 9, "1.1.1.9")
            ),
            ("x.test", A): a("x.test", "1.1.1.1", "1.1.1.2", ttl=7),
            ("y.test", AAAA): aaaa("y.test", "::1"),
        }
    )
    answer = it.get("s.test", 80)

    assert answer.records == (
        Record("1.1.1.1", 8001, 1, 5, "x.test"),
        Record("1.1.1.2", 8001, 1, 5, "x.test"),
        Record("::1", 80, 2, 7, "y.test"),
        Record("1.1.1.9", 9, 1, 5, "1.1.1.9"),
    )
    assert (answer.kind, answer.expires) == ("SRV", 7)


def test_a_service_target_without_address_is_left_out(setup):
    it = setup(
        {
            ("s.test", SRV): srv("s.test", (1, 1, 1, "x.test"), (1, 1, 2, "gone.test")),
            ("x.test", A): a("x.test", "1.1.1.1"),
        }
    )

    assert it.addresses("s.test") == ["1.1.1.1"]


def test_a_service_that_points_to_itself_falls_through_to_the_next_type(setup):
    it = setup(
        {
            ("s.test", SRV): srv("s.test", (1, 1, 1, "s.test")),
            ("s.test", A): a("s.test", "1.1.1.1"),
        }
    )

    assert it.addresses("s.test") == ["1.1.1.1"]


def test_no_service_is_an_empty_answer(setup):
    it = setup({("s.test", SRV): srv("s.test", (0, 0, 0, ""))}, order=("SRV",))

    assert isinstance(it.get("s.test"), EmptyAnswer)


@pytest.mark.parametrize(
    ("response", "error", "message"),
    [
        (None, NameNotFound, "dns server error: 3 name error"),
        (EMPTY, EmptyAnswer, "dns client error: 101 empty record received"),
        (SERVFAIL, ServerFailed, "dns server error: 2 server failure"),
    ],
)
def test_failures_are_typed_and_worded_as_kong_does(setup, response, error, message):
    table = {("a.test", A): response} if response else {}
    it = setup(table, order=("A",))
    found = it.get("a.test")

    assert (type(found), str(found)) == (error, message)
    assert found.tried == (("a.test:A", message),)


def test_a_failure_is_remembered_for_its_time_and_raised_at_once(setup):
    it = setup(order=("A",), not_found_ttl=30)
    it.get("a.test")
    it.clock.advance(29.9)

    with pytest.raises(NameNotFound):
        it.resolver.resolve("a.test")
    assert it.servers.asked["a.test", A] == 1
    it.clock.advance(0.2)
    it.get("a.test")
    assert it.servers.asked["a.test", A] == 2


def test_server_failures_and_silence_are_remembered_for_the_error_ttl(setup):
    it = setup({("a.test", A): SERVFAIL}, order=("A",), error_ttl=1)
    it.get("a.test")
    it.servers.down = True
    it.get("b.test")
    it.clock.advance(0.9)

    assert isinstance(it.get("a.test"), ServerFailed)
    assert isinstance(it.get("b.test"), ServersUnreachable)
    assert it.servers.asked == {("a.test", A): 1, ("b.test", A): 1}
    it.clock.advance(0.2)
    it.get("b.test")
    assert it.servers.asked["b.test", A] == 2


def test_when_no_server_answers_other_types_are_not_tried(setup):
    it = setup()
    it.servers.down = True

    assert isinstance(it.get("a.test"), ServersUnreachable)
    assert it.servers.order == [("a.test", SRV)]


@pytest.mark.parametrize("name", ["a" * 64 + ".test", "bad..name", "ä.test", "a b", ""])
def test_what_cannot_be_asked_is_invalid(setup, name):
    it = setup()

    assert isinstance(it.get(name), InvalidName)
    assert it.servers.order == []


def test_many_askers_share_one_query(setup):
    it = setup({("a.test", A): a("a.test", "1.1.1.1")}, order=("A",))
    it.servers.held = []
    waiting = [it.resolver.resolve("a.test") for _ in range(50)]
    it.servers.release()

    assert it.servers.asked["a.test", A] == 1
    assert {d.result.records[0].address for d in waiting} == {"1.1.1.1"}


def test_with_no_sync_each_asks(setup):
    it = setup({("a.test", A): a("a.test", "1.1.1.1")}, order=("A",), no_sync=True)
    it.servers.held = []
    for _ in range(3):
        it.resolver.resolve("a.test")
    it.servers.release()

    assert it.servers.asked["a.test", A] == 3


def test_a_stale_answer_is_given_while_one_refresh_runs(setup):
    it = setup({("a.test", A): a("a.test", "1.1.1.1", ttl=10)}, order=("A",), stale_ttl=100)
    it.get("a.test")
    it.clock.advance(11)
    it.servers.table["a.test", A] = a("a.test", "2.2.2.2", ttl=10)
    it.servers.held = []
    during = [it.addresses("a.test") for _ in range(3)]
    it.servers.release()

    assert during == [["1.1.1.1"]] * 3
    assert it.addresses("a.test") == ["2.2.2.2"]
    assert it.servers.asked["a.test", A] == 2


def test_a_failing_refresh_keeps_the_stale_answer_and_waits_for_the_next(setup):
    it = setup({("a.test", A): a("a.test", "1.1.1.1", ttl=10)}, order=("A",), stale_ttl=100)
    it.get("a.test")
    it.clock.advance(11)
    it.servers.down = True
    during = [it.addresses("a.test") for _ in range(3)]
    it.clock.advance(1.1)
    it.addresses("a.test")

    assert during == [["1.1.1.1"]] * 3
    assert it.servers.asked["a.test", A] == 3


def test_after_the_stale_time_the_failure_shows(setup):
    it = setup({("a.test", A): a("a.test", "1.1.1.1", ttl=10)}, order=("A",), stale_ttl=100)
    it.get("a.test")
    it.servers.down = True
    it.clock.advance(111)

    assert isinstance(it.get("a.test"), ServersUnreachable)


def test_a_refresh_that_finds_the_name_gone_replaces_the_answer(setup):
    it = setup({("a.test", A): a("a.test", "1.1.1.1", ttl=10)}, order=("A",))
    it.get("a.test")
    it.servers.table.clear()
    it.clock.advance(11)
    it.get("a.test")

    assert isinstance(it.get("a.test"), NameNotFound)


def test_valid_ttl_replaces_the_records(setup):
    it = setup({("a.test", A): a("a.test", "1.1.1.1", ttl=10)}, valid_ttl=500)

    assert it.get("a.test").expires == 500


def test_ttl_zero_is_used_once_and_then_refreshed_behind_the_askers(setup):
    it = setup({("a.test", A): a("a.test", "1.1.1.1", ttl=0)}, order=("A",))
    it.get("a.test")
    it.get("a.test")

    assert it.servers.asked["a.test", A] == 2


def test_the_cache_is_bounded_and_the_least_recently_used_leaves(setup):
    it = setup(
        {(name, A): a(name, "1.1.1.1") for name in ("a.test", "b.test", "c.test")},
        order=("A",),
        cache_size=2,
    )
    for name in ("a.test", "b.test", "a.test", "c.test"):
        it.get(name)
    sizes = (len(it.resolver._entries), len(it.resolver._lookup._sets))
    it.resolver.resolve("a.test")

    assert sizes == (2, 2)
    assert "b.test" not in it.resolver._entries


def test_hosts_come_first_in_the_preferred_family(setup, tmp_path):
    (tmp_path / "hosts").write_text("10.0.0.1 h.test\n::5 h.test only6.test\n")

    assert setup().addresses("h.test") == ["10.0.0.1"]
    assert setup(order=("AAAA", "A")).addresses("H.test.") == ["::5"]
    assert setup(order=("A",)).addresses("only6.test") == ["::5"]
    assert setup().addresses("localhost") == ["127.0.0.1"]


def test_the_hosts_file_holds_for_suffixed_names_too(setup, tmp_path):
    (tmp_path / "hosts").write_text("10.0.0.1 db.corp.test")
    (tmp_path / "resolv.conf").write_text("search corp.test")

    assert setup().addresses("db") == ["10.0.0.1"]


def test_the_files_are_read_again_when_they_change(setup):
    it = setup({("db.new.test", A): a("db.new.test", "1.1.1.1")}, reread=5)
    it.resolver.startService()
    before = [it.addresses("localhost"), type(it.get("db")), type(it.get("h.test"))]
    it.hosts.write_text("10.0.0.1 h.test localhost")
    it.conf.write_text("search new.test")
    it.clock.advance(5)

    assert before == [["127.0.0.1"], NameNotFound, NameNotFound]
    assert it.addresses("localhost") == ["10.0.0.1"]
    assert it.addresses("h.test") == ["10.0.0.1"]
    assert it.addresses("db") == ["1.1.1.1"]
    it.resolver.stopService()
    assert it.clock.getDelayedCalls() == []


def test_a_changed_hosts_file_holds_for_names_that_led_to_it_by_a_suffix(setup):
    it = setup({("a.test", A): a("a.test", "1.1.1.1")}, order=("A",))
    it.conf.write_text("search corp.test")
    it.hosts.write_text("10.0.0.1 db.corp.test")
    it.resolver.reread()
    before = [it.addresses("db"), it.addresses("a.test")]
    it.hosts.write_text("10.0.0.22 db.corp.test")
    it.resolver.reread()

    assert before == [["10.0.0.1"], ["1.1.1.1"]]
    assert it.addresses("db") == ["10.0.0.22"]
    assert it.addresses("a.test") == ["1.1.1.1"]
    assert it.servers.asked["a.test", A] == 1


def test_to_ip_turns_over_the_addresses(setup):
    it = setup({("a.test", A): a("a.test", "1.1.1.1", "1.1.1.2")})
    first = it.resolver.to_ip("a.test", 80)

    taken = [first.result] + [it.resolver.to_ip("a.test", 80) for _ in range(3)]

    assert sorted(taken) == [("1.1.1.1", 80)] * 2 + [("1.1.1.2", 80)] * 2
    assert taken[0] == taken[2] != taken[1]


def test_to_ip_takes_services_by_priority_weight_and_port(setup):
    it = setup(
        {
            ("s.test", SRV): srv(
                "s.test", (1, 3, 81, "1.1.1.1"), (1, 1, 82, "1.1.1.2"), (9, 9, 83, "1.1.1.3")
            )
        }
    )
    it.get("s.test")

    taken = sorted(it.resolver.to_ip("s.test", 80) for _ in range(8))

    assert taken == [("1.1.1.1", 81)] * 6 + [("1.1.1.2", 82)] * 2


def test_to_ip_fails_as_resolve_does(setup):
    it = setup(order=("A",))
    it.get("a.test")

    with pytest.raises(NameNotFound):
        it.resolver.to_ip("a.test", 80)


def test_the_new_client_asks_for_services_only_by_service_names(setup):
    it = setup(
        {
            ("_h._tcp.s.test", SRV): srv("_h._tcp.s.test", (1, 1, 81, "1.1.1.1")),
            ("a.test", A): a("a.test", "1.1.1.1"),
        },
        order=("A", "SRV"),
        srv_by_name=True,
    )

    assert it.addresses("_h._tcp.s.test") == ["1.1.1.1"]
    assert it.addresses("a.test") == ["1.1.1.1"]
    assert it.servers.order == [("_h._tcp.s.test", SRV), ("a.test", A)]


def test_statistics_tell_what_happened_to_a_name(setup):
    it = setup({("a.test", A): a("a.test", "1.1.1.1", ttl=10)}, order=("A",))
    it.get("a.test")
    it.get("a.test")
    it.clock.advance(11)
    it.get("a.test")
    it.get("gone.test")

    assert it.resolver.statistics() == {
        "a.test|A/AAAA": {"runs": 3, "miss": 1, "hit_lru": 1, "hit_stale": 1, "stale": 1},
        "a.test|A": {"query": 2, "query_succ": 2, "query_last_time": 0},
        "gone.test|A/AAAA": {"runs": 1, "miss": 1, "fail": 1},
        "gone.test|A": {"query": 1, "query_fail:name error": 1, "query_last_time": 0},
    }


def test_flush_forgets_everything(setup):
    it = setup({("a.test", A): a("a.test", "1.1.1.1")}, order=("A",))
    it.get("a.test")
    it.resolver.flush()
    it.get("a.test")

    assert it.servers.asked["a.test", A] == 2
