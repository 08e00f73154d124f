"""What kongtx brings to pytest, in runs of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

#: Without C{pytest_twisted}, as where only kongtx and pytest are installed.
WITHOUT = """
import sys
sys.modules["pytest_twisted"] = None
import pytest
sys.exit(pytest.main(["-q", "-p", "kongtx.testing.entry"]))
"""

ASYNCIO = """
from pytest_twisted import ensureDeferred
from twisted.internet import reactor
from twisted.internet.asyncioreactor import AsyncioSelectorReactor


@ensureDeferred
async def test_proxying(make_gateway, upstream):
    assert isinstance(reactor, AsyncioSelectorReactor)
    routes = [{"paths": ["/"]}]
    gateway = await make_gateway({"services": [{"url": upstream.url, "routes": routes}]})
    assert (await gateway.client.get("/")).status == 200
"""


def run(folder: Path, *arguments: str, **environment: str) -> str:
    path = os.pathsep.join(filter(None, sys.path))
    ran = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return ran.stdout + ran.stderr


def test_who_does_not_test_plugins_is_not_disturbed(tmp_path: Path) -> None:
    (tmp_path / "test_other.py").write_text("def test_other():\n    assert True\n")
    output = run(tmp_path, "-c", WITHOUT, PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")
    assert "1 passed" in output, output


def test_the_reactor_is_the_projects_choice(tmp_path: Path) -> None:
    (tmp_path / "test_asyncio.py").write_text(ASYNCIO)
    output = run(tmp_path, "-m", "pytest", "-q", "--reactor", "asyncio")
    assert "1 passed" in output, output
