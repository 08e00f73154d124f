"""TLS passes its tests on the native reactor, too."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
PROGRAM = """
import sys, pytest
from kongtx.net.reactor import install
install()
sys.exit(pytest.main(sys.argv[1:]))
"""


@pytest.mark.long
def test_tls_works_on_the_native_reactor() -> None:
    pytest.importorskip("uvloop")
    here = "tests/tls"
    ignored = [f"--ignore={here}/{name}.py" for name in ("test_native", "test_listener_process")]
    plugins = [f"tests/plugins/{name}" for name in ("tls_metadata_headers", "mtls_auth")]
    options = ["-q", "--reactor=asyncio", "-p", "no:cacheprovider", here]
    finished = subprocess.run(
        [sys.executable, "-c", PROGRAM, *options, *ignored, *plugins],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
