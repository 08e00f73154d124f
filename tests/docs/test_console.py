"""How pages are read, and how what is printed is compared."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.console import Command, File, Shell, agrees, steps_of

PAGE = """
Text, and a file:

.. code-block:: ini
    :caption: a/b.conf

    x = 1

      y

.. code-block:: console

    $ one
    first line

    third line
    $ two \\
    >     more
    $ three

.. code-block:: python

    not_a_step()
"""


def test_files_and_commands_are_read_in_their_order() -> None:
    assert list(steps_of(PAGE)) == [
        File("a/b.conf", "x = 1\n\n  y\n"),
        Command(13, "one", "first line\n\nthird line"),
        Command(17, "two \\\n    more", ""),
        Command(19, "three", ""),
    ]


@pytest.mark.parametrize(
    ("shown", "printed", "expected"),
    [
        ("", "", True),
        ("", "something\n", False),
        ("a", "a\n", True),
        ("a", "ab\n", False),
        ("a", "a \r\n", True),
        ("a...c", "a b c\n", True),
        ("a...c", "a\nc\n", False),
        ("a\n...\nc", "a\nc\n", True),
        ("a\n...\nc", "a\n1\n2\nc\n", True),
        ("a\n...\nc", "a\n1\n2\nd\n", False),
        ("...", "", True),
        ("a+b", "aab\n", False),
    ],
)
def test_what_is_printed_is_compared(shown: str, printed: str, expected: bool) -> None:
    assert agrees(shown, printed) is expected


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    opened = Shell(tmp_path, {"PATH": "/usr/bin:/bin"})
    yield opened
    opened.close()


def test_a_shell_keeps_its_variables_and_directory(shell: Shell, tmp_path: Path) -> None:
    assert shell.run("x=1; mkdir d; cd d", 10) == (0, "")
    assert shell.run("echo $x; pwd", 10) == (0, f"1\n{tmp_path}/d\n")


def test_a_shell_tells_of_failures_and_goes_on(shell: Shell) -> None:
    assert shell.run("echo oops >&2; false", 10) == (1, "oops\n")
    assert shell.run("cat", 10) == (0, "")


def test_a_shell_waits_only_so_long(shell: Shell) -> None:
    with pytest.raises(TimeoutError, match="begun"):
        shell.run("echo begun; exec sleep 60", 0.3)
