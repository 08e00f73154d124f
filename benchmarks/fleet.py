"""How large a fleet of nodes on one PostgreSQL server may be.

Run C{python -m benchmarks.fleet} for the simulation with the costs below, with C{--measure} to take
them from a server that is started for it (processor time, so other programs matter little).

The simulation: nodes, each a reader and some workers; writes come at random; the database serves
one statement after another on some processors. A write wakes every node, at most each 20 ms; the
node reads the log, then each of its workers reads what changed and makes its snapshot. What is
told is the time from the commit until all workers of all nodes serve by it, how busy the database
is with all this, and how busy each worker is.
"""

from __future__ import annotations

import heapq
import os
import random
import sys
import time
from bisect import bisect_left
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import attrs

from kongtx.cluster.events import OVERLAP, SPACING, WOKEN_OVERLAP

#: Seconds that a packet is on its way, in one data centre.
NETWORK = 0.0003


@attrs.frozen
class Costs:
    """Seconds of a processor.

    @ivar write: of the database for a write that is announced.
    @ivar poll: of the database for reading the log.
    @ivar event: of the database for each event that was read.
    @ivar select: of the database for reading one entity.
    @ivar heard: of the reading worker for each event that it reads, known or not.
    @ivar apply: of every worker for a change, with 1 000 routes.
    """

    write: float = 140e-6
    poll: float = 60e-6
    event: float = 1e-6
    select: float = 10e-6
    heard: float = 2e-6
    apply: float = 156e-6


@attrs.frozen
class Outcome:
    """What a simulation found.

    @ivar busy: the part of its processors' time that the database needs.
    @ivar worker_busy: the part of a worker's time that changes need.
    """

    median: float
    slowest: float
    busy: float
    worker_busy: float


def steady(
    nodes: int, workers: int, rate: float, costs: Costs, frequency: float = 5.0
) -> tuple[float, float]:
    """By arithmetic: seconds of processors a second, of the database and of a reading worker."""
    reads = min(rate, 1 / SPACING)
    seen = reads * WOKEN_OVERLAP * rate + OVERLAP * rate / frequency
    log = nodes * ((reads + 1 / frequency) * costs.poll + seen * costs.event)
    changes = nodes * workers * rate * costs.select
    return rate * costs.write + log + changes, rate * costs.apply + seen * costs.heard


class Database:
    """Serves statements in turn on some processors; C{spent} counts the seconds."""

    def __init__(self, processors: int) -> None:
        self._free = [0.0] * processors
        self.spent = 0.0

    def serve(self, now: float, cost: float) -> float:
        """When a statement that comes now is done."""
        begin = max(now, heapq.heappop(self._free))
        heapq.heappush(self._free, begin + cost)
        self.spent += cost
        return begin + cost


class Fleet:
    """Nodes and their workers, by simulated time."""

    def __init__(self, nodes: int, workers: int, costs: Costs, database: Database) -> None:
        self._workers = workers
        self._costs = costs
        self._database = database
        self._queue: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._order = 0
        self._next_read = [0.0] * nodes
        self._is_due = [False] * nodes
        self._known = [0] * nodes
        self._served = [[0.0] * workers for _ in range(nodes)]
        self.commits: list[float] = []
        self.over: list[float] = []

    def at(self, when: float, do: Callable[..., None], *args: Any) -> None:
        """Do something at a time, with the time."""
        self._order += 1
        heapq.heappush(self._queue, (when, self._order, do, args))

    def run(self) -> None:
        """Until nothing is left to do."""
        while self._queue:
            now, _, do, args = heapq.heappop(self._queue)
            do(now, *args)

    def write(self, now: float) -> None:
        """A write reaches the database."""
        self.at(self._database.serve(now, self._costs.write), self._commit)

    def _commit(self, now: float) -> None:
        self.commits.append(now)
        self.over.append(now)
        for node, due in enumerate(self._is_due):
            if not due:
                self._is_due[node] = True
                self.at(max(now + NETWORK, self._next_read[node]) + NETWORK, self._read, node)

    def poll(self, now: float, node: int) -> None:
        """A node looks, though nobody woke it."""
        self._database.serve(now, self._reading(now, OVERLAP))

    def _reading(self, now: float, overlap: float) -> float:
        recent = len(self.commits) - bisect_left(self.commits, now - overlap)
        return self._costs.poll + recent * self._costs.event

    def _read(self, now: float, node: int) -> None:
        self._is_due[node] = False
        done = self._database.serve(now, self._reading(now, WOKEN_OVERLAP)) + NETWORK
        self._next_read[node] = done + SPACING
        fresh, self._known[node] = range(self._known[node], len(self.commits)), len(self.commits)
        recent = len(self.commits) - bisect_left(self.commits, now - WOKEN_OVERLAP)
        handed = done + recent * self._costs.heard
        for worker in range(self._workers):
            for index in fresh:
                self.at(handed + NETWORK, self._select, node, worker, index)

    def _select(self, now: float, node: int, worker: int, index: int) -> None:
        got = self._database.serve(now, self._costs.select) + NETWORK
        ready = max(got, self._served[node][worker]) + self._costs.apply
        self._served[node][worker] = ready
        self.over[index] = max(self.over[index], ready)


def simulate(
    nodes: int,
    workers: int,
    rate: float,
    costs: Costs,
    seconds: float = 20.0,
    processors: int = 4,
    seed: int = 1,
) -> Outcome:
    """Some time of a fleet."""
    chance = random.Random(seed)
    database = Database(processors)
    fleet = Fleet(nodes, workers, costs, database)
    begins = 0.0
    while (begins := begins + chance.expovariate(rate)) < seconds:
        fleet.at(begins, fleet.write)
    for node in range(nodes):
        first = chance.uniform(0, 5)
        for turn in range(int((seconds - first) / 5) + 1):
            fleet.at(first + 5 * turn, fleet.poll, node)
    fleet.run()
    took = sorted(end - commit for end, commit in zip(fleet.over, fleet.commits, strict=True))
    _, worker_busy = steady(nodes, workers, rate, costs)
    busy = database.spent / seconds / processors
    return Outcome(took[len(took) // 2], took[-1], busy, worker_busy)


async def measured(reactor: Any, folder: Path) -> Costs:
    """The costs on this machine."""
    from kongtx.db.clusterlog import Broadcast  # noqa: PLC0415
    from kongtx.testing.gateway import GatewayUnderTest  # noqa: PLC0415
    from tests.postgres_server import PostgresServer  # noqa: PLC0415
    from tests.runtime.fleets import set_up  # noqa: PLC0415

    server = PostgresServer()
    server.make()
    server.start()
    try:
        properties = server.create_database().properties()
        await set_up(properties)
        gateway = await GatewayUnderTest.start(reactor, prefix=str(folder), **properties)
        store, connector = gateway.store, gateway.store.primary
        log: Any = connector
        routes = [{"name": f"r{number}", "paths": [f"/{number}"]} for number in range(1000)]
        await store.add({"routes": routes})
        rows = [row async for row in store["routes"].each()]

        async def server_time(work: Callable[[int], Awaitable[object]], count: int = 300) -> float:
            began = _processor_time(server)
            for number in range(count):
                await work(number)
            return (_processor_time(server) - began) / count

        write = await server_time(lambda n: store["consumers"].insert({"username": f"u{n}"}), 1000)
        select = await server_time(lambda n: store["routes"].select(rows[n]["id"]), 1000)
        now = (await log.events_after(None)).now
        poll = await server_time(lambda n: log.events_after(now), 1000)
        events = [Broadcast("x", "y" * 150) for _ in range(1000)]
        await log.append_events(events, "node", 600)
        began = time.process_time()
        event = await server_time(lambda n: log.events_after(now), 100)
        heard = (time.process_time() - began) / 100 / len(events)
        keeper = gateway.node.keeper
        began = time.process_time()
        for row in rows[:300]:
            await keeper.changed([("routes", row["id"])])
        apply = (time.process_time() - began) / 300
        await gateway.stop()
    finally:
        server.remove()
    return Costs(write, poll, max(0.0, event - poll) / len(events), select, heard, apply)


def _processor_time(server: Any) -> float:
    """Seconds of a processor that a server's processes have used."""
    tick = os.sysconf("SC_CLK_TCK")
    total = 0
    pids = [server._process.pid]
    pids += map(int, Path(f"/proc/{pids[0]}/task/{pids[0]}/children").read_text().split())
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        total += sum(map(int, fields[11 : 15 if pid == pids[0] else 13]))
    return total / tick


def report(costs: Costs) -> None:
    """Print the figures of some fleets."""
    for field, value in attrs.asdict(costs).items():
        print(f"{field:8}{value * 1e6:8.0f} us")
    print("\nnodes  workers  writes/s   median  slowest  database  worker")
    for nodes, workers, rate in (
        (3, 2, 1),
        (3, 2, 50),
        (10, 4, 1),
        (10, 4, 50),
        (50, 4, 1),
        (50, 4, 10),
        (50, 4, 50),
        (200, 4, 1),
        (200, 4, 10),
        (500, 4, 1),
    ):
        found = simulate(nodes, workers, rate, costs)
        print(
            f"{nodes:5}  {workers:7}  {rate:8}  {found.median * 1000:4.0f} ms "
            f"{found.slowest * 1000:5.0f} ms   {found.busy:6.1%}  {found.worker_busy:6.1%}"
        )


def main() -> None:
    """Measure, if asked to, and simulate."""
    costs = Costs()
    if "--measure" in sys.argv:
        import tempfile  # noqa: PLC0415

        from twisted.internet import reactor  # noqa: PLC0415

        from kongtx.cli.database import run  # noqa: PLC0415

        with tempfile.TemporaryDirectory() as folder:
            costs = run(lambda _: measured(reactor, Path(folder)))
    report(costs)


if __name__ == "__main__":
    main()
