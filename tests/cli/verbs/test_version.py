"""C{version} and C{completion}."""

import os
import shutil
import subprocess
import sys

import pytest

from kongtx import KONG_VERSION, __version__
from tests.cli.conftest import Run


def test_the_version_names_the_contract(run: Run) -> None:
    result = run("version")
    assert (result.exit_code, result.output) == (0, f"{__version__} (Kong {KONG_VERSION})\n")


@pytest.mark.parametrize("option", ["-a", "--all"])
def test_all_versions_are_lines(run: Run, option: str) -> None:
    lines = run("version", option).stdout.splitlines()
    assert lines[:2] == [f"kongtx: {__version__}", f"Kong: {KONG_VERSION}"]
    assert [line.partition(":")[0] for line in lines[2:]] == [
        "Python",
        "Twisted",
        "uvloop",
        "httptools",
        "h2",
        "cryptography",
        "lmdb",
    ]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_completion_script_is_printed(run: Run, shell: str) -> None:
    result = run("completion", shell)
    assert result.exit_code == 0
    assert f"_KONGTX_COMPLETE={shell}_complete" in result.stdout


def test_an_unknown_shell_is_told(run: Run) -> None:
    result = run("completion", "csh")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "'csh' is not one of 'bash', 'zsh', 'fish'" in result.stderr


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_bash_completes_verbs() -> None:
    words = subprocess.run(
        [sys.executable, "-m", "kongtx.cli.main"],
        env={
            **os.environ,
            "_KONGTX_COMPLETE": "bash_complete",
            "COMP_WORDS": "kongtx he",
            "COMP_CWORD": "1",
        },
        capture_output=True,
        text=True,
        check=False,
    ).stdout.splitlines()
    assert words == ["plain,health"]
