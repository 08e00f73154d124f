"""The bus and the leases of a single process."""

import pytest
import pytest_twisted
from twisted.internet.task import Clock
from zope.interface.verify import verifyObject

from kongtx.events.errors import BusClosedError, CallError, EventsError, PayloadError
from kongtx.events.interfaces import IEventBus, ILeases, IMasterLink
from kongtx.events.local import LocalEventBus, LocalLeases


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def bus(clock):
    return LocalEventBus(clock)


def listen(bus, channel="c", event=None):
    heard = []
    bus.subscribe(channel, event, lambda data, c, e, w: heard.append((data, c, e, w)))
    return heard


def test_it_provides_the_interfaces(bus):
    verifyObject(IEventBus, bus)
    verifyObject(IMasterLink, bus)
    verifyObject(ILeases, LocalLeases())


def test_events_come_in_order_in_a_later_turn(bus, clock):
    heard = listen(bus)
    published = [bus.publish("c", "e", number) for number in range(3)]
    assert heard == []
    assert not any(deferred.called for deferred in published)
    clock.advance(0)
    assert heard == [(0, "c", "e", 0), (1, "c", "e", 0), (2, "c", "e", 0)]
    assert all(deferred.called for deferred in published)


def test_data_goes_through_json(bus, clock):
    heard = listen(bus)
    bus.publish("c", "e", {"t": (1, 2)})
    clock.advance(0)
    assert heard[0][0] == {"t": [1, 2]}


def test_local_events_are_delivered_at_once_with_the_very_object(bus):
    heard = listen(bus)
    thing = object()
    bus.publish_local("c", "e", thing)
    assert heard[0][0] is thing


def test_unique_events_are_delivered_once_in_the_window(bus, clock):
    heard = listen(bus)
    for _ in range(3):
        bus.publish("c", "e", 1, unique="k")
    clock.advance(1.9)
    bus.publish("c", "e", 2, unique="k")
    clock.advance(0.2)
    bus.publish("c", "e", 3, unique="k")
    clock.advance(0)
    assert [entry[0] for entry in heard] == [1, 3]


@pytest_twisted.ensureDeferred
async def test_data_that_json_cannot_hold_fails(bus):
    with pytest.raises(PayloadError):
        await bus.publish("c", "e", object())


@pytest_twisted.ensureDeferred
async def test_calls_are_answered_by_the_handler_that_serves_them(bus):
    async def double(data, peer):
        return [data, peer.worker_id]

    bus.serve("double", double)
    assert await bus.call("double", {"a": 1}) == [{"a": 1}, 0]
    with pytest.raises(CallError, match="nobody answers other"):
        await bus.call("other")


@pytest_twisted.ensureDeferred
async def test_a_closed_bus_delivers_what_waits_and_refuses_more(bus):
    heard = listen(bus)
    bus.publish("c", "e", 1)
    bus.close()
    assert [entry[0] for entry in heard] == [1]
    with pytest.raises(BusClosedError):
        await bus.publish("c", "e", 2)


def test_the_only_worker_holds_every_lease_until_it_gives_it_back():
    told = []
    leases = LocalLeases()
    give_back = leases.hold("n", told.append)
    give_back()
    give_back()
    leases.hold("m", told.append)
    leases.close()
    assert told == [True, False, True, False]


@pytest_twisted.ensureDeferred
async def test_asking_all_workers_asks_this_one(bus):
    bus.serve("double", lambda data, peer: data * 2)
    assert await bus.gather("double", 4) == [{"worker_id": 0, "pid": 0, "answer": 8}]
    assert await bus.gather("other") == []


def test_closed_leases_hold_nothing_more():
    told = []
    leases = LocalLeases()
    leases.close()
    leases.hold("n", told.append)()
    assert told == []


def test_one_worker_asks_for_a_name_once():
    leases = LocalLeases()
    leases.hold("n", lambda held: None)
    with pytest.raises(EventsError, match="already asks for the lease n"):
        leases.hold("n", lambda held: None)
