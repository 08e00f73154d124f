"""Policies that share counts between nodes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred, ensureDeferred, gatherResults
from twisted.internet.task import Clock
from zope.interface.verify import verifyObject

from kongtx.cache.counters import Taken
from kongtx.db.store import Store
from kongtx.plugins.counting.redis import Additions, RedisClient
from kongtx.plugins.counting.stores import DatabaseStore, RedisStore, scope
from kongtx.plugins.counting.windows import window
from kongtx.plugins.rate_limiting.policies import (
    ClusterPolicy,
    IPolicy,
    LocalPolicy,
    RedisPolicy,
    SyncedPolicy,
    make_policy,
    policy_key,
)
from kongtx.testing.node import make_node
from tests.plugins.counting.conftest import NOW

IDENTITY = scope("ratelimit", {"route": None, "service": None}) + b"bob:"
WINDOWS = [window("minute", NOW), window("day", NOW)]
REDIS: dict[str, Any] = {
    "host": "h",
    "port": 1,
    "timeout": 1000,
    **dict.fromkeys(("username", "password", "database", "ssl", "ssl_verify", "server_name")),
}


async def take(policy: Any, *limits: int) -> Taken:
    taken = policy.take(IDENTITY, WINDOWS[: len(limits)], limits, NOW)
    result: Taken = await taken if isinstance(taken, Deferred) else taken
    return result


@pytest_twisted.ensureDeferred
async def test_the_cluster_counts_what_is_not_refused(database: Store) -> None:
    policy = ClusterPolicy(DatabaseStore(database, "ratelimiting_metrics"))
    assert verifyObject(IPolicy, policy)
    assert await take(policy, 2, 9) == Taken([0, 0], None)
    assert await take(policy, 2, 9) == Taken([1, 1], None)
    assert await take(policy, 2, 9) == Taken([2, 2], 0)
    assert await take(policy, 3, 9) == Taken([2, 2], None)
    assert await take(policy, 9, 3) == Taken([3, 3], 1)


@pytest_twisted.ensureDeferred
async def test_requests_of_one_moment_do_not_pass_the_limit_together(database: Store) -> None:
    policy = ClusterPolicy(DatabaseStore(database, "ratelimiting_metrics"))
    outcomes = await gatherResults([ensureDeferred(take(policy, 5)) for _ in range(20)])
    assert sum(outcome.reached is None for outcome in outcomes) == 5
    assert await take(policy, 5) == Taken([20], 0)


@pytest_twisted.ensureDeferred
async def test_redis_counts_everything(client: RedisClient) -> None:
    policy = RedisPolicy(RedisStore(client))
    assert verifyObject(IPolicy, policy)
    outcomes = [await take(policy, 2, 9) for _ in range(4)]
    assert outcomes == [
        Taken([0, 0], None),
        Taken([1, 1], None),
        Taken([2, 2], 0),
        Taken([3, 3], 0),
    ]


class FakeRedis:
    """A Redis that answers at once, or fails."""

    def __init__(self) -> None:
        self.numbers: dict[bytes, int] = {}
        self.added: list[list[tuple[bytes, int, int]]] = []
        self.fails = False

    async def read(self, keys: Sequence[bytes]) -> list[int]:
        if self.fails:
            raise ConnectionError("away")
        return [self.numbers.get(key, 0) for key in keys]

    async def add(self, additions: Additions) -> list[int]:
        if self.fails:
            raise ConnectionError("away")
        self.added.append(list(additions))
        for key, amount, _ in additions:
            self.numbers[key] = self.numbers.get(key, 0) + amount
        return [self.numbers[key] for key, _, _ in additions]


MINUTE_KEY = b"%b%d:minute" % (IDENTITY, WINDOWS[0].start * 1000)


@pytest_twisted.ensureDeferred
async def test_what_is_counted_here_is_told_now_and_then(clock: Clock) -> None:
    redis: Any = FakeRedis()
    redis.numbers[MINUTE_KEY] = 3
    policy = SyncedPolicy(redis, 0.5, clock)
    assert verifyObject(IPolicy, policy)
    assert await take(policy, 6) == Taken([3], None)
    assert policy.take(IDENTITY, WINDOWS[:1], [6], NOW) == Taken([4], None)
    assert redis.added == []
    redis.numbers[MINUTE_KEY] += 1  # another node
    clock.advance(0.5)
    assert redis.added == [[(MINUTE_KEY, 2, 60)]]
    assert await take(policy, 7) == Taken([6], None)
    assert await take(policy, 7) == Taken([7], 0)
    clock.advance(0.5)
    assert redis.numbers[MINUTE_KEY] == 7
    clock.advance(0.5)
    assert clock.getDelayedCalls() == []


@pytest_twisted.ensureDeferred
async def test_counts_of_ended_windows_are_forgotten(clock: Clock) -> None:
    redis: Any = FakeRedis()
    policy = SyncedPolicy(redis, 0.5, clock)
    await take(policy, 6)
    clock.advance(0.5)
    clock.advance(0.5)
    later = NOW + 60
    await policy.take(IDENTITY, [window("minute", later)], [6], later)
    assert len(policy._counts) == 2
    clock.advance(0.5)
    assert len(policy._counts) == 1


@pytest_twisted.ensureDeferred
async def test_the_rest_is_told_when_the_worker_stops(client: RedisClient, clock: Clock) -> None:
    policy = SyncedPolicy(client, 0.5, clock)
    assert policy.stop() is None
    for _ in range(3):
        await take(policy, 6)
    stopping, closing = policy.stop(), client.close()
    await gatherResults([each for each in (stopping, closing) if each is not None])
    other = RedisClient(client.settings, reactor)
    assert await other.read([MINUTE_KEY]) == [3]
    await other.close()


@pytest_twisted.ensureDeferred
async def test_after_a_fault_it_begins_with_what_redis_has(clock: Clock) -> None:
    redis: Any = FakeRedis()
    policy = SyncedPolicy(redis, 0.5, clock)
    for _ in range(3):
        await take(policy, 6)
    redis.fails = True
    clock.advance(0.5)
    redis.fails = False
    redis.numbers[MINUTE_KEY] = 1
    assert await take(policy, 6) == Taken([1], None)
    clock.advance(0.5)
    assert redis.numbers[MINUTE_KEY] == 2


@pytest_twisted.ensureDeferred
async def test_requests_of_one_moment_see_each_other(client: RedisClient, clock: Clock) -> None:
    policy = SyncedPolicy(client, 0.5, clock)
    outcomes = await gatherResults([ensureDeferred(take(policy, 5)) for _ in range(20)])
    assert sum(outcome.reached is None for outcome in outcomes) == 5


def test_the_configuration_chooses(database: Store) -> None:
    node = make_node(memory=None)
    node.store = database
    node.memory = type("Memory", (), {"counters": None})()
    for config, kind in (
        ({"policy": "local"}, LocalPolicy),
        ({"policy": "cluster"}, ClusterPolicy),
        ({"policy": "redis", "redis": REDIS, "sync_rate": -1}, RedisPolicy),
        ({"policy": "redis", "redis": REDIS, "sync_rate": 1}, SyncedPolicy),
    ):
        assert type(make_policy(config, node)) is kind
    keys = {policy_key({"policy": "redis", "redis": REDIS, "sync_rate": n}) for n in (-1, -1, 1)}
    assert len(keys) == 2
