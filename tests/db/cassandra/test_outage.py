"""A server that restarts, crashes or says nothing."""

from __future__ import annotations

import time

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import DeferredList, gatherResults
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread

from kongtx.db import errors
from kongtx.db.cassandra import CassandraConnector
from kongtx.db.writes import Increment, Insert
from tests.cassandra_server import CassandraServer
from tests.db.cassandra.conftest import Open
from tests.db.conformance import COUNTS, PARENTS, numbers, parent, uid

pytestmark = pytest.mark.long


async def until_healed(node: CassandraConnector, seconds: float = 60.0) -> None:
    """Wait until a node has its database again."""
    give_up = time.monotonic() + seconds
    while True:
        try:
            await node.ping()
        except errors.DatabaseError:
            assert time.monotonic() < give_up
            await deferLater(reactor, 0.1)
        else:
            return


@pytest.mark.parametrize("how", ["stop", "kill"])
@pytest_twisted.ensureDeferred
async def test_a_node_tells_of_an_outage_at_once_and_goes_on_after_it(
    opened: Open, cassandra_server: CassandraServer, how: str
) -> None:
    node = await opened()
    await gatherResults([node.apply([Insert(PARENTS, parent(number))]) for number in range(20)])
    await node.apply([Increment(COUNTS, {"period": "a", "number": 1, "value": 1}, "value")])
    await deferToThread(getattr(cassandra_server, how))
    try:
        for ask in (
            lambda: node.select(PARENTS, {"id": uid(1)}),
            lambda: node.apply([Insert(PARENTS, parent(100))]),
            lambda: node.events_after(0.0),
            node.ping,
        ):
            began = time.monotonic()
            with pytest.raises(errors.DatabaseError, match=r"cassandra at 127\.0\.0\.1 port"):
                await ask()
            assert time.monotonic() - began < 6
    finally:
        await deferToThread(cassandra_server.start)
    await until_healed(node)
    assert await numbers(node, PARENTS) == list(range(20))
    assert (await node.select(COUNTS, {"period": "a", "number": 1}) or {})["value"] == 1
    await node.apply([Insert(PARENTS, parent(100, "after"))])
    assert (await node.select_by(PARENTS, "name", "after"))["id"] == uid(100)


@pytest_twisted.ensureDeferred
async def test_what_is_acknowledged_around_a_crash_is_there_and_what_is_refused_is_whole(
    opened: Open, cassandra_server: CassandraServer
) -> None:
    node = await opened()
    writes = [node.apply([Insert(PARENTS, parent(0))])]
    await writes[0]

    crashing = deferToThread(cassandra_server.kill)
    number = 0
    while not crashing.called:
        number += 1
        writes.append(
            node.apply(
                [Insert(PARENTS, parent(2 * number)), Insert(PARENTS, parent(2 * number + 1))]
            )
        )
        await deferLater(reactor, 0.001)
    await crashing
    await deferToThread(cassandra_server.start)
    outcomes = await DeferredList(writes, consumeErrors=True)
    await until_healed(node)
    there = set(await numbers(node, PARENTS))
    for position, (was_kept, result) in enumerate(outcomes[1:], 1):
        pair = {2 * position, 2 * position + 1}
        if was_kept:
            assert pair <= there
        else:
            assert result.check(errors.DatabaseError), result
            assert pair <= there or not pair & there


@pytest_twisted.ensureDeferred
async def test_a_server_that_says_nothing_is_given_up(
    opened: Open, cassandra_server: CassandraServer
) -> None:
    node = await opened(timeout=1.0)
    cassandra_server.pause()
    try:
        began = time.monotonic()
        with pytest.raises(errors.DatabaseError):
            await node.select(PARENTS, {"id": uid(1)})
        assert 0.5 < time.monotonic() - began < 5
    finally:
        cassandra_server.resume()
    await until_healed(node)
    assert await node.select(PARENTS, {"id": uid(1)}) is None
