"""Connectors on the session's server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.task import Clock

from kongtx.db.postgres import Endpoint, PostgresConnector
from kongtx.db.tables import Catalogue
from tests.db.conformance import CATALOGUE, NOW
from tests.postgres_server import Database

Open = Callable[..., Awaitable[PostgresConnector]]


@pytest.fixture
def clock() -> Clock:
    made = Clock()
    made.advance(NOW)
    return made


@pytest.fixture
def endpoint(postgres_database: Database) -> Endpoint:
    server = postgres_database.server
    return Endpoint(server.host, server.port, "kong", database=postgres_database.name)


@pytest_twisted.async_yield_fixture
async def connector(endpoint: Endpoint, clock: Clock) -> AsyncIterator[PostgresConnector]:
    """With the conformance suite's tables, by the clock's time."""
    made = PostgresConnector(endpoint, reactor, clock.seconds)
    await made.start(CATALOGUE)
    await made.create(CATALOGUE)
    yield made
    await made.stop()


@pytest_twisted.async_yield_fixture
async def opened(endpoint: Endpoint) -> AsyncIterator[Open]:
    """Makes connectors with tables, by the database's clock, and stops them at the end."""
    made: list[PostgresConnector] = []

    async def open_one(
        catalogue: Catalogue = CATALOGUE, endpoint: Endpoint = endpoint
    ) -> PostgresConnector:
        connector = PostgresConnector(endpoint, reactor)
        made.append(connector)
        await connector.start(catalogue)
        await connector.create(catalogue)
        return connector

    yield open_one
    for connector in made:
        await connector.stop()
