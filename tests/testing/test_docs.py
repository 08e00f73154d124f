"""The examples of the page on testing plugins are tests that pass, anywhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "plugin-testing.rst"


def test_the_examples_pass_in_a_project_of_their_own(tmp_path: Path) -> None:
    blocks = re.findall(r"\.\. code-block:: python\n\n((?:    .*\n|\n)+)", PAGE.read_text())
    assert len(blocks) == 3
    for number, block in enumerate(blocks):
        (tmp_path / f"test_{number}.py").write_text(textwrap.dedent(block))
    ran = subprocess.run(
        # Named, for checkouts that were installed before it was an entry point.
        [sys.executable, "-m", "pytest", "-q", "-p", "kongtx.testing.fixtures"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "4 passed" in ran.stdout, ran.stdout + ran.stderr
