"""The broker and its workers over real UNIX sockets."""

import os
import tempfile

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import deferLater
from zope.interface.verify import verifyObject

from kongtx.events.broker import EventBroker
from kongtx.events.bus import EventBus
from kongtx.events.errors import (
    BusClosedError,
    BusFullError,
    CallError,
    EventsError,
    PayloadError,
)
from kongtx.events.interfaces import IEventBus, ILeases, IMasterLink
from kongtx.events.leases import BusLeases, LeaseTable


class Node:
    """A broker and its workers, and what each of them heard on channel C{c}."""

    def __init__(self, directory):
        self.path = os.path.join(directory, "events.sock")
        self.broker = None
        self.buses = []
        self.heard = []

    def start_broker(self, **options):
        self.broker = EventBroker(reactor, self.path, **options)
        self.broker.startService()
        return self.broker

    async def worker(self, worker_id=None, wait=True, **options):
        number = len(self.buses) if worker_id is None else worker_id
        bus = EventBus(reactor, self.path, number, retry_policy=lambda _: 0.01, **options)
        heard = []
        bus.subscribe("c", None, lambda data, c, event, sender: heard.append((event, data, sender)))
        self.buses.append(bus)
        self.heard.append(heard)
        bus.startService()
        if wait:
            await bus.when_connected()
        return bus

    async def workers(self, count):
        return [await self.worker() for _ in range(count)]

    async def stop(self):
        await gatherResults([bus.stopService() for bus in self.buses if bus.running])
        if self.broker is not None and self.broker.running:
            await self.broker.stopService()


@pytest_twisted.async_yield_fixture()
async def node():
    with tempfile.TemporaryDirectory() as directory:
        node = Node(directory)
        yield node
        await node.stop()


async def until(condition, what="the condition"):
    for _ in range(400):
        if condition():
            return
        await deferLater(reactor, 0.005)
    raise AssertionError(f"{what} did not come true in 2 s")


def said(bus, *events):
    """The news of a bus about itself, as they come."""
    news = []
    bus.subscribe("bus", None, lambda data, channel, event, worker: news.append(event))
    return news


@pytest_twisted.ensureDeferred
async def test_they_provide_their_interfaces(node):
    verifyObject(IEventBus, node.start_broker())
    bus = await node.worker()
    verifyObject(IEventBus, bus)
    verifyObject(IMasterLink, bus)
    verifyObject(ILeases, BusLeases(bus))


@pytest_twisted.ensureDeferred
async def test_an_event_reaches_every_worker_and_the_sender(node):
    node.start_broker()
    first, *_ = await node.workers(3)
    await first.publish("c", "e", {"k": ["é", None, 1.5]})
    await until(lambda: all(node.heard))
    assert node.heard == [[("e", {"k": ["é", None, 1.5]}, 0)]] * 3


@pytest_twisted.ensureDeferred
async def test_every_worker_sees_the_same_order_and_each_senders_own(node):
    node.start_broker()
    buses = await node.workers(3)
    await gatherResults([bus.publish("c", "e", number) for number in range(100) for bus in buses])
    await until(lambda: all(len(heard) == 300 for heard in node.heard))
    assert node.heard[0] == node.heard[1] == node.heard[2]
    for sender in range(3):
        assert [data for _, data, who in node.heard[0] if who == sender] == list(range(100))


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize("size", [59_998, 59_999, 65_535, 65_536, 120_000, 1_000_000])
async def test_payloads_of_any_size_arrive_whole(node, size):
    node.start_broker()
    first, _ = await node.workers(2)
    text = "x" * size
    published = [first.publish("c", "large", text), first.publish("c", "after", 1)]
    await gatherResults(published)
    await until(lambda: all(len(heard) == 2 for heard in node.heard))
    assert node.heard == [[("large", text, 0), ("after", 1, 0)]] * 2


@pytest_twisted.ensureDeferred
async def test_the_master_takes_part_as_minus_one(node):
    broker = node.start_broker()
    (worker,) = await node.workers(1)
    heard = []
    broker.subscribe("c", "e", lambda data, c, e, sender: heard.append((data, sender)))
    await broker.publish("c", "e", "from the master")
    await worker.publish("c", "e", "from a worker")
    await until(lambda: len(node.heard[0]) == 2)
    assert node.heard[0] == [("e", "from the master", -1), ("e", "from a worker", 0)]
    assert heard == [("from the master", -1), ("from a worker", 0)]


@pytest_twisted.ensureDeferred
async def test_local_events_stay_local(node):
    node.start_broker()
    first, second = await node.workers(2)
    first.publish_local("c", "e", 1)
    assert node.heard == [[("e", 1, 0)], []]
    await second.publish("c", "done")
    await until(lambda: len(node.heard[1]) == 1)
    assert node.heard[1] == [("done", None, 1)]


@pytest_twisted.ensureDeferred
async def test_a_unique_event_goes_to_one_worker_once(node):
    node.start_broker()
    buses = await node.workers(4)
    await gatherResults([bus.publish("c", "once", 1, unique="key") for bus in buses])
    await gatherResults([bus.publish("c", "once", 2, unique="other") for bus in buses])
    await buses[0].publish("c", "end")
    await until(lambda: all(heard and heard[-1][0] == "end" for heard in node.heard))
    handled = [data for heard in node.heard for event, data, _ in heard if event == "once"]
    assert sorted(handled) == [1, 2]


@pytest_twisted.ensureDeferred
async def test_a_unique_key_works_again_after_its_window(node):
    node.start_broker(unique_window=0.05)
    (bus,) = await node.workers(1)
    await bus.publish("c", "e", 1, unique="key")
    await bus.publish("c", "e", 2, unique="key")
    await deferLater(reactor, 0.06)
    await bus.publish("c", "e", 3, unique="key")
    await until(lambda: len(node.heard[0]) == 2)
    assert [data for _, data, _ in node.heard[0]] == [1, 3]


@pytest_twisted.ensureDeferred
async def test_a_unique_event_without_workers_waits_for_the_next_one(node):
    broker = node.start_broker()
    await broker.publish("c", "once", 1, unique="key")
    await node.worker()
    await until(lambda: node.heard[0])
    assert node.heard[0] == [("once", 1, -1)]


@pytest_twisted.ensureDeferred
async def test_a_unique_event_is_handed_on_when_its_worker_goes_before_it_answers(node):
    broker = node.start_broker()
    dying, _ = await node.workers(2)

    def die(payload, channel, event, sender):
        dying._link.transport.abortConnection()
        dying._client.stopService()

    dying.came = die
    # The master hands a unique event to whoever connected first.
    await broker.publish("c", "once", 7, unique="key")
    await until(lambda: node.heard[1])
    assert node.heard == [[], [("once", 7, -1)]]


@pytest_twisted.ensureDeferred
async def test_events_published_before_the_broker_is_there_wait_in_order(node):
    bus = await node.worker(wait=False)
    published = [bus.publish("c", "e", number) for number in range(20)]
    await deferLater(reactor, 0.03)
    assert not any(deferred.called for deferred in published)
    node.start_broker()
    await gatherResults(published)
    await until(lambda: len(node.heard[0]) == 20)
    assert [data for _, data, _ in node.heard[0]] == list(range(20))


@pytest_twisted.ensureDeferred
async def test_workers_come_back_after_the_broker_restarted_and_say_so(node):
    broker = node.start_broker()
    first, second = await node.workers(2)
    news = said(first)
    await broker.stopService()
    await until(lambda: news == ["lost"])
    waiting = first.publish("c", "e", "while away")
    node.start_broker()
    await waiting
    await until(lambda: len(node.broker.peers()) == 2)
    await second.publish("c", "e", "after")
    await until(lambda: len(node.heard[0]) == 2)
    assert news == ["lost", "reconnected"]
    assert [data for _, data, _ in node.heard[0]] == ["while away", "after"]


@pytest_twisted.ensureDeferred
async def test_an_event_whose_answer_was_lost_is_taken_once(node):
    node.start_broker()
    first, _ = await node.workers(2)
    published = first.publish("c", "e", 1)
    # The event is on its way; its answer will find the connection gone.
    await until(lambda: node.heard[1], "the other worker's event")
    if not published.called:
        first._link.transport.abortConnection()
    again = first.publish("c", "e", 2)
    await gatherResults([published, again])
    await until(lambda: len(node.heard[1]) == 2)
    assert [data for _, data, _ in node.heard[1]] == [1, 2]


@pytest_twisted.ensureDeferred
async def test_an_event_sent_again_on_a_new_connection_is_taken_once(node):
    broker = node.start_broker()
    first, _ = await node.workers(2)
    await first.publish("c", "e", 1)
    # As after a lost answer: the broker has taken number 1, this end does not know.
    entry = first._outgoing("c", "e", "again", None)
    entry.sequence = 1
    first._pending.append(entry)
    first._link.transport.abortConnection()
    await entry.done
    await first.publish("c", "end")
    await until(lambda: node.heard[1][-1][0] == "end")
    assert [data for event, data, _ in node.heard[1] if event == "e"] == [1]
    assert len(broker.peers()) == 2


@pytest_twisted.ensureDeferred
async def test_the_broker_tells_who_joined_and_who_left(node):
    broker = node.start_broker()
    news = []
    broker.subscribe("bus", None, lambda data, c, event, w: news.append((event, data["worker_id"])))
    bus = await node.worker(worker_id=5)
    assert [(peer.worker_id, peer.pid) for peer in broker.peers()] == [(5, os.getpid())]
    await bus.stopService()
    await until(lambda: len(news) == 2)
    assert news == [("joined", 5), ("left", 5)]
    assert broker.peers() == []


@pytest_twisted.ensureDeferred
async def test_a_bus_that_stops_first_waits_for_its_last_events(node):
    node.start_broker()
    first, _ = await node.workers(2)
    news = said(first)
    last = first.publish("c", "last", "x" * 200_000)
    await first.stopService()
    assert last.called
    await until(lambda: node.heard[1])
    assert node.heard[1] == [("last", "x" * 200_000, 0)]
    assert news == ["stopping"]
    with pytest.raises(BusClosedError):
        await first.publish("c", "e")


@pytest_twisted.ensureDeferred
async def test_a_bus_stopped_without_broker_fails_what_waits(node):
    bus = await node.worker(wait=False)
    waiting = bus.publish("c", "e")
    asked = bus.call("x")
    await bus.stopService()
    for deferred in (waiting, asked):
        with pytest.raises(BusClosedError):
            await deferred


@pytest_twisted.ensureDeferred
async def test_more_events_than_may_wait_are_refused(node):
    bus = await node.worker(wait=False, max_pending=2)
    kept = [bus.publish("c", "e", number) for number in range(2)]
    with pytest.raises(BusFullError, match="2 events wait"):
        await bus.publish("c", "e", 2)
    node.start_broker()
    await gatherResults(kept)


@pytest_twisted.ensureDeferred
async def test_what_cannot_travel_is_refused_and_harms_nothing(node):
    node.start_broker()
    (bus,) = await node.workers(1)
    with pytest.raises(PayloadError):
        await bus.publish("c", "e", object())
    with pytest.raises(PayloadError):
        await bus.publish("c" * 2000, "e")
    await bus.publish("c", "e", 1)
    await until(lambda: node.heard[0])
    assert node.heard[0] == [("e", 1, 0)]


@pytest_twisted.ensureDeferred
async def test_a_payload_over_the_brokers_limit_fails_and_the_next_event_is_taken(node):
    node.start_broker(max_payload=100_000)
    bus = await node.worker(wait=False)
    too_large = bus.publish("c", "e", "x" * 300_000)
    await bus.when_connected()
    with pytest.raises(PayloadError, match="longer than 100000 bytes"):
        await too_large
    with pytest.raises(PayloadError, match="at most 100000"):
        await bus.publish("c", "e", "x" * 100_000)
    await bus.publish("c", "e", 1)
    await until(lambda: node.heard[0])
    assert node.heard[0] == [("e", 1, 0)]


@pytest_twisted.ensureDeferred
async def test_calls_are_answered_either_way_with_large_data(node):
    broker = node.start_broker()
    (bus,) = await node.workers(1)
    broker.serve("echo", lambda data, peer: [peer.worker_id, data])

    async def answer(data, peer):
        return {"from": peer.worker_id, "data": data}

    bus.serve("back", answer)
    text = "y" * 300_000
    assert await bus.call("echo", text) == [0, text]
    assert await broker.call(broker.peers()[0], "back", text) == {"from": -1, "data": text}


@pytest_twisted.ensureDeferred
async def test_a_call_that_fails_names_the_call_and_the_reason(node, caplog_twisted):
    broker = node.start_broker()
    (bus,) = await node.workers(1)

    def fails(data, peer):
        raise ValueError("no such thing")

    broker.serve("fails", fails)
    with pytest.raises(CallError, match="fails: no such thing"):
        await bus.call("fails")
    with pytest.raises(CallError, match="nobody answers unknown"):
        await bus.call("unknown")
    broker.serve("works", lambda data, peer: True)
    assert await bus.call("works") is True


@pytest_twisted.ensureDeferred
async def test_calling_a_worker_that_is_gone_fails(node):
    broker = node.start_broker()
    (bus,) = await node.workers(1)
    (peer,) = broker.peers()
    await bus.stopService()
    await until(lambda: not broker.peers())
    with pytest.raises(EventsError, match=r"worker 0 .* is not connected"):
        await broker.call(peer, "x")


@pytest_twisted.ensureDeferred
async def test_one_worker_can_ask_all_and_gets_the_answers_of_those_that_have_one(node):
    broker = node.start_broker()
    buses = await node.workers(3)
    buses[0].serve("load", lambda data, peer: [data, 0])
    buses[2].serve("load", lambda data, peer: [data, 2])
    answers = await buses[1].gather("load", "x" * 100_000)
    told = [(each["worker_id"], each["pid"], each["answer"][1]) for each in answers]
    assert told == [(0, os.getpid(), 0), (2, os.getpid(), 2)]
    assert await broker.gather("load", 1) == [
        {"worker_id": 0, "pid": os.getpid(), "answer": [1, 0]},
        {"worker_id": 2, "pid": os.getpid(), "answer": [1, 2]},
    ]


@pytest_twisted.ensureDeferred
async def test_a_worker_that_does_not_answer_is_left_out(node, monkeypatch):
    monkeypatch.setattr("kongtx.events.broker.GATHER_TIMEOUT", 0.05)
    node.start_broker()
    first, second = await node.workers(2)
    first.serve("load", lambda data, peer: 1)
    second.serve("load", lambda data, peer: Deferred())
    answers = await first.gather("load")
    assert [each["answer"] for each in answers] == [1]


@pytest_twisted.ensureDeferred
async def test_a_call_waits_for_the_broker(node):
    bus = await node.worker(wait=False)
    asked = bus.call("echo", 1)
    node.start_broker().serve("echo", lambda data, peer: data)
    assert await asked == 1


@pytest_twisted.ensureDeferred
async def test_a_worker_that_does_not_read_is_cut_off_and_the_others_go_on(node, caplog_twisted):
    broker = node.start_broker(max_backlog=1_000_000)
    slow, quick = await node.workers(2)
    slow._link.transport.pauseProducing()
    for _ in range(60):
        await quick.publish("c", "e", "z" * 50_000)
    await until(lambda: len(node.heard[1]) == 60)
    assert any("has not read its events" in event["log_format"] for event in caplog_twisted)
    slow_link = slow._link
    if slow_link is not None:
        slow_link.transport.resumeProducing()
    await until(lambda: len(broker.peers()) == 2 and slow._link not in (None, slow_link))


@pytest_twisted.ensureDeferred
async def test_the_socket_can_be_used_by_its_owner_alone(node):
    node.start_broker()
    assert os.stat(node.path).st_mode & 0o777 == 0o600


def test_the_table_gives_a_name_to_one_holder_at_a_time():
    table = LeaseTable()
    assert table.acquire("n", "a")
    assert table.acquire("n", "a")
    assert not table.acquire("n", "b")
    assert not table.release("n", "b")
    assert table.release("n", "a")
    assert table.acquire("n", "b")
    assert table.acquire("m", "b")
    assert table.drop("a") == []
    assert sorted(table.drop("b")) == ["m", "n"]
    assert table.acquire("n", "a")


@pytest_twisted.ensureDeferred
async def test_a_lease_is_held_by_one_and_taken_over_when_its_worker_goes(node):
    node.start_broker()
    buses = await node.workers(3)
    held = [[] for _ in buses]
    BusLeases(buses[0]).hold("job", held[0].append)
    await until(lambda: held[0] == [True])
    for bus, told in zip(buses[1:], held[1:], strict=True):
        BusLeases(bus).hold("job", told.append)
    await deferLater(reactor, 0.02)
    assert held == [[True], [], []]
    await buses[0].stopService()
    await until(lambda: held[1] or held[2])
    await deferLater(reactor, 0.02)
    assert sorted(map(len, held[1:])) == [0, 1]


@pytest_twisted.ensureDeferred
async def test_a_lease_given_back_goes_to_another(node):
    node.start_broker()
    first, second = await node.workers(2)
    told = [[], []]
    give_back = BusLeases(first).hold("job", told[0].append)
    await until(lambda: told[0] == [True])
    BusLeases(second).hold("job", told[1].append)
    give_back()
    await until(lambda: told[1] == [True])
    assert told[0] == [True, False]


@pytest_twisted.ensureDeferred
async def test_a_lease_is_lost_with_the_connection_and_asked_for_again(node):
    broker = node.start_broker()
    (bus,) = await node.workers(1)
    told = []
    leases = BusLeases(bus)
    leases.hold("job", told.append)
    await until(lambda: told == [True])
    await broker.stopService()
    await until(lambda: told == [True, False])
    node.start_broker()
    await until(lambda: told == [True, False, True])
    leases.close()
    assert told[-1] is False


@pytest_twisted.ensureDeferred
async def test_one_worker_asks_for_a_name_once(node):
    node.start_broker()
    leases = BusLeases((await node.workers(1))[0])
    leases.hold("job", lambda held: None)
    with pytest.raises(EventsError, match="already asks for the lease job"):
        leases.hold("job", lambda held: None)
