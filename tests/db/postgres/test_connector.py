"""The PostgreSQL connector does what every connector has to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
from zope.interface.verify import verifyObject

from kongtx.db.interfaces import IClusterLog, IMigratable
from kongtx.db.postgres import PostgresConnector
from kongtx.db.tables import Entity
from kongtx.db.writes import Insert, Write
from tests.db.conformance import CATALOGUE, Fill, WriteConformance


@pytest.fixture
def fill(connector: PostgresConnector) -> Fill:
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


def test_it_keeps_migrations_and_events(connector: PostgresConnector) -> None:
    assert verifyObject(IMigratable, connector)
    assert verifyObject(IClusterLog, connector)
