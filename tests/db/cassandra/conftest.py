"""Connectors on the session's server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.task import Clock

from kongtx.db.cassandra import CassandraConnector, Settings
from kongtx.db.cassandra.cql import LOCKS, TABLES, quote
from kongtx.db.tables import Catalogue
from tests.cassandra_server import PASSWORD, USER, CassandraServer
from tests.db.conformance import CATALOGUE, NOW

Open = Callable[..., Awaitable[CassandraConnector]]

KEYSPACE = "kongtx_tests"


def settings_of(server: CassandraServer, **others: Any) -> Settings:
    given = {"keyspace": KEYSPACE, "username": USER, "password": PASSWORD, **others}
    return Settings(contact_points=(server.host,), port=server.port, **given)


async def emptied(server: CassandraServer, keyspaces: set[str]) -> None:
    """Remove all rows of the usual keyspace, which takes less time than making it, and others."""
    connector = CassandraConnector(settings_of(server), reactor)
    session = connector._session
    await session.open()

    def remove() -> None:
        for keyspace in keyspaces:
            if keyspace != KEYSPACE:
                session.run(f"DROP KEYSPACE IF EXISTS {quote(keyspace)}")
                continue
            for table in TABLES:
                session.run(f"TRUNCATE {quote(keyspace)}.{table}")
            session.run(f"DROP TABLE IF EXISTS {quote(keyspace)}.{LOCKS}")

    await session.in_thread(remove)
    await connector.stop()


@pytest.fixture
def clock() -> Clock:
    made = Clock()
    made.advance(NOW)
    return made


@pytest_twisted.async_yield_fixture
async def connector(
    cassandra_server: CassandraServer, clock: Clock
) -> AsyncIterator[CassandraConnector]:
    """With the conformance suite's tables, by the clock's time."""
    made = CassandraConnector(settings_of(cassandra_server), reactor, clock.seconds)
    await made.start(CATALOGUE)
    await made.create(CATALOGUE)
    yield made
    await made.stop()
    await emptied(cassandra_server, {KEYSPACE})


@pytest_twisted.async_yield_fixture
async def opened(cassandra_server: CassandraServer) -> AsyncIterator[Open]:
    """Makes connectors with tables, and stops them at the end, leaving nothing."""
    made: list[CassandraConnector] = []

    async def open_one(catalogue: Catalogue = CATALOGUE, **others: Any) -> CassandraConnector:
        connector = CassandraConnector(settings_of(cassandra_server, **others), reactor)
        made.append(connector)
        await connector.start(catalogue)
        await connector.create(catalogue)
        return connector

    yield open_one
    for connector in made:
        await connector.stop()
    await emptied(cassandra_server, {connector.settings.keyspace for connector in made})
