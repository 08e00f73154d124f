"""The library that newer decKs are made of, and through it go-kong: what is synced is found again.

C{reconciler/main.go} uses it as decK does.
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.integration.go_programs import built
from tests.integration.states import state

pytestmark = pytest.mark.long


class Reconciler:
    """Runs the program against one Admin API, in a folder of its own."""

    def __init__(self, url: str, folder: Path) -> None:
        self.program = built("reconciler", ".")
        self.url = url
        self.folder = folder

    def __call__(self, *arguments: str, code: int = 0) -> str:
        done = subprocess.run(
            [self.program, self.url, *arguments],
            capture_output=True,
            text=True,
            cwd=self.folder,
            timeout=120,
            check=False,
        )
        assert done.returncode == code, f"{arguments}: {done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def write(self, name: str, content: dict[str, Any]) -> str:
        (self.folder / name).write_text(yaml.safe_dump(content, sort_keys=False))
        return name

    def dump(self, *tags: str) -> dict[str, Any]:
        (self.folder / "dump.yaml").unlink(missing_ok=True)
        self("dump", "dump.yaml", *tags)
        dumped: dict[str, Any] = yaml.safe_load((self.folder / "dump.yaml").read_text())
        return dumped


@pytest.fixture
def reconciler(admin_url: str, tmp_path: Path) -> Reconciler:
    return Reconciler(admin_url, tmp_path)


def test_the_gateway_is_known_as_kong(reconciler: Reconciler) -> None:
    assert reconciler("ping") == "3.9.0\n"  # the library drops the patch level


def test_what_is_synced_is_found_again(reconciler: Reconciler) -> None:
    wanted = state()
    file = reconciler.write("kong.yaml", wanted)
    reconciler("diff", file, code=2)
    reconciler("sync", file)
    reconciler("diff", file)
    dumped = reconciler.dump("team-a")
    for kind in ("routes", "upstreams", "consumers", "certificates", "vaults", "plugins"):
        assert len(dumped[kind]) == len(wanted[kind]), kind
    assert [service["name"] for service in dumped["services"]] == ["secure", "users"]
    reconciler("diff", reconciler.write("again.yaml", dumped))


def test_changes_are_made_alone(reconciler: Reconciler) -> None:
    wanted = state()
    reconciler("sync", reconciler.write("kong.yaml", wanted))
    wanted["services"][0]["retries"] = 3
    wanted["services"][0]["plugins"][0]["config"]["minute"] = 6
    wanted["upstreams"][0]["targets"][0]["weight"] = 11
    wanted["consumers"][0]["acls"] = []
    file = reconciler.write("changed.yaml", wanted)
    assert "created 0, updated 3, deleted 1" in reconciler("diff", file, code=2)
    reconciler("sync", file)
    reconciler("diff", file)


def test_other_teams_entities_are_left_alone(reconciler: Reconciler) -> None:
    reconciler("sync", reconciler.write("a.yaml", state()))
    other = {
        "_format_version": "3.0",
        "_info": {"select_tags": ["team-b"]},
        "services": [{"name": "other", "host": "other.test"}],
    }
    reconciler("sync", reconciler.write("b.yaml", other))
    reconciler("reset", "team-a")
    assert [service["name"] for service in reconciler.dump()["services"]] == ["other"]
    reconciler("reset")
    assert "services" not in reconciler.dump()


def test_what_the_gateway_refuses_is_told(reconciler: Reconciler) -> None:
    bad = {"_format_version": "3.0", "services": [{"name": "x", "host": "h", "port": 70000}]}
    told = reconciler("sync", reconciler.write("bad.yaml", bad), code=1)
    assert "schema violation (port: value should be between 0 and 65535)" in told
