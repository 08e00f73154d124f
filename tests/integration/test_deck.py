"""decK, unmodified: what it syncs is what it then finds.

decK is taken from C{KONGTX_TEST_DECK}, from PATH, from the folder that an earlier run built it in,
or built with Go. Where none of these works the tests are skipped, with the reason.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import trustme
import yaml

pytestmark = pytest.mark.long

MODULE = "github.com/kong/deck@latest"
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "kongtx-tests" / "bin"


def find_deck() -> str:
    """The program, built if need be."""
    for found in (os.environ.get("KONGTX_TEST_DECK"), shutil.which("deck"), str(CACHE / "deck")):
        if found and os.access(found, os.X_OK):
            return found
    go = shutil.which("go")
    if go is None:
        pytest.skip("decK was not tested: there is neither deck nor go; install one of them")
    try:
        built = subprocess.run(
            [go, "install", MODULE],
            env={**os.environ, "GOBIN": str(CACHE)},
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )
    except subprocess.TimeoutExpired:
        pytest.skip(f"decK was not tested: go install {MODULE} took more than 15 minutes")
    if built.returncode:
        pytest.skip(f"decK was not tested: go install {MODULE} failed: {built.stderr.strip()}")
    return str(CACHE / "deck")


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
    """Every kind of entity that decK and the open source gateway both know."""
    authority = trustme.CA()
    issued = authority.issue_cert("secure.test")
    return {
        "_format_version": "3.0",
        "_info": {"select_tags": ["team-a"]},
        "services": [
            {
                "name": "users",
                "host": "users.test",
                "port": 8080,
                "path": "/v1",
                "tags": ["extra"],
                "routes": [
                    {
                        "name": "users",
                        "paths": ["/users", "~/people/\\d+$"],
                        "methods": ["GET", "POST"],
                        "plugins": [{"name": "cors", "config": {"origins": ["https://a.test"]}}],
                    }
                ],
                "plugins": [{"name": "rate-limiting", "config": {"minute": 5, "policy": "local"}}],
            },
            {"name": "secure", "host": "secure.test", "protocol": "https", "port": 443},
        ],
        "routes": [{"name": "alone", "hosts": ["alone.test"], "protocols": ["https"]}],
        "upstreams": [
            {
                "name": "users.test",
                "algorithm": "consistent-hashing",
                "hash_on": "header",
                "hash_on_header": "x-user",
                "healthchecks": {"active": {"healthy": {"interval": 5, "successes": 2}}},
                "targets": [
                    {"target": "10.0.0.1:80", "weight": 10},
                    {"target": "b.test:8080"},
                ],
            }
        ],
        "consumers": [
            {
                "username": "bob",
                "custom_id": "1",
                "keyauth_credentials": [{"key": "a-key"}],
                "hmacauth_credentials": [{"username": "bob", "secret": "s"}],
                "jwt_secrets": [{"key": "issuer", "secret": "s", "algorithm": "HS256"}],
                "acls": [{"group": "admins"}],
                "plugins": [{"name": "request-size-limiting"}],
            }
        ],
        "certificates": [
            {
                "id": "6f1ac8d4-3c8e-4a1c-9d4e-6a9d7f3b0001",
                "cert": issued.cert_chain_pems[0].bytes().decode(),
                "key": issued.private_key_pem.bytes().decode(),
                "snis": [{"name": "secure.test"}],
            }
        ],
        "ca_certificates": [
            {
                "id": "6f1ac8d4-3c8e-4a1c-9d4e-6a9d7f3b0002",
                "cert": authority.cert_pem.bytes().decode(),
            }
        ],
        "vaults": [{"name": "env", "prefix": "my-env", "config": {"prefix": "SECRET_"}}],
        "plugins": [{"name": "prometheus"}, {"name": "key-auth", "enabled": False}],
    }


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
