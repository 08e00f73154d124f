"""Listening sockets."""

import os
import select
import socket

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol

from kongtx.conf import KeepAlive, Listen, from_values
from kongtx.runtime.errors import ListenError
from kongtx.runtime.listeners import ListenerSet, describe, inherit, wanted


@pytest.fixture
def open_set():
    opened = []

    def open_set(*listens, workers=2, before=None):
        wants = [("proxy", listen) for listen in listens]
        opened.append((before or ListenerSet()).changed(wants, workers))
        return opened[-1]

    yield open_set
    for each in opened:
        each.close()


def port_of(each):
    return each.getsockname()[1]


def local(**flags):
    return Listen("127.0.0.1", 0, **flags)


def test_a_configuration_wants_its_listeners_by_kind():
    conf = from_values(proxy_listen="127.0.0.1:1, 127.0.0.1:2", admin_listen="off")
    assert [(kind, listen.port) for kind, listen in wanted(conf)] == [
        ("proxy", 1),
        ("proxy", 2),
        ("status", 8007),
    ]


def test_one_socket_is_shared_by_all_workers(open_set):
    (bound,) = open_set(local()).bound
    assert len(bound.sockets) == 1
    assert bound.of_worker(0, 2) == bound.of_worker(1, 2) == bound.sockets


def test_with_reuseport_each_worker_has_its_own_on_the_same_port(open_set):
    (bound,) = open_set(local(reuseport=True), workers=3).bound
    assert len({port_of(each) for each in bound.sockets}) == 1
    assert [bound.of_worker(worker, 3) for worker in range(3)] == [
        (each,) for each in bound.sockets
    ]


def test_fewer_workers_take_over_the_sockets_of_those_that_are_no_more(open_set):
    before = open_set(local(reuseport=True), workers=3)
    (bound,) = open_set(local(reuseport=True), workers=2, before=before).bound
    first, second, third = before.bound[0].sockets
    assert bound.of_worker(0, 2) == (first, third)
    assert bound.of_worker(1, 2) == (second,)


def test_more_workers_get_more_sockets(open_set):
    before = open_set(local(reuseport=True), workers=1)
    (bound,) = open_set(local(reuseport=True), workers=2, before=before).bound
    assert bound.sockets[0] is before.bound[0].sockets[0]
    assert port_of(bound.sockets[1]) == port_of(bound.sockets[0])


def test_an_address_without_reuseport_stays_shared_when_it_is_asked_for_later(open_set):
    before = open_set(local(), workers=2)
    (bound,) = open_set(local(reuseport=True), workers=2, before=before).bound
    assert bound.sockets == before.bound[0].sockets
    assert bound.of_worker(1, 2) == bound.sockets


def test_addresses_that_stay_keep_their_sockets_and_others_are_closed(open_set):
    stays, goes = open_set(local(), local()).bound
    wants = Listen("127.0.0.1", port_of(stays.sockets[0]))
    # Port 0 is told apart by order alone, so give the first one its real port.
    first = ListenerSet([type(stays)("proxy", wants, stays.sockets), goes])
    second = first.changed([("proxy", wants)], 2)
    first.close(keep=second)
    assert second.bound[0].sockets[0].fileno() >= 0
    assert goes.sockets[0].fileno() == -1


def test_a_taken_port_is_named_and_nothing_is_left_open(open_set):
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        taken = Listen("127.0.0.1", port_of(holder))
        before = len(os.listdir("/proc/self/fd"))
        with pytest.raises(
            ListenError,
            match=rf"cannot listen on 127\.0\.0\.1:{taken.port} \(proxy_listen\): Address already",
        ):
            open_set(local(), taken)
        assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("ip", ["127.0.0.1", "0.0.0.0"])
def test_another_nodes_port_is_not_shared_by_reuseport(open_set, ip):
    (bound,) = open_set(Listen(ip, 0, reuseport=True)).bound
    taken = Listen("127.0.0.1", port_of(bound.sockets[0]), reuseport=True)
    with pytest.raises(ListenError, match="Address already in use"):
        open_set(taken)


def test_a_port_that_was_used_a_moment_ago_is_free(open_set):
    (bound,) = open_set(local(reuseport=True)).bound
    number = port_of(bound.sockets[0])
    with socket.create_connection(("127.0.0.1", number)):
        _accept_one(bound.sockets).close()
    for each in bound.sockets:
        each.close()
    (again,) = open_set(Listen("127.0.0.1", number, reuseport=True)).bound
    assert [port_of(each) for each in again.sockets] == [number, number]


def _accept_one(sockets):
    ready, _, _ = select.select(sockets, [], [], 10)
    return ready[0].accept()[0]


def test_a_failed_change_keeps_what_was_open(open_set):
    before = open_set(local())
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        with pytest.raises(ListenError):
            open_set(local(), Listen("127.0.0.1", port_of(holder)), before=before)
    assert before.bound[0].sockets[0].fileno() >= 0


def test_an_unknown_host_is_named():
    with pytest.raises(ListenError, match=r"no-such-host\.invalid:80 \(admin_listen\)"):
        ListenerSet().changed([("admin", Listen("no-such-host.invalid", 80))], 1)


@pytest.mark.parametrize(
    ("ip", "ipv6only", "expected"),
    # The kernel looks at it for the wildcard alone.
    [("::1", None, 1), ("::1", True, 1), ("::", False, 0)],
)
def test_an_ipv6_address_takes_ipv4_only_when_told(open_set, ip, ipv6only, expected):
    (bound,) = open_set(Listen(ip, 0, ipv6only=ipv6only)).bound
    assert bound.sockets[0].getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) == expected


def test_options_of_accepted_connections_are_set(open_set):
    keepalive = KeepAlive(True, 30, 5, 3)
    (bound,) = open_set(local(deferred=True, so_keepalive=keepalive)).bound
    (opened,) = bound.sockets
    assert opened.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
    tcp = [
        opened.getsockopt(socket.IPPROTO_TCP, option)
        for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
    ]
    assert tcp == [30, 5, 3]
    assert opened.getsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT) > 0


def test_a_worker_finds_its_sockets_by_the_description(open_set):
    flags = Listen(
        "127.0.0.1",
        0,
        ssl=True,
        http2=True,
        proxy_protocol=True,
        reuseport=True,
        backlog=64,
        so_keepalive=KeepAlive(True, 30),
    )
    bound = open_set(flags, local()).bound
    duplicates = {each: os.dup(each.fileno()) for entry in bound for each in entry.sockets}
    description = describe(bound, duplicates, (1, 2))
    first, second = inherit(description)
    assert (first.kind, first.listen) == ("proxy", flags)
    assert second.listen == local()
    assert [each.fileno() for each in first.sockets] == [duplicates[bound[0].sockets[1]]]
    assert first.address == bound[0].sockets[1].getsockname()
    for listener in (first, second):
        listener.sockets[0].close()
    os.close(duplicates[bound[0].sockets[0]])


@pytest_twisted.ensureDeferred
async def test_an_adopted_listener_accepts_until_it_is_stopped(open_set):
    (bound,) = open_set(local()).bound
    accepted = Deferred()

    class Accept(Protocol):
        def connectionMade(self):
            accepted.callback(None)
            self.transport.abortConnection()

    (listener,) = inherit(
        describe([bound], {bound.sockets[0]: os.dup(bound.sockets[0].fileno())}, (0, 1))
    )
    ports = listener.adopt(reactor, Factory.forProtocol(Accept))
    with socket.create_connection(listener.address):
        await accepted
    for port in ports:
        await port.stopListening()
    # The master's socket still queues connections: nothing is refused.
    with socket.create_connection(listener.address):
        pass
    listener.sockets[0].close()
