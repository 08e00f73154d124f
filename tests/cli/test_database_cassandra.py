"""C{migrations}, C{start} and exports, with Cassandra."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Kongtx
from tests.cli.databases import (
    DOCUMENT,
    Carrier,
    check_from_nothing_to_nothing,
    check_start_is_refused,
)

pytestmark = pytest.mark.long


@pytest.fixture
def environment(cassandra_properties: dict[str, str]) -> dict[str, str]:
    """What makes commands use the test's keyspace."""
    return {f"KONG_{name.upper()}": value for name, value in cassandra_properties.items()}


def test_a_database_goes_from_nothing_to_nothing(
    kongtx: Kongtx, environment: dict[str, str]
) -> None:
    check_start_is_refused(kongtx, **environment)
    check_from_nothing_to_nothing(kongtx, environment["KONG_CASSANDRA_KEYSPACE"], **environment)


def test_a_cluster_that_is_not_there_is_named(kongtx: Kongtx, environment: dict[str, str]) -> None:
    failed = kongtx("migrations", "status", **{**environment, "KONG_CASSANDRA_PORT": "1"})
    assert failed.returncode == 1
    assert "Error: cassandra at 127.0.0.1 port 1: Unable to connect" in failed.stderr
    assert "refused" in failed.stderr


def test_what_is_exported_can_be_imported_anywhere(
    kongtx: Kongtx, environment: dict[str, str], tmp_path: Path
) -> None:
    services = [{"name": f"s{number}", "host": "h" * 200} for number in range(3000)]
    document = {**DOCUMENT, "services": [*DOCUMENT["services"], *services]}  # a large commit
    carried = Carrier(kongtx, tmp_path).there_and_back(document, **environment)
    assert {"routes", "consumers", "keyauth_credentials", "basicauth_credentials"} <= set(carried)
    assert len(carried["services"]) == 3001
