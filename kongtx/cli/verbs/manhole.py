"""C{kongtx manhole}: a prompt in a running worker."""

from __future__ import annotations

import os
import re
import select
import socket
import sys
import termios
import tty
from pathlib import Path

import click

from kongtx.cli.errors import CommandError
from kongtx.cli.nodes import existing_prefix
from kongtx.cli.options import Command, conf_option, prefix_option
from kongtx.conf import effective

#: Signs for terminals (ECMA-48): with parameters, or of one letter; and the beginning of one.
_SIGN = re.compile(rb"\x1b(\[[0-9;?]*[ -/]*[@-~]|[^\[])")
_LINE_END = re.compile(rb"\x1bE|\r+\n")
_BEGUN = re.compile(rb"(\x1b(\[[0-9;?]*[ -/]*)?|\r+)\Z")


@click.command("manhole", cls=Command)
@click.option("--worker", type=int, default=0, show_default=True, help="Which of the workers.")
@conf_option
@prefix_option
def command(worker: int, conf: str | None, prefix: str | None) -> None:
    """Open a Python prompt in a worker of a running node; Ctrl-D leaves it.

    The node must have been started with manhole = unix.
    """
    path = find(existing_prefix(prefix, conf), worker)
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(path)
        talk(connection)


def find(prefix: str, worker: int) -> str:
    """The socket of a worker's prompt; of several generations the newest.

    @raise CommandError: there is none.
    """
    sockets = Path(effective.read(prefix).socket_path).glob(f"manhole-{worker}.*.sock")
    found = sorted(sockets, key=lambda path: path.stat().st_mtime_ns)
    if not found:
        raise CommandError(
            f"worker {worker} of the node at {prefix} has no prompt; start the node with "
            "manhole = unix"
        )
    return str(found[-1])


def talk(connection: socket.socket) -> None:
    """Connect the terminal, or whatever is standard input, with the prompt, until one ends.

    What does not go to a terminal goes without the signs that only a terminal understands.
    """
    source, target = sys.stdin.fileno(), sys.stdout.fileno()
    is_terminal = os.isatty(source)
    text = None if os.isatty(target) else PlainText()
    before = termios.tcgetattr(source) if is_terminal else None
    if is_terminal:
        tty.setraw(source)
    watched = [source, connection.fileno()]
    try:
        while True:
            readable, _, _ = select.select(watched, [], [])
            if connection.fileno() in readable:
                data = connection.recv(4096)
                if not data:
                    return
                os.write(target, data if text is None else text.of(data))
            if source in readable:
                data = os.read(source, 4096)
                if data:
                    connection.sendall(data if is_terminal else data.replace(b"\n", b"\r"))
                else:  # end the last line, or block of lines, and then as Ctrl-D in a terminal
                    connection.sendall(b"\r\x04")
                    watched.remove(source)
    finally:
        if before is not None:
            termios.tcsetattr(source, termios.TCSADRAIN, before)


class PlainText:
    """What a terminal would show, in the order in which it comes."""

    def __init__(self) -> None:
        self._rest = b""

    def of(self, data: bytes) -> bytes:
        """The text in some more bytes; a sign that is not whole yet waits for its end."""
        data = self._rest + data
        begun = _BEGUN.search(data)
        self._rest = begun[0] if begun else b""
        whole = data[: len(data) - len(self._rest)]
        return _SIGN.sub(b"", _LINE_END.sub(b"\n", whole))
