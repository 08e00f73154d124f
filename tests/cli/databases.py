"""What commands do with databases, whichever it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import attrs
import yaml

from tests.cli.conftest import Kongtx

NEEDED = (
    "Database needs bootstrapping or is older than Kong 1.0.\n\n"
    "To start a new installation from scratch, run 'kongtx migrations bootstrap'.\n"
)

DOCUMENT = {
    "_format_version": "3.0",
    "services": [
        {
            "name": "s",
            "url": "http://h.test/p",
            "tags": ["t"],
            "routes": [{"name": "r", "paths": ["/"]}],
            "plugins": [{"name": "rate-limiting", "config": {"minute": 5}}],
        }
    ],
    "consumers": [
        {
            "username": "bob",
            "keyauth_credentials": [{"key": "k", "ttl": 4_000_000_000}],
            "basicauth_credentials": [{"username": "u", "password": "p"}],
        }
    ],
    "upstreams": [{"name": "u", "targets": [{"target": "a.test"}]}],
}


def timeless(document: dict[str, Any]) -> dict[str, Any]:
    """A document without the times of change, which are those of the import."""
    return {
        name: [{**row, "updated_at": 0} for row in rows] if isinstance(rows, list) else rows
        for name, rows in document.items()
    }


#: Has a node listen nowhere.
NOWHERE = {f"KONG_{kind}_LISTEN": "off" for kind in ("PROXY", "ADMIN", "STATUS", "ADMIN_GUI")}


def bootstrapped(name: str) -> str:
    """What is printed when a database has been set up."""
    return (
        "Bootstrapping database...\n"
        f"migrating core on database '{name}'...\n"
        "core migrated up to: 000_base (executed)\n"
        "1 migrations processed\n1 executed\nDatabase is up-to-date\n"
    )


def check_from_nothing_to_nothing(kongtx: Kongtx, name: str, **properties: str) -> None:
    """Set an empty database up and remove everything, as each of the verbs tells.

    @param name: of the database.
    @param properties: of the environment, that make commands use it.
    """

    def told(*arguments: str) -> tuple[int, str]:
        done = kongtx("migrations", *arguments, **properties)
        return done.returncode, done.stdout

    assert told("list") == (3, NEEDED)
    for verb in ("up", "finish"):
        failed = kongtx("migrations", verb, **properties)
        assert failed.returncode == 1
        assert "Cannot run migrations: Database needs bootstrapping" in failed.stderr
    assert told("bootstrap") == (0, bootstrapped(name))
    assert told("bootstrap") == (0, "Database already bootstrapped\n")
    assert told("up") == (0, "Database is already up-to-date\n")
    assert told("list") == (0, "Executed migrations:\ncore: 000_base\n")
    assert told("reset", "--yes") == (0, "Resetting database...\nDatabase successfully reset\n")
    assert json.loads(told("status")[1])["needs_bootstrap"] is True


def check_start_is_refused(kongtx: Kongtx, **properties: str) -> None:
    """See that no node starts with an empty database, and that it is told what to do."""
    for arguments, text in (
        (("start",), "Database needs bootstrapping; run 'kongtx migrations bootstrap' to proceed"),
        (("start", "--run-migrations"), "Cannot run migrations: Database needs bootstrapping"),
    ):
        refused = kongtx(*arguments, **properties, **NOWHERE)
        assert refused.returncode == 1
        assert text in refused.stderr


@attrs.frozen
class Carrier:
    """Carries entities from one database to another, which properties of the environment name."""

    kongtx: Kongtx
    folder: Path

    def run(self, *arguments: str, **properties: str) -> str:
        """Run a command that must succeed; what it prints."""
        done = self.kongtx(*arguments, **properties)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def exported(self, name: str, **properties: str) -> dict[str, Any]:
        """Export into a file; its document, without times."""
        self.run("config", "db_export", name, **properties)
        document: dict[str, Any] = yaml.safe_load((self.folder / name).read_text())
        return timeless(document)

    def there_and_back(self, document: dict[str, Any], **properties: str) -> dict[str, Any]:
        """Carry a document's entities into an empty database, from there to SQLite, and back.

        @return: what was exported, which is the same each time.
        """
        (self.folder / "in.json").write_text(json.dumps(document))
        self.run("migrations", "bootstrap", **properties)
        self.run("config", "db_import", "in.json", **properties)
        first = self.exported("there.yml", **properties)
        self.run("config", "db_import", "there.yml")
        assert self.exported("sqlite.yml") == first
        self.run("migrations", "reset", "--yes", **properties)
        self.run("migrations", "bootstrap", **properties)
        self.run("config", "db_import", "sqlite.yml", **properties)
        assert self.exported("again.yml", **properties) == first
        return first
