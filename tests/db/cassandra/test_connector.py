"""The Cassandra connector does what every connector has to."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.task import Clock

from kongtx.db.cassandra import CassandraConnector, Settings
from kongtx.db.cassandra.cql import TABLES
from kongtx.db.tables import Entity
from kongtx.db.writes import Insert, Write
from tests.cassandra_server import PASSWORD, USER, CassandraServer
from tests.db.conformance import CATALOGUE, NOW, Fill, WriteConformance

pytestmark = pytest.mark.long


@pytest.fixture
def clock() -> Clock:
    made = Clock()
    made.advance(NOW)
    return made


def settings_of(server: CassandraServer, keyspace: str = "kongtx", **others: Any) -> Settings:
    return Settings(
        contact_points=(server.host,),
        port=server.port,
        keyspace=keyspace,
        username=USER,
        password=PASSWORD,
        **others,
    )


async def emptied(connector: CassandraConnector) -> None:
    """Remove all rows, which takes less time than making a keyspace."""
    session = connector._session

    def truncate() -> None:
        for table in (*TABLES, "locks"):
            session.run(f"TRUNCATE {connector.settings.keyspace}.{table}")

    await session.in_thread(truncate)


@pytest_twisted.async_yield_fixture
async def connector(
    cassandra_server: CassandraServer, clock: Clock
) -> AsyncIterator[CassandraConnector]:
    made = CassandraConnector(settings_of(cassandra_server), reactor, clock.seconds)
    await made.start(CATALOGUE)
    await made.create(CATALOGUE)
    yield made
    await emptied(made)
    await made.stop()


@pytest.fixture
def fill(connector: CassandraConnector) -> Fill:
    async def filled(rows: Mapping[str, Sequence[Entity]]) -> None:
        writes: list[Write] = [
            Insert(table, row)
            for table in CATALOGUE.parents_first()
            for row in rows.get(table.name, ())
        ]
        await connector.apply(writes)

    return filled


class TestConformance(WriteConformance):
    """See L{WriteConformance}."""
