"""Pages that are run: the files and commands in a page, and a shell that they are given to.

A block with a caption is a file of that name. In a block C{console}, a line that begins with C{$ }
is a command, lines after it that begin with C{> } belong to it, and the other lines are what it
prints. A command that shows nothing prints nothing. In what is printed, C{...} stands for anything
within a line, and alone in a line for any number of lines.
"""

from __future__ import annotations

import os
import re
import select
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import attrs

_DIRECTIVE = re.compile(r"\.\. code-block:: (\S+)")
_CAPTION = re.compile(r" +:caption: (.+)")
_END = "this was the command's output; its status is"


@attrs.frozen
class File:
    """A file that readers are asked to write."""

    path: str
    text: str


@attrs.frozen
class Command:
    """A command line, and what it is said to print."""

    line: int
    text: str
    output: str


def steps_of(page: str) -> Iterator[File | Command]:
    """What a reader of a page in reStructuredText is asked to do, in its order."""
    lines = page.split("\n")
    for number, line in enumerate(lines):
        directive = _DIRECTIVE.fullmatch(line)
        if directive is None:
            continue
        caption = _CAPTION.fullmatch(lines[number + 1])
        begin = number + (2 if caption else 1)
        body = list(_indented(lines[begin:]))
        if caption:
            yield File(caption[1], "\n".join(body).strip("\n") + "\n")
        elif directive[1] == "console":
            yield from _commands(body, begin + 1)


def _indented(lines: list[str]) -> Iterator[str]:
    for line in lines:
        if line and not line.startswith("    "):
            return
        yield line[4:]


def _commands(body: list[str], first_line: int) -> Iterator[Command]:
    found: list[tuple[int, list[str], list[str]]] = []
    for number, line in enumerate(body, first_line):
        if line.startswith("$ "):
            found.append((number, [line[2:]], []))
        elif not found:
            assert not line, f"line {number}: {line!r} comes before any command"
        elif line.startswith("> "):
            found[-1][1].append(line[2:])
        else:
            found[-1][2].append(line)
    for number, command, output in found:
        yield Command(number, "\n".join(command), "\n".join(output).rstrip("\n"))


def agrees(shown: str, printed: str) -> bool:
    """Whether what was printed is what a page shows."""
    pattern = ""
    for line in shown.split("\n") if shown else ():
        if line == "...":
            pattern += r"(?:[^\n]*\n)*?"
        else:
            pattern += r"[^\n]*".join(re.escape(part) for part in line.rstrip().split("..."))
            pattern += r"\n"
    lines = [line.rstrip() for line in printed.rstrip("\n").split("\n")]
    return re.fullmatch(pattern, "\n".join(lines) + "\n" if printed.strip() else "") is not None


class Shell:
    """A shell that keeps its directory, variables and jobs from one command to the next."""

    def __init__(self, directory: Path, environment: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            cwd=directory,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    @property
    def group(self) -> int:
        """The process group of the shell and of what it has in the background."""
        return self._process.pid

    def run(self, command: str, timeout: float) -> tuple[int, str]:
        """Run a command.

        @param timeout: seconds.
        @return: its status, and what it and everything in the background has printed.
        @raise TimeoutError: with what it had printed until then.
        """
        assert self._process.stdin is not None
        # The command reads no input, least of all the commands after it.
        text = f'{{ {command}\n}} </dev/null\necho "{_END} $?"\n'
        self._process.stdin.write(text.encode())
        self._process.stdin.flush()
        return self._read(time.monotonic() + timeout)

    def _read(self, give_up: float) -> tuple[int, str]:
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        printed = b""
        end = re.compile(re.escape(_END).encode() + rb" (\d+)\n")
        while (found := end.search(printed)) is None:
            left = give_up - time.monotonic()
            piece = b""
            if left > 0 and select.select([descriptor], [], [], left)[0]:
                piece = os.read(descriptor, 65536)
            if not piece:
                raise TimeoutError(printed.decode(errors="replace"))
            printed += piece
        return int(found[1]), printed[: found.start()].decode(errors="replace")

    def close(self) -> None:
        """End the shell; what it has in the background goes on."""
        self._process.kill()
        self._process.communicate()
