"""C{migrations}, C{start --run-migrations} and exports, with PostgreSQL."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Kongtx
from tests.cli.databases import (
    DOCUMENT,
    NEEDED,
    NOWHERE,
    Carrier,
    bootstrapped,
    check_from_nothing_to_nothing,
    check_start_is_refused,
)
from tests.postgres_server import Database

pytestmark = pytest.mark.long


@pytest.fixture
def environment(postgres_database: Database) -> dict[str, str]:
    """What makes commands use the test's database."""
    return {f"KONG_{name.upper()}": value for name, value in postgres_database.properties().items()}


def test_a_database_goes_from_nothing_to_nothing(
    kongtx: Kongtx, environment: dict[str, str], postgres_database: Database
) -> None:
    check_from_nothing_to_nothing(kongtx, postgres_database.name, **environment)


def test_an_empty_database_starts_nothing_and_says_what_to_do(
    kongtx: Kongtx, environment: dict[str, str]
) -> None:
    check_start_is_refused(kongtx, **environment)


def test_a_start_can_migrate_first(
    kongtx: Kongtx, environment: dict[str, str], postgres_database: Database
) -> None:
    assert kongtx("migrations", "bootstrap", **environment).returncode == 0
    # As if this version had one more migration than the database has seen.
    postgres_database.run("UPDATE kongtx_migrations SET name = '000_earlier'")
    quiet = {**environment, **NOWHERE}
    refused = kongtx("start", **quiet)
    assert refused.returncode == 1
    assert "newer version" in refused.stderr
    postgres_database.run("UPDATE kongtx_migrations SET subsystem = 'other', name = '1'")
    refused = kongtx("start", **quiet)
    assert "New migrations available; run 'kongtx migrations up' to proceed" in refused.stderr
    try:
        done = kongtx("start", "--run-migrations", **quiet)
        assert (done.returncode, done.stdout) == (
            0,
            bootstrapped(postgres_database.name).partition("\n")[2] + "kongtx started\n",
        )
    finally:
        kongtx("stop", **quiet)


def test_the_database_of_the_settings_counts_not_that_of_an_earlier_node(
    kongtx: Kongtx, environment: dict[str, str], tmp_path: Path
) -> None:
    assert kongtx("prepare", "-p", str(tmp_path / "prefix")).returncode == 0
    done = kongtx("migrations", "list", **environment)
    assert (done.returncode, done.stdout) == (3, NEEDED)


def test_a_server_that_is_not_there_is_named(kongtx: Kongtx, environment: dict[str, str]) -> None:
    failed = kongtx("migrations", "status", **{**environment, "KONG_PG_PORT": "1"})
    assert failed.returncode == 1
    assert "Error: PostgreSQL at 127.0.0.1:1: " in failed.stderr
    assert "Connection refused" in failed.stderr


def test_what_is_exported_can_be_imported_anywhere(
    kongtx: Kongtx, environment: dict[str, str], tmp_path: Path
) -> None:
    carrier = Carrier(kongtx, tmp_path)
    carried = carrier.there_and_back(DOCUMENT, **environment)
    assert {"services", "routes", "consumers", "keyauth_credentials"} <= set(carried)
    parsed = carrier.run("config", "parse", "again.yml", KONG_DATABASE="off")
    assert parsed == "parse successful\n"
