"""How far the log of a server's writes is known to be, by all processes of a node."""

from __future__ import annotations

import fcntl
import mmap
import os

_SIZE = 8


def number_of(position: str) -> int:
    """A position as PostgreSQL writes it, such as C{1/A0}, as a number."""
    high, low = position.split("/")
    return (int(high, 16) << 32) + int(low, 16)


def text_of(number: int) -> str:
    """A position as PostgreSQL writes it."""
    return f"{number >> 32:X}/{number & 0xFFFFFFFF:X}"


class KnownPosition:
    """The furthest position that was heard of; 0 at first.

    It lies in memory that the processes share, so that whoever is told of a write, by whatever way,
    knows what a copy must have to show it.
    """

    def __init__(self) -> None:
        self._shared: mmap.mmap | None = None
        self._number: memoryview = memoryview(bytearray(_SIZE)).cast("Q")
        self._file = -1

    def share(self, path: str) -> None:
        """Know what those know that share the file with this path, and the other way round."""
        known = self.number
        self.close()
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.ftruncate(self._file, _SIZE)
        self._shared = mmap.mmap(self._file, _SIZE)
        self._number = memoryview(self._shared).cast("Q")
        self.reach(known)

    @property
    def number(self) -> int:
        """The position."""
        return int(self._number[0])

    def reach(self, number: int) -> None:
        """Take note of a position, unless a further one is known."""
        if number <= self.number:
            return
        if self._shared is None:
            self._number[0] = number
            return
        fcntl.lockf(self._file, fcntl.LOCK_EX)
        try:
            self._number[0] = max(self.number, number)
        finally:
            fcntl.lockf(self._file, fcntl.LOCK_UN)

    def close(self) -> None:
        """Let go of the file; what is known stays known here."""
        if self._shared is None:
            return
        known = memoryview(bytearray(_SIZE)).cast("Q")
        known[0] = self.number
        self._number.release()
        self._shared.close()
        os.close(self._file)
        self._shared, self._number, self._file = None, known, -1
