"""The PostgreSQL connector does what every connector has to."""

from __future__ import annotations

import pytest
from zope.interface.verify import verifyObject

from kongtx.db.interfaces import IClusterLog, IMigratable
from kongtx.db.postgres import PostgresConnector
from tests.db.conformance import Fill, WriteConformance, filling


@pytest.fixture
def fill(connector: PostgresConnector) -> Fill:
    return filling(connector)


class TestConformance(WriteConformance):
    """See L{WriteConformance}."""


def test_it_keeps_migrations_and_events(connector: PostgresConnector) -> None:
    assert verifyObject(IMigratable, connector)
    assert verifyObject(IClusterLog, connector)
