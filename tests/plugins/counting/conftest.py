"""The places where counts are kept, each started for one test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.task import Clock

from kongtx.cache.shared import SharedMemory
from kongtx.db.sqlite.connector import SQLiteConnector
from kongtx.db.store import Store
from kongtx.plugins.counting.redis import RedisClient, RedisSettings
from kongtx.plugins.counting.stores import DatabaseStore, LocalStore, RedisStore
from kongtx.plugins.schemas import full_registry
from tests.plugins.redis_server import RedisServer, redis_server

#: Counts of Redis live by its own clock, so those of the database may be of any time.
NOW = 1_700_000_040


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with redis_server(tmp_path) as server:
        yield server


@pytest_twisted.async_yield_fixture
async def client(redis: RedisServer) -> AsyncIterator[RedisClient]:
    made = RedisClient(RedisSettings("127.0.0.1", redis.port, 1.0), reactor)
    yield made
    await made.close()


@pytest_twisted.async_yield_fixture
async def database(tmp_path: Path, clock: Clock) -> AsyncIterator[Store]:
    clock.advance(NOW)
    connector = SQLiteConnector(str(tmp_path / "db"), reactor, clock.seconds)
    store = Store(full_registry(), connector, reactor, clock.seconds)
    await store.start()
    yield store
    await store.stop()


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[SharedMemory]:
    made = SharedMemory(tmp_path / "shared", 64 * 1024)
    yield made
    made.close()


@pytest.fixture
def local_store(memory: SharedMemory) -> LocalStore:
    return LocalStore(memory.counters)


@pytest.fixture
def database_store(database: Store) -> DatabaseStore:
    return DatabaseStore(database, "response_ratelimiting_metrics")


@pytest.fixture
def redis_store(client: RedisClient) -> RedisStore:
    return RedisStore(client)


@pytest.fixture(params=["local_store", "database_store", "redis_store"])
def store(request: pytest.FixtureRequest) -> Any:
    """Each kind of store in turn."""
    return request.getfixturevalue(request.param)
