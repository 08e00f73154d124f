"""Configuration files that are read again when they change."""

from __future__ import annotations

import os
from collections.abc import Callable

from twisted.logger import Logger


class WatchedFile:
    """A small text file; L{check} calls back with its text when it changed.

    A missing file reads as empty text: what it configures has defaults.

    @param path: where it is.
    @param changed: called with the text, first by the first L{check}.
    """

    _log = Logger()

    def __init__(self, path: str, changed: Callable[[str], None]) -> None:
        self._path = path
        self._changed = changed
        self._seen: tuple[int, int, int] | None = None
        self._checked = False

    def check(self) -> bool:
        """Look at the file's identity, size and time of change, and read it if they are new.

        @return: whether it was read.
        """
        try:
            status = os.stat(self._path)
            stamp = (status.st_mtime_ns, status.st_size, status.st_ino)
        except OSError:
            stamp = None
        if self._checked and stamp == self._seen:
            return False
        text = ""
        if stamp is not None:
            try:
                with open(self._path, encoding="utf-8", errors="replace") as file:
                    text = file.read()
            except OSError as error:
                self._log.warn("cannot read {path}: {error}", path=self._path, error=error)
        elif not self._checked:
            self._log.warn("{path} does not exist; defaults are used", path=self._path)
        self._checked, self._seen = True, stamp
        self._changed(text)
        return True
