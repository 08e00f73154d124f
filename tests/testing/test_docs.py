"""The examples of the pages on plugins are tests that pass, anywhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def blocks(page: str) -> list[str]:
    found = re.findall(r"\.\. code-block:: python\n\n((?:    .*\n|\n)+)", (DOCS / page).read_text())
    return [textwrap.dedent(block) for block in found]


def outcome(folder: Path) -> str:
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return ran.stdout + ran.stderr


def test_the_examples_pass_in_a_project_of_their_own(tmp_path: Path) -> None:
    examples = blocks("plugin-testing.rst")
    assert len(examples) == 3
    for number, example in enumerate(examples):
        (tmp_path / f"test_{number}.py").write_text(example)
    assert "4 passed" in outcome(tmp_path)


def test_a_plugin_with_entities_and_endpoints_of_its_own_is_as_the_page_says(
    tmp_path: Path,
) -> None:
    _, plugin, test = blocks("writing-plugins.rst")
    (tmp_path / "test_greeter.py").write_text(plugin + test)
    assert "1 passed" in outcome(tmp_path)
