"""The master process of a node, found by its pid file."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable

import attrs

_POLL_S = 0.05


@attrs.frozen
class Process:
    """A running master. @ivar pid: its process id."""

    pid: int

    def send(self, number: signal.Signals) -> None:
        """Send a signal.

        @raise PermissionError: when it belongs to somebody else.
        @raise ProcessLookupError: when it has ended.
        """
        os.kill(self.pid, number)


def find_process(pid_file: str) -> Process | None:
    """The process that a pid file names.

    A pid file may have been left behind by a node that was killed, and its number may since have
    been given to another program; both are C{None}.
    """
    try:
        with open(pid_file, encoding="ascii") as stream:
            pid = int(stream.read().strip())
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    return Process(pid) if pid > 0 and _is_kongtx(pid) else None


def _is_kongtx(pid: int) -> bool:
    """Whether a process lives and is one of kongtx, by its command line."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as stream:
            state = stream.read().rpartition(b")")[2].split()[:1]
        with open(f"/proc/{pid}/cmdline", "rb") as stream:
            command_line = stream.read()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in ([b"Z"], [b"X"]) and b"kongtx" in command_line


def wait_until(
    is_done: Callable[[], bool],
    timeout_s: float,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> bool:
    """Look again and again until something is so.

    @return: whether it was so within the time.
    """
    end = clock() + timeout_s
    while not is_done():
        if clock() >= end:
            return False
        sleep(_POLL_S)
    return True
