"""C{password}."""

from __future__ import annotations

import subprocess
import sys

from kongtx.lib.passwords import parse


def run(text: str, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "kongtx.cli.main", "password", *options],
        input=text,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_hash_of_a_line_is_printed() -> None:
    made = run("pass:wörd \n", "--rounds", "1000")
    assert (made.returncode, made.stderr) == (0, "")
    hashed = parse(made.stdout.rstrip("\n"))
    assert hashed is not None
    assert hashed.rounds == 1000
    assert hashed.matches("pass:wörd ".encode())
    assert not hashed.matches("pass:wörd".encode())


def test_nothing_has_no_hash() -> None:
    made = run("")
    assert (made.returncode, made.stdout) == (1, "")
    assert "there is no password on standard input" in made.stderr


def test_rounds_that_protect_nothing_are_refused() -> None:
    assert run("x\n", "--rounds", "10").returncode != 0
