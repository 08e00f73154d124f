"""Batch queues."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import capturedLogs

from kongtx.plugins.queue import Queue, Queues, QueueSettings


class Collector:
    """Takes batches; fails as often as it is told, or waits."""

    def __init__(self, failures: int = 0) -> None:
        self.batches: list[list[bytes]] = []
        self.failures = failures
        self.gate: Deferred[None] | None = None

    async def __call__(self, batch: Sequence[bytes]) -> None:
        if self.gate is not None:
            await self.gate
        if self.failures:
            self.failures -= 1
            raise ConnectionError("collector is away")
        self.batches.append(list(batch))


def make(collector: Collector, clock: Clock | None = None, **settings: Any) -> Queue:
    return Queue("q", QueueSettings(**settings), collector, clock or Clock())


def texts(captured: list[Any]) -> list[str]:
    return [event["log_format"].format(**event) for event in captured]


def test_a_batch_of_one_is_sent_at_once() -> None:
    collector = Collector()
    queue = make(collector)
    queue.add(b"a")
    queue.add(b"b")
    assert collector.batches == [[b"a"], [b"b"]]


def test_a_batch_waits_until_it_is_whole_or_late() -> None:
    collector, clock = Collector(), Clock()
    queue = make(collector, clock, max_batch_size=3, max_coalescing_delay=2)
    for entry in (b"a", b"b"):
        queue.add(entry)
    clock.advance(1.9)
    assert collector.batches == []
    clock.advance(0.1)
    assert collector.batches == [[b"a", b"b"]]
    for entry in (b"c", b"d", b"e", b"f"):
        queue.add(entry)
    assert collector.batches == [[b"a", b"b"], [b"c", b"d", b"e"]]
    clock.advance(2)
    assert collector.batches[-1] == [b"f"]
    assert clock.getDelayedCalls() == []


def test_a_batch_that_failed_is_sent_again_with_growing_pauses() -> None:
    collector, clock = Collector(failures=3), Clock()
    queue = make(collector, clock, initial_retry_delay=1, max_retry_delay=3)
    with capturedLogs() as captured:
        queue.add(b"a")
        for pause in (1, 2):
            assert collector.batches == []
            clock.advance(pause)
        clock.advance(2.9)
        assert collector.batches == []
        clock.advance(0.1)
    assert collector.batches == [[b"a"]]
    assert texts(captured) == ["queue q: handler could not process entries: collector is away"] * 3


def test_what_cannot_be_sent_in_time_is_lost_and_the_rest_goes_on() -> None:
    collector, clock = Collector(failures=3), Clock()
    queue = make(collector, clock, initial_retry_delay=1, max_retry_time=5)
    with capturedLogs() as captured:
        queue.add(b"a")
        queue.add(b"b")
        clock.pump([1, 2])
    assert collector.batches == [[b"b"]]
    assert texts(captured)[-1] == (
        "queue q: could not send entries due to max_retry_time exceeded. 1 queue entries were lost"
    )


def test_a_full_queue_drops_its_oldest_and_says_so_once() -> None:
    collector, clock = Collector(), Clock()
    collector.gate = Deferred()
    queue = make(collector, clock, max_entries=5)
    with capturedLogs() as captured:
        for number in range(10):
            queue.add(b"%d" % number)
        assert len(queue) == 5
        collector.gate.callback(None)
    assert collector.batches == [[b"0"], [b"5"], [b"6"], [b"7"], [b"8"], [b"9"]]
    assert texts(captured) == [
        "queue q: queue at 80% capacity",
        "queue q: queue full, dropping old entries until processing is successful again",
        "queue q: queue resumed processing",
    ]


def test_bytes_are_bounded_too() -> None:
    collector = Collector()
    collector.gate = Deferred()
    queue = make(collector, max_bytes=10)
    with capturedLogs() as captured:
        queue.add(b"sent")
        for entry in (b"aaaa", b"bbbb", b"cccccc", b"far too long"):
            queue.add(entry)
        collector.gate.callback(None)
    assert collector.batches == [[b"sent"], [b"bbbb"], [b"cccccc"]]
    assert texts(captured) == [
        "queue q: byte capacity exceeded, 1 queue entries were dropped",
        "queue q: string to be queued is longer (12 bytes) than the queue's max_bytes (10 bytes)",
    ]


def test_without_a_limit_of_concurrency_each_entry_goes_alone() -> None:
    collector, clock = Collector(failures=1), Clock()
    queues = Queues(clock)
    settings = QueueSettings(concurrency_limit=-1, max_batch_size=10, initial_retry_delay=1)
    queues.add("q", settings, collector, b"a")
    queues.add("q", settings, collector, b"b")
    assert collector.batches == [[b"b"]]
    clock.advance(1)
    assert collector.batches == [[b"b"], [b"a"]]


@pytest.mark.parametrize(
    ("instance_name", "tag"), [(None, "[loud plugin 7]"), ("north", "[loud plugin 7 (north)]")]
)
def test_log_lines_tell_whose_queue_it_is(instance_name: str | None, tag: str) -> None:
    queues = Queues(Clock())
    row = {"name": "loud", "id": "7", "instance_name": instance_name}
    with capturedLogs() as captured:
        queues.add("q", QueueSettings(), Collector(failures=1), b"a", row)
    assert texts(captured) == [
        f"{tag} queue q: handler could not process entries: collector is away"
    ]


def test_closing_waits_for_entries_that_go_alone() -> None:
    collector, clock = Collector(failures=2), Clock()
    queues = Queues(clock)
    settings = QueueSettings(concurrency_limit=-1, initial_retry_delay=1)
    for entry in (b"a", b"b"):
        queues.add("q", settings, collector, entry)
    closed: list[Any] = []
    queues.close().addBoth(closed.append)
    assert (collector.batches, closed) == ([], [])
    clock.advance(1)
    assert collector.batches == [[b"a"], [b"b"]]
    assert len(closed) == 1


def test_closing_sends_what_is_left_at_once() -> None:
    collector, clock = Collector(), Clock()
    queues = Queues(clock)
    settings = QueueSettings(max_batch_size=100, max_coalescing_delay=60)
    for entry in (b"a", b"b"):
        queues.add("q", settings, collector, entry)
    closed: list[Any] = []
    queues.close().addBoth(closed.append)
    assert collector.batches == [[b"a", b"b"]]
    assert len(closed) == 1
    assert clock.getDelayedCalls() == []


def test_closing_waits_for_what_is_being_sent() -> None:
    collector = Collector()
    collector.gate = Deferred()
    queue = make(collector)
    queue.add(b"a")
    closed: list[Any] = []
    queue.close().addBoth(closed.append)
    assert closed == []
    collector.gate.callback(None)
    assert len(closed) == 1


def test_queues_of_one_name_are_shared_with_the_settings_of_the_first() -> None:
    one, other, clock = Collector(), Collector(), Clock()
    queues = Queues(clock)
    queues.add("q", QueueSettings(max_batch_size=2), one, b"a")
    queues.add("q", QueueSettings(max_batch_size=9), other, b"b")
    assert (one.batches, other.batches) == ([], [[b"a", b"b"]])
    queues.add("q", QueueSettings(), one, b"c")
    assert one.batches == [[b"c"]]


@pytest.mark.parametrize("given", [{}, {"max_bytes": None, "unknown": 1, "max_batch_size": None}])
def test_settings_of_a_configuration(given: dict[str, Any]) -> None:
    assert QueueSettings.of(given) == QueueSettings()
    assert QueueSettings.of({**given, "max_entries": 7}).max_entries == 7
