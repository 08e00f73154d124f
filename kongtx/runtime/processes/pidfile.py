"""The file that says which process is the node's master, and that there is one at all.

The master holds a lock on the file for as long as it lives. So a file that a killed master left
behind says nothing, and a process id that was used again by another program is never taken for
the master's.
"""

from __future__ import annotations

import contextlib
import fcntl
import os

from kongtx.runtime.errors import AlreadyRunningError, PrefixError


def running_pid(path: str) -> int | None:
    """The process id of the node's master; L{None} when none runs.

    @param path: of the file, which need not be there.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return _read(fd)
    finally:
        os.close(fd)
    return None


def _read(fd: int) -> int:
    """The number in the file; 0 when the master has not yet written it."""
    text = os.pread(fd, 32, 0).strip()
    return int(text) if text.isdigit() else 0


class PidFile:
    """This node's file.

    @param prefix: for messages.
    """

    def __init__(self, path: str, prefix: str) -> None:
        self.path = path
        self._prefix = prefix
        self._fd = -1

    def acquire(self) -> None:
        """Take the lock; a fork shares it.

        @raise AlreadyRunningError: another master has it.
        @raise PrefixError: the file cannot be written.
        """
        try:
            fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise PrefixError(f"cannot write {self.path}: {error.strerror}") from error
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            pid = _read(fd)
            os.close(fd)
            raise AlreadyRunningError(self._prefix, pid) from None
        self._fd = fd

    def write(self) -> None:
        """Put this process's id into the file."""
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, b"%d\n" % os.getpid(), 0)

    def release(self) -> None:
        """Remove the file and let the lock go."""
        if self._fd < 0:
            return
        # Removed while locked: whoever comes next makes and locks a new one.
        with contextlib.suppress(OSError):
            os.unlink(self.path)
        self.close()

    def close(self) -> None:
        """Let go of the file in a process that is not the master: the other side of a fork."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
