"""Fixtures of tests that use the Admin API from other programs."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def admin_url(tmp_path: Path) -> Iterator[str]:
    """The URL of an Admin API in a process of its own, over a new database."""
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.integration.live_admin", str(tmp_path / "kongtx.db")],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdin is not None
    assert server.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(server.stdout.readline())}"
    finally:
        server.stdin.close()
        server.stdout.close()
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
