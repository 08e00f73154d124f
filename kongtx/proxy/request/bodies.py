"""A request's body while it waits: in memory when short, else in a file without a name."""

from __future__ import annotations

import tempfile
from typing import IO, Final

#: What a body may take in memory, in bytes.
MEMORY_BYTES: Final = 256 * 1024
#: How much is read from the file at once.
PIECE_BYTES: Final = 64 * 1024


class BodyStore:
    """Keeps what is put in, to be read once or more."""

    __slots__ = ("_file", "_memory", "_parts", "size")

    def __init__(self, memory: int = MEMORY_BYTES) -> None:
        self._memory = memory
        self._parts: list[bytes] = []
        self._file: IO[bytes] | None = None
        self.size = 0

    @property
    def in_memory(self) -> bool:
        """Whether L{take} is cheap."""
        return self._file is None

    def put(self, data: bytes) -> None:
        """Add to the end."""
        self.size += len(data)
        if self._file is not None:
            self._file.write(data)
            return
        self._parts.append(data)
        if self.size > self._memory:
            self._file = tempfile.TemporaryFile(prefix="kongtx-body-")  # noqa: SIM115
            self._file.writelines(self._parts)
            self._parts = []

    def value(self) -> bytes:
        """All of it; it stays."""
        if self._file is not None:
            return self.piece(0, self.size)
        if len(self._parts) > 1:
            self._parts = [b"".join(self._parts)]
        return self._parts[0] if self._parts else b""

    def take(self) -> bytes:
        """All of it; nothing stays. Of bodies in memory only."""
        value = self.value()
        self._parts = []
        self.size = 0
        return value

    def piece(self, offset: int, size: int = PIECE_BYTES) -> bytes:
        """Up to C{size} bytes from C{offset} on."""
        if self._file is None:
            return self.value()[offset : offset + size]
        self._file.seek(offset)
        data = self._file.read(size)
        self._file.seek(0, 2)
        return data

    def close(self) -> None:
        """Give the space back."""
        self._parts = []
        self.size = 0
        file, self._file = self._file, None
        if file is not None:
            file.close()
