"""decK, unmodified: what it syncs is what it then finds.

decK is taken from C{KONGTX_TEST_DECK}, from PATH, or built with Go at the version in
C{deck/go.mod}. Where none of these works the tests are skipped, with the reason.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.integration.go_programs import built
from tests.integration.states import state as newer_state

pytestmark = pytest.mark.long


def find_deck() -> str:
    """The program, built if need be."""
    for found in (os.environ.get("KONGTX_TEST_DECK"), shutil.which("deck")):
        if found and os.access(found, os.X_OK):
            return found
    return built("deck", "github.com/kong/deck")


class Deck:
    """Runs decK against one Admin API, in a folder of its own."""

    def __init__(self, program: str, url: str, folder: Path) -> None:
        self.program = program
        self.url = url
        self.folder = folder

    def __call__(self, *arguments: str, code: int = 0) -> str:
        done = subprocess.run(
            [self.program, *arguments, "--kong-addr", self.url, "--no-color"],
            capture_output=True,
            text=True,
            cwd=self.folder,
            timeout=300,
            check=False,
            env={**os.environ, "DECK_ANALYTICS": "off"},
        )
        assert done.returncode == code, f"{arguments}: {done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def write(self, name: str, state: dict[str, Any]) -> str:
        (self.folder / name).write_text(yaml.safe_dump(state, sort_keys=False))
        return name

    def dump(self, *arguments: str) -> dict[str, Any]:
        path = self.folder / "dump.yaml"
        path.unlink(missing_ok=True)
        self("gateway", "dump", "--output-file", str(path), *arguments)
        dumped: dict[str, Any] = yaml.safe_load(path.read_text())
        return dumped


@pytest.fixture(scope="session")
def deck_program() -> str:
    return find_deck()


@pytest.fixture
def deck(deck_program: str, admin_url: str, tmp_path: Path) -> Deck:
    return Deck(deck_program, admin_url, tmp_path)


def state() -> dict[str, Any]:
    """What a decK from before Kong 3.9 understands.

    It does not know that the fields redis_* that rate-limiting answers with stand for others.
    """
    made = newer_state()
    made["services"][0]["plugins"][0] = {"name": "request-termination", "config": {"trigger": "x"}}
    return made


def test_ping(deck: Deck) -> None:
    assert "Successfully connected" in deck("gateway", "ping")


def test_what_is_synced_is_found_again(deck: Deck) -> None:
    file = deck.write("kong.yaml", state())
    deck("gateway", "validate", file)
    deck("gateway", "sync", file)
    deck("gateway", "diff", file, "--non-zero-exit-code")
    dumped = deck.dump("--select-tag", "team-a")
    assert [service["name"] for service in dumped["services"]] == ["secure", "users"]
    again = deck.write("again.yaml", dumped)
    deck("gateway", "diff", again, "--non-zero-exit-code")


def test_other_teams_entities_are_left_alone(deck: Deck) -> None:
    deck("gateway", "sync", deck.write("a.yaml", state()))
    other = {
        "_format_version": "3.0",
        "_info": {"select_tags": ["team-b"]},
        "services": [{"name": "other", "host": "other.test"}],
    }
    deck("gateway", "sync", deck.write("b.yaml", other))
    names = [service["name"] for service in deck.dump()["services"]]
    assert sorted(names) == ["other", "secure", "users"]
    deck("gateway", "reset", "--force", "--select-tag", "team-a")
    assert [service["name"] for service in deck.dump()["services"]] == ["other"]
    deck("gateway", "reset", "--force")
    assert "services" not in deck.dump()


def test_changes_are_seen_and_bad_files_refused(deck: Deck) -> None:
    file = deck.write("kong.yaml", state())
    deck("gateway", "sync", file)
    changed = state()
    changed["services"][0]["retries"] = 3
    changed["certificates"] = yaml.safe_load((deck.folder / file).read_text())["certificates"]
    changed["ca_certificates"] = yaml.safe_load((deck.folder / file).read_text())["ca_certificates"]
    deck("gateway", "diff", deck.write("changed.yaml", changed), "--non-zero-exit-code", code=2)
    bad = {"_format_version": "3.0", "services": [{"name": "x", "host": "h", "port": 70000}]}
    deck("gateway", "validate", deck.write("bad.yaml", bad), code=1)
