"""Several nodes that use one keyspace at once, and writers that die."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import DeferredList, ensureDeferred, gatherResults
from twisted.internet.threads import deferToThread

from kongtx.db import migrations
from kongtx.db.cassandra import CassandraConnector
from kongtx.db.paging import Query
from kongtx.db.writes import Delete, Increment, Insert
from tests.cassandra_server import CassandraServer
from tests.db.cassandra.conftest import KEYSPACE, Open, emptied, settings_of
from tests.db.conformance import (
    CATALOGUE,
    CHILDREN,
    COUNTS,
    PARENTS,
    RaceConformance,
    child,
    numbers,
    parent,
    uid,
)

pytestmark = pytest.mark.long

CORE = [migrations.Migration("core", "000_base"), migrations.Migration("core", "001_next")]


@pytest_twisted.ensureDeferred
async def test_nodes_may_set_up_one_keyspace_at_once(cassandra_server: CassandraServer) -> None:
    settings = settings_of(cassandra_server, keyspace="kongtx_setup")
    nodes = [CassandraConnector(settings, reactor) for _ in range(3)]
    ran: list[str] = []

    async def migrate(node: CassandraConnector) -> None:
        await node.start(CATALOGUE)
        async with migrations.locked(node, reactor, 30):
            ran.extend(step.name for step in await migrations.up(node, CATALOGUE, CORE))

    await gatherResults([ensureDeferred(migrate(node)) for node in nodes])
    assert ran == ["000_base", "001_next"]
    for node in nodes:
        await migrations.prepare(node, CATALOGUE, reactor, CORE)
        await node.stop()
    await emptied(cassandra_server, {"kongtx_setup"})


class TestRaces(RaceConformance):
    """See L{RaceConformance}."""


@pytest_twisted.ensureDeferred
async def test_a_parent_is_not_removed_under_a_new_child(opened: Open) -> None:
    nodes = [await opened(), await opened()]
    for number in range(20):
        await nodes[0].apply([Insert(PARENTS, parent(number))])
        await DeferredList(
            [
                nodes[0].apply([Delete(PARENTS, {"id": uid(number)})]),
                nodes[1].apply([Insert(CHILDREN, child(number, of=number))]),
            ],
            consumeErrors=True,
        )
    assert await numbers(nodes[0], PARENTS) == await numbers(nodes[1], CHILDREN)


@pytest_twisted.ensureDeferred
async def test_no_addition_of_several_nodes_is_lost(opened: Open) -> None:
    nodes = [await opened(), await opened(), await opened()]
    row = {"period": "a", "number": 1, "value": 1}
    changes = await gatherResults(
        [node.apply([Increment(COUNTS, row, "value")]) for _ in range(20) for node in nodes]
    )
    assert sorted(change.new["value"] for [[change]] in changes) == list(range(1, 61))


WRITER = """
import os, sys
from twisted.internet import reactor
from twisted.internet.defer import ensureDeferred
from kongtx.db import errors
from kongtx.db.cassandra import CassandraConnector, Settings, parcels
from kongtx.db.writes import Insert
from tests.db.conformance import CATALOGUE, CHILDREN, PARENTS, child, parent

port, keyspace, user, password, kind = sys.argv[1:]
settings = Settings(("127.0.0.1",), int(port), keyspace, username=user, password=password)

async def pairs(connector):
    number = 0
    while True:
        number += 1
        rows = [Insert(PARENTS, parent(number, f"p{number}", ["t"]))]
        rows.append(Insert(CHILDREN, child(number, of=number)))
        await connector.apply(rows)
        print(number, flush=True)

async def large(connector):
    parcels.BATCH_ROWS, parcels.PART_BYTES = 10, 2000
    number = 0
    while True:
        number += 1
        rows = [parent(1000 * number + each, None, [f"c{number}"]) for each in range(300)]
        await connector.apply([Insert(PARENTS, row) for row in rows])
        print(number, flush=True)

async def names(connector):
    for number in range(60):
        row = parent(os.getpid() * 100 + number, f"n{number}")
        try:
            await connector.apply([Insert(PARENTS, row)])
            print(number, flush=True)
        except errors.UniqueViolationError:
            pass
    await connector.stop()
    reactor.stop()

async def main():
    connector = CassandraConnector(settings, reactor)
    await connector.start(CATALOGUE)
    await globals()[kind](connector)

ensureDeferred(main()).addErrback(lambda failure: (failure.printTraceback(), os._exit(1)))
reactor.run()
"""


def writer(server: CassandraServer, kind: str) -> subprocess.Popen[str]:
    settings = settings_of(server)
    reach = [str(server.port), KEYSPACE, str(settings.username), str(settings.password)]
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, *reach, kind],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )


def acknowledged_until_killed(process: subprocess.Popen[str], last: int) -> int:
    """The last number that a writer has told, after killing it when it told another."""
    assert process.stdout is not None
    for line in process.stdout:
        if int(line) >= last:
            process.send_signal(signal.SIGKILL)
            break
    told = [last, *(int(line) for line in process.stdout.read().split())]
    assert process.wait() == -signal.SIGKILL
    return max(told)


@pytest_twisted.ensureDeferred
async def test_two_processes_that_race_give_each_name_once(
    opened: Open, cassandra_server: CassandraServer
) -> None:
    node = await opened()
    processes = [writer(cassandra_server, "names") for _ in range(2)]
    outputs = [await deferToThread(process.communicate) for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    got = Counter(number for output, _ in outputs for number in output.split())
    assert got == Counter(str(number) for number in range(60))
    rows = (await node.page(PARENTS, Query(1000))).rows
    assert sorted(row["name"] for row in rows) == sorted(f"n{number}" for number in range(60))


@pytest_twisted.ensureDeferred
async def test_no_acknowledged_write_is_lost_when_the_process_is_killed(
    opened: Open, cassandra_server: CassandraServer
) -> None:
    node = await opened()
    process = writer(cassandra_server, "pairs")
    acknowledged = await deferToThread(acknowledged_until_killed, process, 60)
    parents, children = await numbers(node, PARENTS), await numbers(node, CHILDREN)
    assert parents == children == list(range(1, len(parents) + 1))
    assert len(parents) in (acknowledged, acknowledged + 1)
    assert len((await node.page_tags("t", 1000, None)).rows) == len(parents)


@pytest.mark.parametrize("last", [1, 2, 3, 4])
@pytest_twisted.ensureDeferred
async def test_no_half_of_a_large_write_is_left_by_a_killed_process(
    opened: Open, cassandra_server: CassandraServer, last: int
) -> None:
    node = await opened()
    process = writer(cassandra_server, "large")
    acknowledged = await deferToThread(acknowledged_until_killed, process, last)
    found = Counter(number // 1000 for number in await numbers(node, PARENTS))
    assert set(found.values()) == {300}
    assert len(found) in (acknowledged, acknowledged + 1)
    for number in found:
        assert len((await node.page_tags(f"c{number}", 1000, None)).rows) == 300
    await node.apply([Insert(PARENTS, parent(1, "next"))])
