"""The event bus: how long an event takes to reach every worker, and how many a second get through.

Workers are processes; the broker runs in this one, as in the master.

    python -m benchmarks.events [--workers 4] [--events 5000] [--size 100]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import deferLater, react

from kongtx.events.broker import EventBroker
from kongtx.events.bus import EventBus

reactor: Any = _reactor
#: Events of which the latency is taken, one after the other.
PROBES = 300
#: Events under way at a time while throughput is measured.
WINDOW = 200


def worker(path: str, worker_id: int) -> None:
    """A worker: confirms probes, counts the rest and says when it has seen the last."""
    bus = EventBus(reactor, path, worker_id)
    seen = [0]

    def probe(data: Any, channel: str, event: str, sender: int) -> None:
        bus.call("seen", data)

    def count(data: Any, channel: str, event: str, sender: int) -> None:
        seen[0] += 1
        if data["last"]:
            bus.call("counted", seen[0])

    bus.subscribe("bench", "probe", probe)
    bus.subscribe("bench", "load", count)
    bus.subscribe("bench", "stop", lambda *_: reactor.callLater(0, reactor.stop))
    bus.startService()
    reactor.run()


class Bench:
    """The broker's side."""

    def __init__(self, path: str, workers: int) -> None:
        self.workers = workers
        self.broker = EventBroker(reactor, path)
        self.broker.serve("seen", self.answered)
        self.broker.serve("counted", self.answered)
        self.waiting = 0
        self.done: Deferred[None] = Deferred()

    def answered(self, data: Any, peer: object) -> None:
        """A worker has seen what it waited for."""
        self.waiting -= 1
        if self.waiting == 0:
            self.done.callback(None)

    def expect(self) -> Deferred[None]:
        """Fires when every worker has answered."""
        self.waiting, self.done = self.workers, Deferred()
        return self.done

    async def latency(self) -> list[float]:
        """Microseconds from publishing until the last worker's answer is back, for each probe."""
        took = []
        for number in range(PROBES):
            all_seen = self.expect()
            start = time.perf_counter()
            await self.broker.publish("bench", "probe", number)
            await all_seen
            took.append((time.perf_counter() - start) * 1e6)
        return took

    async def throughput(self, bus: EventBus, events: int, text: str) -> float:
        """Seconds for a worker's events to have been seen by every worker."""
        all_counted = self.expect()
        start = time.perf_counter()
        for first in range(0, events, WINDOW):
            numbers = range(first, min(first + WINDOW, events))
            await gatherResults(
                [
                    bus.publish("bench", "load", {"text": text, "last": number == events - 1})
                    for number in numbers
                ]
            )
        await all_counted
        return time.perf_counter() - start


async def main(workers: int, events: int, size: int) -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "events.sock")
        bench = Bench(path, workers)
        bench.broker.startService()
        command = [sys.executable, __file__, "--path", path, "--worker"]
        processes = [subprocess.Popen([*command, str(n)]) for n in range(workers)]
        while len(bench.broker.peers()) < workers:
            await deferLater(reactor, 0.01)
        sender = EventBus(reactor, path, workers)
        sender.startService()
        await sender.when_connected()
        took = sorted(await bench.latency())
        seconds = await bench.throughput(sender, events, "x" * size)
        await bench.broker.publish("bench", "stop")
        await sender.stopService()
        for process in processes:
            process.wait()
        await bench.broker.stopService()
    report(workers, events, size, took, seconds)


def report(workers: int, events: int, size: int, took: list[float], seconds: float) -> None:
    """Print a line of JSON and one for people."""
    figures = {
        "benchmark": "events",
        "workers": workers,
        "payload_bytes": size,
        "round_trip_us_p50": round(statistics.median(took)),
        "round_trip_us_p99": round(took[int(len(took) * 0.99) - 1]),
        "events_per_second": round(events / seconds),
        "deliveries_per_second": round(events * workers / seconds),
    }
    print(json.dumps(figures))
    print(
        f"{workers} workers: fan-out and answers in {figures['round_trip_us_p50']} us (median), "
        f"{figures['events_per_second']} events/s, each to every worker"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--events", type=int, default=5000)
    parser.add_argument("--size", type=int, default=100)
    parser.add_argument("--path", help=argparse.SUPPRESS)
    parser.add_argument("--worker", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker is not None:
        worker(arguments.path, arguments.worker)
    else:
        react(
            lambda _: Deferred.fromCoroutine(
                main(arguments.workers, arguments.events, arguments.size)
            )
        )
