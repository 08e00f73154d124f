"""C{shm}: in files below the prefix, which the workers of one node share."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from typing import Any

from zope.interface import implementer

from kongtx.plugins.acme.errors import ACMEError
from kongtx.plugins.acme.storages.interfaces import IStorage


@implementer(IStorage)
class FileStorage:
    """C{shm}: in files below the prefix, which all workers of the node see.

    Kong keeps this in memory; here it outlives the node. The files are their owner's alone.

    @param now: gives seconds since 1970.
    """

    def __init__(self, directory: str, now: Callable[[], float]) -> None:
        self._directory = directory
        self._now = now

    async def get(self, key: str) -> str | None:
        """See L{IStorage.get}."""
        kept = self._read(self._path(key))
        return None if kept is None else str(kept["value"])

    async def put(self, key: str, value: str, ttl: float | None = None) -> None:
        """See L{IStorage.put}."""
        with self._alone():
            self._write(key, value, ttl)

    async def add(self, key: str, value: str, ttl: float) -> bool:
        """See L{IStorage.add}."""
        with self._alone():
            if self._read(self._path(key)) is not None:
                return False
            self._write(key, value, ttl)
            return True

    async def delete(self, key: str) -> None:
        """See L{IStorage.delete}."""
        with self._alone():
            self._remove(self._path(key))

    async def keys(self, prefix: str) -> list[str]:
        """See L{IStorage.keys}."""
        found = []
        for path in self._files():
            kept = self._read(path)
            if kept is not None and kept["key"].startswith(prefix):
                found.append(kept["key"])
        return sorted(found)

    def _path(self, key: str) -> str:
        return os.path.join(self._directory, f"{sha256(key.encode()).hexdigest()}.json")

    def _files(self) -> list[str]:
        try:
            names = os.listdir(self._directory)
        except FileNotFoundError:
            return []
        return [os.path.join(self._directory, name) for name in names if name.endswith(".json")]

    def _read(self, path: str) -> Mapping[str, Any] | None:
        try:
            with open(path, encoding="utf-8") as stream:
                kept: dict[str, Any] = json.load(stream)
        except (FileNotFoundError, ValueError):
            return None
        except OSError as error:
            raise ACMEError(f"{path} cannot be read: {error.strerror}") from error
        expires = kept["expires"]
        return None if expires is not None and expires <= self._now() else kept

    def _write(self, key: str, value: str, ttl: float | None) -> None:
        path = self._path(key)
        expires = None if ttl is None else self._now() + ttl
        for each in self._files():
            # What a worker has left behind that died.
            if each != path and self._read(each) is None:
                self._remove(each)
        unfinished = f"{path}.new"
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(descriptor, "w", encoding="utf-8") as stream:
            json.dump({"key": key, "value": value, "expires": expires}, stream)
            stream.flush()
            os.fsync(descriptor)
        os.replace(unfinished, path)

    @staticmethod
    def _remove(path: str) -> None:
        try:
            os.unlink(path)
        except FileNotFoundError:
            return

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """No other worker writes meanwhile."""
        try:
            os.makedirs(self._directory, 0o700, exist_ok=True)
            path = os.path.join(self._directory, "lock")
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                yield
            finally:
                os.close(descriptor)
        except OSError as error:
            raise ACMEError(f"{self._directory} cannot be written: {error.strerror}") from error
