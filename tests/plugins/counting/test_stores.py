"""Every store counts alike."""

from __future__ import annotations

from typing import Any

import pytest_twisted
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import Clock
from zope.interface.verify import verifyObject

from kongtx.db.store import Store
from kongtx.plugins.counting.redis import RedisClient
from kongtx.plugins.counting.stores import DatabaseStore, ICounterStore, RedisStore, scope
from kongtx.plugins.counting.windows import window
from tests.plugins.counting.conftest import NOW

ROW = {"route": {"id": "11111111-1111-4111-8111-111111111111"}, "service": None}
IDENTITY = scope("limit", ROW) + b"bob:"
MINUTE, DAY = window("minute", NOW), window("day", NOW)


async def value(result: Any) -> Any:
    return await result if isinstance(result, Deferred) else result


def test_an_identity_begins_with_its_scope() -> None:
    assert IDENTITY == (
        b"limit:11111111-1111-4111-8111-111111111111:00000000-0000-0000-0000-000000000000:bob:"
    )


@pytest_twisted.ensureDeferred
async def test_what_is_added_can_be_read(store: Any) -> None:
    assert verifyObject(ICounterStore, store)
    both = [MINUTE, DAY]
    assert await value(store.read(IDENTITY, both)) == [0, 0]
    assert await value(store.add(IDENTITY, [MINUTE], 2, NOW)) == [2]
    assert await value(store.add(IDENTITY, both, 3, NOW)) == [5, 3]
    assert await value(store.read(IDENTITY, both)) == [5, 3]


@pytest_twisted.ensureDeferred
async def test_counts_of_others_are_others(store: Any) -> None:
    await value(store.add(IDENTITY, [MINUTE], 1, NOW))
    await value(store.add(IDENTITY, [MINUTE], 2, NOW, "video"))
    assert await value(store.read(IDENTITY, [MINUTE])) == [1]
    assert await value(store.read(IDENTITY, [MINUTE], "video")) == [2]
    assert await value(store.read(IDENTITY, [MINUTE], "image")) == [0]
    assert await value(store.read(scope("limit", ROW) + b"ann:", [MINUTE])) == [0]
    assert await value(store.read(IDENTITY, [window("minute", NOW + 60)])) == [0]
    unscoped = scope("limit", {"route": None, "service": None}) + b"bob:"
    assert await value(store.read(unscoped, [MINUTE])) == [0]


@pytest_twisted.ensureDeferred
async def test_no_addition_is_lost(store: Any) -> None:
    added = [store.add(IDENTITY, [MINUTE], 1, NOW) for _ in range(20)]
    if isinstance(added[0], Deferred):
        added = await gatherResults(added)
    assert sorted(added) == [[number] for number in range(1, 21)]


@pytest_twisted.ensureDeferred
async def test_a_row_of_the_database_ends_with_its_window(
    database_store: DatabaseStore, database: Store, clock: Clock
) -> None:
    await database_store.add(IDENTITY, [MINUTE], 1, NOW, "video")
    table = database.catalogue["response_ratelimiting_metrics"]
    key = {
        "identifier": "bob",
        "period": "video_minute",
        "period_date": MINUTE.start * 1000,
        "service_id": "00000000-0000-0000-0000-000000000000",
        "route_id": ROW["route"]["id"],
    }
    row = await database.connector.select(table, key)
    assert row == {**key, "value": 1, "ttl": MINUTE.end}
    clock.advance(MINUTE.end - NOW)
    assert await database.connector.select(table, key) is None
    assert await database_store.add(IDENTITY, [MINUTE], 1, NOW, "video") == [1]


@pytest_twisted.ensureDeferred
async def test_keys_of_redis_are_kongs_and_end_by_themselves(
    redis_store: RedisStore, client: RedisClient
) -> None:
    await redis_store.add(IDENTITY, [MINUTE], 1, NOW)
    await redis_store.add(IDENTITY, [DAY], 5, NOW, "video")
    protocol: Any = await client.connected()
    keys = sorted(await protocol.keys("*"))
    assert keys == [
        b"%b%d:video:day" % (IDENTITY, DAY.start * 1000),
        b"%b%d:minute" % (IDENTITY, MINUTE.start * 1000),
    ]
    assert [await protocol.ttl(key) for key in keys] == [86400, 60]
    await protocol.expire(keys[1], 7)
    await redis_store.add(IDENTITY, [MINUTE], 1, NOW)
    assert await protocol.ttl(keys[1]) == 7
