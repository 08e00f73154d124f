"""The tutorial, as a reader goes through it: in a fresh clone and a fresh virtual environment."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.docs.console import File, Shell, agrees, steps_of
from tests.integration.conftest import free_ports
from tests.postgres_server import PostgresServer

TOP = Path(__file__).parents[2]
PAGE = (TOP / "docs" / "tutorial.rst").read_text()

#: Seconds for one command; the longest is the installation.
PATIENCE = 300


@pytest.fixture
def directory() -> Iterator[Path]:
    """A directory with a clone of kongtx, whose path leaves room for those of UNIX sockets."""
    with tempfile.TemporaryDirectory(prefix="tutorial-") as name:
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=TOP, capture_output=True, check=True)
        # As they are here, so that a change can be tried before it is committed.
        for path in filter(None, listed.stdout.decode().split("\0")):
            copy = Path(name, "kongtx", path)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(TOP / path, copy)
        yield Path(name)


@pytest.fixture
def shell(directory: Path) -> Iterator[Shell]:
    """A shell in that directory that knows nothing of kongtx; all that it started is ended."""
    hidden = ("KONG_", "KONGTX_", "PYTHON", "PYTEST", "VIRTUAL_ENV", "COVERAGE")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(hidden)}
    shell = Shell(directory, kept)
    try:
        yield shell
    finally:
        for file in directory.glob("*/pids/kongtx.pid"):
            with suppress(ProcessLookupError):
                os.kill(int(file.read_text()), signal.SIGTERM)
        with suppress(ProcessLookupError):
            os.killpg(shell.group, signal.SIGKILL)
        shell.close()


def with_free_ports(page: str, postgres: int) -> str:
    """The page with other ports than its own, which may be in use."""
    page = re.sub(r"\b5432\b", str(postgres), page)
    shown = sorted(set(re.findall(r"(?:127\.0\.0\.1|localhost):(\d+)", page)))
    others = [port for port in ("8101", "8107") if port not in shown]
    for port, free in zip([*shown, *others], free_ports(len(shown) + len(others)), strict=True):
        page = re.sub(rf"\b{port}\b", str(free), page)
    return page


@pytest.mark.long
def test_each_command_of_the_tutorial_prints_what_is_shown(
    directory: Path, shell: Shell, postgres_server: PostgresServer
) -> None:
    postgres_server.run("CREATE DATABASE kong")
    for step in steps_of(with_free_ports(PAGE, postgres_server.port)):
        if isinstance(step, File):
            (directory / step.path).write_text(step.text)
            continue
        status, printed = shell.run(step.text, PATIENCE)
        told = f"tutorial.rst:{step.line}: $ {step.text}\n{printed}\nshown:\n{step.output}"
        assert status == 0, told
        assert agrees(step.output, printed), told
