"""Events between nodes: who hears what, and when."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.task import Clock
from zope.interface import implementer
from zope.interface.verify import verifyObject

from kongtx.cluster.events import (
    LIVES,
    LONG_AWAY,
    PURGE_INTERVAL,
    ClusterEvents,
    NoClusterEvents,
    life_of,
)
from kongtx.cluster.interfaces import IClusterEvents
from kongtx.db.errors import DatabaseError
from kongtx.events.interfaces import ILeases
from kongtx.events.local import LocalEventBus
from tests.cluster.log import MemoryLog


@implementer(ILeases)
class SharedLeases:
    """A lease that the workers of one test share: the first that still asks for it has it."""

    def __init__(self) -> None:
        self.bids: list[Callable[[bool], object]] = []

    def hold(self, name: str, tell: Callable[[bool], object]) -> Callable[[], None]:
        self.bids.append(tell)
        if len(self.bids) == 1:
            tell(True)
        return lambda: self.lose(tell)

    def lose(self, tell: Callable[[bool], object]) -> None:
        if tell not in self.bids:
            return
        first = self.bids[0] is tell
        self.bids.remove(tell)
        if first and self.bids:
            self.bids[0](True)

    def close(self) -> None:
        self.bids.clear()


class Node:
    """Some workers on one bus. C{heard} is what they heard: worker, data."""

    def __init__(self, log: MemoryLog, clock: Clock, workers: int = 1, **options: Any) -> None:
        self.log = log
        self.clock = clock
        self.bus = LocalEventBus(clock)
        self.leases = SharedLeases()
        self.heard: list[tuple[int, str]] = []
        self.resyncs = 0
        self.workers = [self.make(number, options) for number in range(workers)]

    def make(self, number: int, options: dict[str, Any]) -> ClusterEvents:
        events = ClusterEvents(
            self.log,
            "me",
            f"worker-{number}",
            self.bus,
            self.leases,
            self.clock,
            resync=self.resync,
            **{"frequency": 5.0, **options},
        )
        events.subscribe("all", lambda data: self.heard.append((number, data)))
        events.subscribe("one", lambda data: self.heard.append((number, data)), "node")
        ensureDeferred(events.begin())
        events.startService()
        return events

    def resync(self) -> None:
        self.resyncs += 1

    def pass_time(self, seconds: float) -> None:
        """Let both clocks go."""
        for _ in range(int(seconds * 10)):
            self.log.now += 0.1
            self.clock.advance(0.1)


@pytest.fixture
def log() -> MemoryLog:
    return MemoryLog()


@pytest.fixture
def node(log: MemoryLog, clock: Clock) -> Node:
    made = Node(log, clock)
    made.pass_time(0.2)
    return made


def test_both_kinds_provide_the_interface(node: Node) -> None:
    assert verifyObject(IClusterEvents, node.workers[0])
    assert verifyObject(IClusterEvents, NoClusterEvents())


def test_a_node_alone_tells_nobody() -> None:
    events = NoClusterEvents()
    heard: list[str] = []
    events.subscribe("all", heard.append)()
    assert events.broadcast("all", "x").called
    assert heard == []


def test_an_event_of_another_node_is_heard_at_the_next_poll(node: Node) -> None:
    node.log.leave("other", "all", "x")
    node.pass_time(4.5)
    assert node.heard == []
    node.pass_time(0.6)
    assert node.heard == [(0, "x")]
    node.pass_time(60)
    assert node.heard == [(0, "x")]


def test_a_woken_node_hears_at_once_and_asks_for_a_short_stretch(node: Node) -> None:
    node.log.leave("other", "all", "x")
    node.log.wake()
    node.clock.advance(0)
    assert node.heard == [(0, "x")]
    assert node.log.asked[-1] == pytest.approx(node.log.now - 1, abs=0.3)


def test_many_wakes_are_one_read(node: Node) -> None:
    before = len(node.log.asked)
    for _ in range(50):
        node.log.wake()
    node.clock.advance(0.02)
    node.clock.advance(0.02)
    assert len(node.log.asked) == before + 2


def test_an_event_that_is_committed_late_is_heard(node: Node) -> None:
    node.pass_time(20)
    node.log.leave("other", "all", "late", at=node.log.now - 4)
    node.pass_time(5)
    assert node.heard == [(0, "late")]


def test_what_happened_before_the_start_is_not_heard(log: MemoryLog, clock: Clock) -> None:
    log.leave("other", "all", "old", at=log.now - 100)
    node = Node(log, clock)
    node.pass_time(20)
    assert node.heard == []


def test_the_own_events_are_not_heard(node: Node) -> None:
    assert node.workers[0].broadcast("all", "x").called
    node.pass_time(10)
    assert [event.data for event in node.log.events] == ["x"]
    assert node.heard == []


def test_what_another_worker_wrote_is_heard_as_it_may_have_died(
    log: MemoryLog, clock: Clock
) -> None:
    node = Node(log, clock, workers=2)
    log.leave("worker-0", "one", "own")
    log.leave("worker-1", "one", "other's")
    log.leave("me", "one", "the node's")
    node.pass_time(6)
    assert node.heard == [(0, "other's")]


def test_what_this_worker_wrote_is_heard_for_a_while_after_an_answer_was_lost(node: Node) -> None:
    [events] = node.workers
    name = events._worker
    node.log.leave(name, "one", "known")
    node.pass_time(50)
    node.log.leave(name, "one", "in doubt")
    events.doubt()
    node.pass_time(0.2)
    assert node.heard == [(0, "in doubt")]
    node.log.leave(name, "one", "late")
    node.pass_time(10)
    assert node.heard == [(0, "in doubt"), (0, "late")]
    node.pass_time(60)
    node.log.leave(name, "one", "known, too")
    node.pass_time(60)
    assert node.heard == [(0, "in doubt"), (0, "late")]


def test_doubts_do_not_end_while_the_database_is_away(node: Node) -> None:
    node.log.is_away = True
    node.log.leave(node.workers[0]._worker, "one", "in doubt")
    node.workers[0].doubt()
    node.pass_time(20)
    node.log.is_away = False
    node.pass_time(5)
    assert node.heard == [(0, "in doubt")]


def test_an_event_waits_for_its_time_by_the_databases_clock(node: Node) -> None:
    node.log.leave("other", "all", "x", delay=8.0)
    node.pass_time(7.8)
    assert node.heard == []
    node.pass_time(0.4)
    assert node.heard == [(0, "x")]


def test_events_wait_for_the_replicas(log: MemoryLog, clock: Clock) -> None:
    node = Node(log, clock, propagation=3.0)
    node.workers[0].broadcast("all", "x")
    node.workers[0].broadcast("all", "y", 7.0)
    assert [event.not_before - event.at for event in log.events] == [3.0, 7.0]


def test_one_worker_reads_and_all_hear_or_one(log: MemoryLog, clock: Clock) -> None:
    node = Node(log, clock, workers=3)
    node.pass_time(1)
    asked = len(log.asked)
    log.leave("other", "all", "x")
    log.leave("other", "one", "y")
    node.pass_time(5)
    assert len(log.asked) == asked + 1
    assert sorted(node.heard) == [(0, "x"), (0, "y"), (1, "x"), (2, "x")]


def test_another_worker_goes_on_where_one_ended(log: MemoryLog, clock: Clock) -> None:
    node = Node(log, clock, workers=2)
    node.pass_time(7)
    log.leave("other", "all", "seen")
    node.pass_time(5)
    log.leave("other", "all", "between")
    node.workers[0].stopService()
    node.pass_time(0.2)
    assert node.heard[-1] == (1, "between")
    assert [data for _, data in node.heard] == ["seen", "seen", "between"]
    assert len(log.waking) == 1


def test_an_event_that_waited_in_a_worker_that_ended_is_heard(log: MemoryLog, clock: Clock) -> None:
    node = Node(log, clock, workers=2)
    log.leave("other", "one", "x", delay=12.0)
    node.pass_time(6)
    node.workers[0].stopService()
    node.pass_time(7)
    assert node.heard == [(1, "x")]


def test_what_a_worker_had_not_finished_when_it_ended_is_done_by_its_successor(
    log: MemoryLog, clock: Clock
) -> None:
    node = Node(log, clock, workers=2)
    begun: list[str] = []

    def begin(data: str) -> Deferred[None]:
        begun.append(data)
        return Deferred()

    node.workers[0].subscribe("slow", begin, "node")
    finished: list[str] = []
    node.workers[1].subscribe("slow", finished.append, "node")
    log.leave("other", "slow", "x")
    node.pass_time(60)
    assert (begun, finished) == (["x"], [])
    node.workers[0].stopService()
    node.pass_time(1)
    assert finished == ["x"]


def test_what_could_not_be_read_anew_is_read_later(node: Node) -> None:
    failing = [RuntimeError("no")]

    def resync() -> None:
        if failing:
            raise failing.pop()
        node.resync()

    node.workers[0]._resync = resync
    node.log.now += LIVES
    node.pass_time(5)
    assert node.resyncs == 0
    node.pass_time(10)
    assert node.resyncs == 1


def test_an_outage_brings_everything_anew_once(node: Node) -> None:
    node.log.is_away = True
    node.pass_time(30)
    assert node.resyncs == 0
    node.log.is_away = False
    node.log.leave("other", "all", "x")
    node.pass_time(20)
    assert node.resyncs == 1
    assert node.heard == [(0, "x")]


def test_after_a_long_outage_what_was_missed_is_not_read(node: Node) -> None:
    node.log.is_away = True
    node.pass_time(LONG_AWAY + 20)
    node.log.leave("other", "all", "missed")
    node.pass_time(1)
    node.log.is_away = False
    node.pass_time(10)
    assert node.resyncs == 1
    assert None in node.log.asked[-2:]


def test_a_node_that_slept_longer_than_events_live_begins_anew(node: Node) -> None:
    node.log.now += LIVES
    node.pass_time(10)
    assert node.resyncs == 1


def test_a_node_that_polls_seldom_misses_nothing(log: MemoryLog, clock: Clock) -> None:
    assert life_of(5.0, 0.0) == LIVES
    node = Node(log, clock, frequency=7200.0)
    node.pass_time(1)
    for turn in range(2):
        log.leave("other", "all", str(turn))
        log.now += 7200
        clock.advance(7200)
        node.pass_time(0.1)
    assert node.heard == [(0, "0"), (0, "1")]
    assert node.resyncs == 0


def test_a_clock_of_the_database_that_was_put_back_loses_nothing(node: Node) -> None:
    node.log.now -= 3600
    node.pass_time(6)
    assert node.resyncs == 1
    node.log.leave("other", "all", "x")
    node.pass_time(6)
    assert node.heard == [(0, "x")]


@pytest.mark.parametrize(
    ("seconds", "resyncs"),
    [(2, 0), (4.8, 0), (5.2, 1), (12, 1), (20, 1), (29, 1), (44, 1), (60, 1)],
)
def test_a_clock_that_was_put_back_a_little_hides_no_event(
    node: Node, seconds: float, resyncs: int
) -> None:
    node.pass_time(100)
    node.log.now -= seconds
    node.pass_time(0.1)
    node.log.leave("other", "all", "x")
    node.log.wake()
    node.pass_time(1)
    node.log.leave("other", "all", "y")
    node.pass_time(100)
    assert node.resyncs == resyncs
    if not resyncs:
        assert node.heard == [(0, "x"), (0, "y")]


def test_a_node_that_starts_during_an_outage_begins_anew_after_it(clock: Clock) -> None:
    log = MemoryLog()
    log.is_away = True
    node = Node(log, clock)
    node.pass_time(20)
    log.is_away = False
    node.pass_time(5)
    assert node.resyncs == 1


def test_old_events_are_removed_now_and_then(node: Node) -> None:
    node.pass_time(PURGE_INTERVAL * 2 + 1)
    assert node.log.purges == 2


def test_a_broadcast_during_an_outage_fails(node: Node) -> None:
    node.log.is_away = True
    failures: list[Any] = []
    sent: Deferred[None] = node.workers[0].broadcast("all", "x")
    sent.addErrback(failures.append)
    assert failures[0].check(DatabaseError)


def test_a_subscriber_that_fails_harms_no_other(node: Node) -> None:
    def fail(_: str) -> None:
        raise RuntimeError("no")

    node.workers[0].subscribe("one", fail, "node")
    heard: list[str] = []
    node.workers[0].subscribe("one", heard.append, "node")
    node.log.leave("other", "one", "x")
    node.pass_time(6)
    assert heard == ["x"]


def test_a_subscription_ends(node: Node) -> None:
    heard: list[str] = []
    end = node.workers[0].subscribe("one", heard.append, "node")
    end()
    node.log.leave("other", "one", "x")
    node.pass_time(6)
    assert heard == []


def test_a_stopped_node_reads_nothing(node: Node) -> None:
    node.workers[0].stopService()
    asked = len(node.log.asked)
    node.pass_time(20)
    assert len(node.log.asked) == asked
    assert node.log.waking == []
