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
    """The running master that a pid file names.

    The file of a node that was killed stays behind, and its number may since have been given to
    another program; as nobody holds the lock on it, it is C{None}.
    """
    from kongtx.runtime.processes.pidfile import running_pid  # noqa: PLC0415 - see start

    pid = running_pid(pid_file)
    return Process(pid) if pid else None


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
