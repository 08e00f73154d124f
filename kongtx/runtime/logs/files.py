"""Log files: opened by path or standard stream, written whole lines at a time, reopened on demand.

Every write goes to a descriptor opened for appending, so that the lines of several processes do
not mix.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable
from typing import Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from kongtx.runtime.errors import LogFileError

#: Bytes that a buffered file keeps at most before it writes them.
BUFFER_SIZE = 64 * 1024
#: Seconds after which a buffered file writes what it has.
FLUSH_AFTER = 0.2

_STREAMS = {"/dev/stdout": 1, "/dev/stderr": 2}


class Owner(Protocol):
    """Whom a log belongs to: L{kongtx.runtime.privileges.User}."""

    @property
    def uid(self) -> int: ...
    @property
    def gid(self) -> int: ...


#: Changes text before it is written: L{kongtx.runtime.logs.redact.Redactor}.
Filter = Callable[[bytes], bytes]


def log_path(prefix: str, value: str | None) -> str | None:
    """Where a log goes.

    @param value: as configured: a path, relative to the prefix or absolute, or C{off}.
    @return: an absolute path, or L{None} for no log.
    @raise LogFileError: it names a destination that kongtx does not write to.
    """
    if value is None or value.strip() in ("", "off"):
        return None
    value = value.strip()
    if value.startswith("syslog:"):
        raise LogFileError(
            f"a log cannot go to {value}: name a file, /dev/stdout or /dev/stderr (the syslog "
            "plugin sends request logs to syslog)"
        )
    return os.path.join(prefix, value)


def open_log(path: str, owner: Owner | None = None) -> int:
    """A descriptor for appending to a log; made, for owner and group alone to read, if missing.

    The standard streams are duplicated rather than opened by name, which a process that gave up
    its privileges may not do.

    @param owner: whom the file is to belong to.
    @raise LogFileError: it cannot be opened.
    """
    stream = _STREAMS.get(path)
    try:
        if stream is not None:
            return os.dup(stream)
        fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
        if owner is not None and stat.S_ISREG(os.fstat(fd).st_mode):
            os.fchown(fd, owner.uid, owner.gid)
        return fd
    except OSError as error:
        raise LogFileError(f"cannot open the log {path}: {error.strerror}") from error


class LogFile:
    """One open log.

    @param path: absolute.
    @param clock: for the flush of buffered lines.
    @param redact: applied to everything that is written.
    """

    def __init__(
        self, path: str, clock: IReactorTime, redact: Filter, owner: Owner | None = None
    ) -> None:
        self.path = path
        self._clock = clock
        self._redact = redact
        self._owner = owner
        self._fd = open_log(path, owner)
        self._lines: list[bytes] = []
        self._size = 0
        self._flush_call: IDelayedCall | None = None
        self._is_failing = False

    def write(self, line: bytes) -> None:
        """Write a line, with its line end, at once; after what waits in the buffer."""
        self._lines.append(line)
        self.flush()

    def write_later(self, line: bytes) -> None:
        """Write a line soon, together with others. Hot path."""
        self._lines.append(line)
        self._size += len(line)
        if self._size > BUFFER_SIZE:
            self.flush()
        elif self._flush_call is None:
            self._flush_call = self._clock.callLater(FLUSH_AFTER, self._flush_due)

    def _flush_due(self) -> None:
        self._flush_call = None
        self.flush()

    def flush(self) -> None:
        """Write what waits. A log that cannot be written loses lines, never the gateway."""
        if not self._lines or self._fd < 0:
            return
        data = self._redact(b"".join(self._lines))
        self._lines.clear()
        self._size = 0
        try:
            while data:
                data = data[os.write(self._fd, data) :]
        except OSError as error:
            self._complain(error)
        else:
            self._is_failing = False

    def _complain(self, error: OSError) -> None:
        # Once until it works again, and past the logger, which may be what failed.
        if not self._is_failing:
            self._is_failing = True
            sys.stderr.write(f"kongtx: cannot write to {self.path}: {error.strerror}\n")

    def reopen(self) -> None:
        """Go on in the file that has the path now.

        @raise LogFileError: it cannot be opened; the old one stays in use.
        """
        self.flush()
        old, self._fd = self._fd, open_log(self.path, self._owner)
        os.close(old)

    def close(self) -> None:
        """Write what waits and close."""
        if self._fd < 0:
            return
        self.flush()
        if self._flush_call is not None:
            self._flush_call.cancel()
            self._flush_call = None
        os.close(self._fd)
        self._fd = -1


class LogFiles:
    """The logs of a process; logs with the same path share a file.

    @param owner: whom they belong to; L{None} for the process's own user.
    """

    def __init__(
        self, prefix: str, clock: IReactorTime, redact: Filter, owner: Owner | None = None
    ) -> None:
        self._prefix = prefix
        self._owner = owner
        self._clock = clock
        self._redact = redact
        self._files: dict[str, LogFile] = {}

    def get(self, value: str | None) -> LogFile | None:
        """The file of a configured log; L{None} when it is off.

        @raise LogFileError: it cannot be opened.
        """
        path = log_path(self._prefix, value)
        if path is None:
            return None
        if path not in self._files:
            self._files[path] = LogFile(path, self._clock, self._redact, self._owner)
        return self._files[path]

    def reopen(self) -> list[LogFileError]:
        """Reopen every file; what went wrong."""
        errors = []
        for file in self._files.values():
            try:
                file.reopen()
            except LogFileError as error:
                errors.append(error)
        return errors

    def close(self) -> None:
        """Write what waits and close every file."""
        for file in self._files.values():
            file.close()
        self._files.clear()
