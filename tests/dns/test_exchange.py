"""Over real sockets, against servers that misbehave."""

from random import Random

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.internet.task import deferLater
from twisted.logger import LogLevel, formatEvent, globalLogPublisher
from twisted.names import dns
from zope.interface.verify import verifyObject

from kongtx.dns.errors import ServersUnreachable
from kongtx.dns.exchange import Exchanger
from kongtx.dns.interfaces import IExchanger
from kongtx.dns.message import Response
from kongtx.dns.records import A

from .servers import OddServer, free_port, reply


@pytest.fixture
def start():
    servers = []

    def make(rule, **kw):
        servers.append(OddServer(rule, **kw))
        return servers[-1]

    yield make
    for server in servers:
        pytest_twisted.blockon(Deferred.fromCoroutine(server.stop()))


def _good(address="1.2.3.4"):
    return lambda query, transport: reply(query, dns.Record_A(address))


def _exchanger(*servers, **kw):
    kw.setdefault("timeout", 0.15)
    kw.setdefault("random", Random(1))
    return Exchanger(reactor, [getattr(server, "address", server) for server in servers], **kw)


def _addresses(response):
    return [data.value for data in response.answers]


@pytest_twisted.ensureDeferred
async def test_a_question_is_answered_over_udp(start):
    server = start(_good())
    exchanger = _exchanger(server)
    verifyObject(IExchanger, exchanger)

    response = await exchanger.ask("a.test", A)

    assert _addresses(response) == ["1.2.3.4"]
    assert [transport for transport, _, _ in server.queries] == ["udp"]


@pytest_twisted.ensureDeferred
async def test_ids_and_source_ports_differ_between_queries(start):
    server = start(_good())
    exchanger = _exchanger(server, random=None)

    await gatherResults([exchanger.ask("a.test", A) for _ in range(20)])

    assert len({query.id for _, query, _ in server.queries}) >= 19
    assert len({address[1] for _, _, address in server.queries}) == 20


@pytest_twisted.ensureDeferred
async def test_queries_leave_nothing_in_the_log(start):
    server = start(_good())
    told = []
    globalLogPublisher.addObserver(told.append)
    try:
        await _exchanger(server).ask("a.test", A)
        with pytest.raises(ServersUnreachable):
            await _exchanger(("127.0.0.1", free_port()), attempts=1).ask("a.test", A)
    finally:
        globalLogPublisher.removeObserver(told.append)
    assert [formatEvent(event) for event in told if event["log_level"] > LogLevel.debug] == []


@pytest_twisted.ensureDeferred
async def test_a_truncated_answer_is_asked_for_again_over_tcp(start):
    many = [dns.Record_A(f"10.0.{n // 250}.{n % 250}") for n in range(1000)]
    server = start(lambda q, t: reply(q, trunc=1) if t == "udp" else reply(q, *many))

    response = await _exchanger(server).ask("a.test", A)

    assert len(response.answers) == 1000
    assert [transport for transport, _, _ in server.queries] == ["udp", "tcp"]


@pytest_twisted.ensureDeferred
async def test_tcp_alone_is_used_when_asked_for(start):
    server = start(_good())

    await _exchanger(server, use_tcp=True).ask("a.test", A)

    assert [transport for transport, _, _ in server.queries] == ["tcp"]


@pytest_twisted.ensureDeferred
async def test_forged_answers_before_the_true_one_do_no_harm(start):
    def rule(query, transport):
        other = dns.Query(b"b.test", A, dns.IN)
        return [
            b"nonsense",
            reply(query, dns.Record_A("6.6.6.6"), id=query.id ^ 1),
            reply(query, dns.Record_A("6.6.6.6"), queries=[other]),
            reply(query, dns.Record_A("6.6.6.6"), answer=0),
            reply(query, dns.Record_A("1.2.3.4")),
        ]

    assert _addresses(await _exchanger(start(rule)).ask("a.test", A)) == ["1.2.3.4"]


@pytest_twisted.ensureDeferred
async def test_an_answer_from_another_address_is_not_heard(start):
    stranger = start(lambda query, transport: None)
    target = {}

    def rule(query, transport):
        # The stranger's socket sends the forgery to the asker's port.
        stranger.transport.write(reply(query, dns.Record_A("6.6.6.6")), server.queries[-1][2])
        target["asked"] = True

    server = start(rule)

    with pytest.raises(ServersUnreachable, match="timeout"):
        await _exchanger(server, attempts=1).ask("a.test", A)
    assert target == {"asked": True}


@pytest_twisted.ensureDeferred
async def test_a_silent_server_is_followed_by_the_next(start):
    silent, good = start(lambda query, transport: None), start(_good())

    response = await _exchanger(silent, good).ask("a.test", A)

    assert _addresses(response) == ["1.2.3.4"]
    assert len(silent.queries) == 1


@pytest_twisted.ensureDeferred
async def test_a_closed_port_is_noticed_without_waiting_for_the_timeout(start):
    good = start(_good())
    closed = ("127.0.0.1", free_port())

    response = await _exchanger(closed, good, timeout=30).ask("a.test", A)

    assert _addresses(response) == ["1.2.3.4"]


@pytest.mark.parametrize("code", [2, 4, 5])
@pytest_twisted.ensureDeferred
async def test_a_server_that_cannot_help_is_followed_by_the_next(start, code):
    bad, good = start(lambda q, t: reply(q, code=code)), start(_good())

    assert _addresses(await _exchanger(bad, good).ask("a.test", A)) == ["1.2.3.4"]


@pytest_twisted.ensureDeferred
async def test_when_no_server_can_help_the_last_answer_counts(start):
    servers = [start(lambda q, t, code=code: reply(q, code=code)) for code in (2, 5)]

    assert await _exchanger(*servers).ask("a.test", A) == Response(5)
    assert [len(server.queries) for server in servers] == [1, 1]


@pytest_twisted.ensureDeferred
async def test_no_such_name_is_final(start):
    first, second = start(lambda q, t: reply(q, code=3)), start(_good())

    assert await _exchanger(first, second).ask("a.test", A) == Response(3)
    assert second.queries == []


@pytest_twisted.ensureDeferred
async def test_a_server_that_does_not_know_edns_is_asked_without_it(start):
    server = start(
        lambda q, t: (
            dns.Message(q.id, answer=1, rCode=1).toStr()
            if q.additional
            else reply(q, dns.Record_A("1.2.3.4"))
        )
    )

    assert _addresses(await _exchanger(server).ask("a.test", A)) == ["1.2.3.4"]


@pytest_twisted.ensureDeferred
async def test_attempts_are_counted_and_the_error_names_the_servers(start):
    silent = start(lambda query, transport: None)
    closed = ("127.0.0.1", free_port())

    with pytest.raises(ServersUnreachable) as caught:
        await _exchanger(silent, closed, timeout=0.03, attempts=4).ask("a.test", A)

    assert len(silent.queries) == 2
    assert str(caught.value) == (
        f"dns server error: no answer for a.test: 127.0.0.1:{silent.port}: timeout after 0.03 s; "
        f"127.0.0.1:{closed[1]}: connection refused"
    )


@pytest_twisted.ensureDeferred
async def test_each_server_is_tried_even_with_fewer_attempts(start):
    silent, good = start(lambda query, transport: None), start(_good())

    await _exchanger(silent, good, attempts=1).ask("a.test", A)

    assert len(good.queries) == 1


@pytest.mark.parametrize(("rotate", "counts"), [(True, [2, 2]), (False, [4, 0])])
@pytest_twisted.ensureDeferred
async def test_rotation_spreads_the_first_question(start, rotate, counts):
    servers = [start(_good()), start(_good())]
    exchanger = _exchanger(*servers, rotate=rotate)

    for _ in range(4):
        await exchanger.ask("a.test", A)

    assert [len(server.queries) for server in servers] == counts


@pytest_twisted.ensureDeferred
async def test_an_ipv6_server_is_asked(start):
    server = start(_good(), interface="::1")

    assert _addresses(await _exchanger(server).ask("a.test", A)) == ["1.2.3.4"]


@pytest_twisted.ensureDeferred
async def test_a_stream_that_closes_or_stalls_is_no_answer(start):
    server = start(lambda q, t: reply(q, trunc=1) if t == "udp" else None)

    with pytest.raises(ServersUnreachable, match="over TCP"):
        await _exchanger(server, attempts=1).ask("a.test", A)


@pytest_twisted.ensureDeferred
async def test_a_cancelled_question_leaves_nothing_behind(start):
    silent = start(lambda query, transport: None)
    before = len(reactor.getDelayedCalls())
    waiting = _exchanger(silent, timeout=30).ask("a.test", A)

    waiting.cancel()

    with pytest.raises(CancelledError):
        await waiting
    await deferLater(reactor, 0.01)
    assert len(reactor.getDelayedCalls()) == before
    assert len(silent.queries) == 1


@pytest_twisted.ensureDeferred
async def test_without_servers_the_error_says_so():
    with pytest.raises(ServersUnreachable, match="there is no name server to ask"):
        await _exchanger().ask("a.test", A)
