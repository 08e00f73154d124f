"""C{migrations}, C{start} and exports, with Cassandra."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Kongtx
from tests.cli.test_database import DOCUMENT, NEEDED, Carrier

pytestmark = pytest.mark.long


@pytest.fixture
def environment(cassandra_properties: dict[str, str]) -> dict[str, str]:
    """What makes commands use the test's keyspace."""
    return {f"KONG_{name.upper()}": value for name, value in cassandra_properties.items()}


def test_a_database_goes_from_nothing_to_nothing(
    kongtx: Kongtx, environment: dict[str, str]
) -> None:
    def told(*arguments: str) -> tuple[int, str]:
        done = kongtx("migrations", *arguments, **environment)
        return done.returncode, done.stdout

    bootstrapped = (
        "Bootstrapping database...\n"
        f"migrating core on database '{environment['KONG_CASSANDRA_KEYSPACE']}'...\n"
        "core migrated up to: 000_base (executed)\n"
        "1 migrations processed\n1 executed\nDatabase is up-to-date\n"
    )
    assert told("list") == (3, NEEDED)
    refused = kongtx("start", **environment, KONG_PROXY_LISTEN="off", KONG_ADMIN_LISTEN="off")
    assert refused.returncode == 1
    assert "run 'kongtx migrations bootstrap' to proceed" in refused.stderr
    assert told("bootstrap") == (0, bootstrapped)
    assert told("bootstrap") == (0, "Database already bootstrapped\n")
    assert told("up") == (0, "Database is already up-to-date\n")
    assert told("list") == (0, "Executed migrations:\ncore: 000_base\n")
    assert told("reset", "--yes") == (
        0,
        "Resetting database...\nDatabase successfully reset\n",
    )
    assert json.loads(told("status")[1])["needs_bootstrap"] is True


def test_a_cluster_that_is_not_there_is_named(kongtx: Kongtx, environment: dict[str, str]) -> None:
    failed = kongtx("migrations", "status", **{**environment, "KONG_CASSANDRA_PORT": "1"})
    assert failed.returncode == 1
    assert "Error: cassandra at 127.0.0.1 port 1: Unable to connect" in failed.stderr
    assert "refused" in failed.stderr


def test_what_is_exported_can_be_imported_anywhere(
    kongtx: Kongtx, environment: dict[str, str], tmp_path: Path
) -> None:
    carrier = Carrier(kongtx, tmp_path)
    ran, exported = carrier.run, carrier.exported
    services = [{"name": f"s{number}", "host": "h" * 200} for number in range(3000)]
    document = {**DOCUMENT, "services": [*DOCUMENT["services"], *services]}  # a large commit
    (tmp_path / "in.json").write_text(json.dumps(document))
    ran("migrations", "bootstrap", **environment)
    ran("config", "db_import", "in.json", **environment)
    first = exported("cassandra.yml", **environment)
    assert {"routes", "consumers", "keyauth_credentials", "basicauth_credentials"} <= set(first)
    assert len(first["services"]) == 3001
    ran("config", "db_import", "cassandra.yml")
    assert exported("sqlite.yml") == first
    ran("migrations", "reset", "--yes", **environment)
    ran("migrations", "bootstrap", **environment)
    ran("config", "db_import", "sqlite.yml", **environment)
    assert exported("again.yml", **environment) == first
