"""Into the background, with word back to whoever started the node."""

from __future__ import annotations

import contextlib
import os
import sys

from kongtx.runtime.errors import RuntimeSetupError
from kongtx.runtime.logs.files import open_log

_READY = b"+"
_FAILED = b"-"
_GOES_ON = b"~"


class StartReport:
    """The background process's way to say how its start goes; how it went it says once.

    @param fd: the writing end of a pipe; negative in the foreground, where only progress is told.
    """

    def __init__(self, fd: int = -1) -> None:
        self._fd = fd
        self._is_over = False

    def progress(self, text: str) -> None:
        """The node waits for something.

        @param text: one line.
        """
        if self._is_over:
            return
        if self._fd < 0:
            sys.stderr.write(f"{text}\n")
            return
        line = " ".join(text.split()).encode("utf-8", "replace")
        with contextlib.suppress(BrokenPipeError):
            os.write(self._fd, _GOES_ON + line + b"\n")

    def ready(self) -> None:
        """The node serves."""
        self._is_over = True
        self._say(_READY)

    def failed(self, reason: str) -> None:
        """The node cannot start."""
        self._is_over = True
        self._say(_FAILED + reason.encode("utf-8", "replace"))

    def _say(self, what: bytes) -> None:
        if self._fd >= 0:
            # Whoever started the node may have gone away; that is no reason to fail.
            with contextlib.suppress(BrokenPipeError):
                os.write(self._fd, what)
            os.close(self._fd)
            self._fd = -1


def to_background() -> StartReport | None:
    """Fork.

    @return: in the background process its report; in the process that called, L{None}, once the
        node serves.
    @raise RuntimeSetupError: in the process that called, when the node could not start.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child:
        os.close(writing)
        os.waitpid(child, 0)
        _await_start(reading)
        return None
    os.close(reading)
    os.setsid()
    if os.fork():
        # The session's leader goes, so that the node can never get a terminal again.
        os._exit(0)
    _leave_terminal()
    return StartReport(writing)


def _leave_terminal() -> None:
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    if null > 2:
        os.close(null)


def redirect_output(path: str | None) -> None:
    """Send standard output and error to a log.

    @param path: of the log; L{None} leaves them as they are.
    @raise kongtx.runtime.errors.LogFileError: it cannot be opened.
    """
    if path is None:
        return
    log = open_log(path)
    for fd in (1, 2):
        os.dup2(log, fd)
    os.close(log)


def _tell_progress(said: bytearray) -> None:
    """Show the lines that only say how it goes, and take them out."""
    while said.startswith(_GOES_ON) and (end := said.find(b"\n")) > 0:
        sys.stderr.write(f"{said[1:end].decode('utf-8', 'replace')}\n")
        del said[: end + 1]


def _await_start(reading: int) -> None:
    said = bytearray()
    with open(reading, "rb", buffering=0) as pipe:
        while chunk := pipe.read(4096):
            said += chunk
            _tell_progress(said)
    if said == _READY:
        return
    reason = said[1:].decode("utf-8", "replace") if said[:1] == _FAILED else ""
    raise RuntimeSetupError(reason or "kongtx ended while it was starting; see its error log")
