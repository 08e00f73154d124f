"""C{migrations}, C{config db_import} and C{config db_export}, on real databases."""

from __future__ import annotations

import json
import os
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cli.conftest import Kongtx
from tests.cli.databases import DOCUMENT, NEEDED, bootstrapped, timeless

BOOTSTRAPPED = bootstrapped("kongtx.sqlite")


def entries(*names: str) -> list[dict[str, Any]]:
    return [{"subsystem": "core", "namespace": "kongtx.core", "migrations": list(names)}]


@pytest.mark.long
def test_a_database_goes_from_nothing_to_nothing(kongtx: Kongtx, tmp_path: Path) -> None:
    def told(*arguments: str) -> tuple[int, str]:
        done = kongtx("migrations", *arguments)
        return done.returncode, done.stdout

    assert told("list") == (3, NEEDED)
    assert json.loads(told("status")[1]) == {
        "needs_bootstrap": True,
        "executed_migrations": [],
        "pending_migrations": [],
        "new_migrations": entries("000_base"),
    }
    for verb in ("up", "finish"):
        failed = kongtx("migrations", verb)
        assert failed.returncode == 1
        assert "Cannot run migrations: Database needs bootstrapping" in failed.stderr
    assert told("bootstrap") == (0, BOOTSTRAPPED)
    assert told("bootstrap") == (0, "Database already bootstrapped\n")
    assert told("up") == (0, "Database is already up-to-date\n")
    assert told("finish") == (0, "No pending migrations to finish\n")
    assert told("list") == (0, "Executed migrations:\ncore: 000_base\n")
    assert told("list", "-q") == (0, "")
    assert json.loads(told("status")[1])["executed_migrations"] == entries("000_base")
    refused = kongtx("migrations", "reset")
    assert (refused.returncode, "not a tty" in refused.stderr) == (1, True)
    assert told("bootstrap", "--force") == (
        0,
        f"Resetting database...\nDatabase successfully reset\n{BOOTSTRAPPED}",
    )
    assert told("reset", "--yes") == (
        0,
        "Resetting database...\nDatabase successfully reset\n",
    )
    nothing = kongtx("migrations", "reset", "--yes")
    assert (nothing.returncode, "nothing to reset" in nothing.stderr) == (1, True)


@pytest.mark.long
def test_two_processes_bootstrap_once(kongtx: Kongtx, tmp_path: Path) -> None:
    kongtx("migrations", "status")
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "KONG_PREFIX": str(tmp_path / "prefix"),
    }
    both = [
        subprocess.Popen(
            [sys.executable, "-m", "kongtx.cli.main", "migrations", "bootstrap"],
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        for _ in range(2)
    ]
    outputs = [process.communicate(timeout=60)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert sum("core migrated up to" in output for output in outputs) == 1


@pytest.mark.long
def test_a_migration_elsewhere_is_left_to_end(kongtx: Kongtx, tmp_path: Path) -> None:
    kongtx("migrations", "status")
    with sqlite3.connect(tmp_path / "prefix" / "kongtx.sqlite") as connection:
        connection.execute("CREATE TABLE kongtx_locks (name TEXT PRIMARY KEY, owner, expires)")
        connection.execute("INSERT INTO kongtx_locks VALUES ('migrations', 'other', 9e9)")
    connection.close()
    done = kongtx("migrations", "bootstrap", "--lock-timeout", "0")
    assert (done.returncode, done.stdout) == (
        0,
        "Bootstrapping database...\naborted: another node is performing database changes\n",
    )


@pytest.mark.long
def test_a_database_of_a_newer_version_is_left_alone(kongtx: Kongtx, tmp_path: Path) -> None:
    kongtx("migrations", "bootstrap")
    with sqlite3.connect(tmp_path / "prefix" / "kongtx.sqlite") as connection:
        connection.execute("INSERT INTO kongtx_migrations VALUES ('core', '900_future', 0, 0)")
    connection.close()
    (tmp_path / "kong.yml").write_text('_format_version: "3.0"\nservices: [{host: h}]\n')
    failed = kongtx("config", "db_import", "kong.yml")
    assert failed.returncode == 1
    assert "migrated by a newer version of kongtx (core: 900_future" in failed.stderr


@pytest.mark.long
def test_without_database_there_is_nothing_to_migrate(kongtx: Kongtx) -> None:
    done = kongtx("migrations", "bootstrap", KONG_DATABASE="off")
    assert (done.returncode, done.stdout) == (0, "Database already bootstrapped\n")
    for verb in ("db_import", "db_export"):
        failed = kongtx("config", verb, "x.yml", KONG_DATABASE="off")
        assert failed.returncode == 1
        assert f"'kongtx config {verb}' only works with a database." in failed.stderr


@pytest.mark.long
def test_what_is_exported_can_be_imported(kongtx: Kongtx, tmp_path: Path) -> None:
    (tmp_path / "in.json").write_text(json.dumps(DOCUMENT))
    done = kongtx("config", "db_import", "in.json")
    assert (done.returncode, done.stdout) == (
        0,
        "parse successful, beginning import\nimport successful\n",
    ), done.stderr
    assert kongtx("config", "db_export", "one.yml").returncode == 0
    assert stat.S_IMODE((tmp_path / "one.yml").stat().st_mode) == 0o600
    other = {"KONG_PREFIX": str(tmp_path / "other")}
    for _ in range(2):
        assert kongtx("config", "db_import", "one.yml", **other).returncode == 0
    assert kongtx("config", "db_export", "two.yml", **other).returncode == 0
    document, copy = (
        yaml.safe_load((tmp_path / name).read_text()) for name in ("one.yml", "two.yml")
    )
    assert timeless(copy) == timeless(document)
    assert [row["ttl"] for row in document["keyauth_credentials"]] == [4_000_000_000]
    assert len(document["basicauth_credentials"]) == 1
    assert document["basicauth_credentials"][0]["password"] != "p"
    again = kongtx("config", "db_export", "one.yml")
    assert (again.returncode, "already exists. Will not overwrite it." in again.stderr) == (1, True)


@pytest.mark.long
def test_a_failed_import_leaves_nothing(kongtx: Kongtx, tmp_path: Path) -> None:
    service = {"name": "s", "host": "h", "id": "00000000-0000-4000-8000-000000000001"}
    (tmp_path / "a.json").write_text(json.dumps({"_format_version": "3.0", "services": [service]}))
    assert kongtx("config", "db_import", "a.json").returncode == 0
    clash = {
        "_format_version": "3.0",
        "consumers": [{"username": "bob"}],
        "services": [{**service, "id": "00000000-0000-4000-8000-000000000002"}],
    }
    (tmp_path / "b.json").write_text(json.dumps(clash))
    failed = kongtx("config", "db_import", "b.json")
    assert failed.returncode == 1
    assert "Failed importing:\nUNIQUE violation detected on '{name=\"s\"}'" in failed.stderr
    assert kongtx("config", "db_export", "out.yml").returncode == 0
    assert "bob" not in (tmp_path / "out.yml").read_text()
    (tmp_path / "c.json").write_text('{"_format_version": "3.0", "services": [{}]}')
    failed = kongtx("config", "db_import", "c.json")
    assert (failed.returncode, "Failed parsing:" in failed.stderr) == (1, True)
    missing = kongtx("config", "db_import", "none.yml")
    assert (missing.returncode, "No such file" in missing.stderr) == (1, True)
