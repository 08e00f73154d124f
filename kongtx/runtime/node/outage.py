"""Starting while the database is away: waiting for it, or serving by a copy of what it had."""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Awaitable, Callable
from hashlib import blake2b
from pathlib import Path
from typing import Any

import msgspec
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.task import deferLater
from twisted.logger import Logger

from kongtx._version import __version__
from kongtx.conf import Configuration
from kongtx.db.errors import DatabaseError, DatabaseUnavailableError, StoreError
from kongtx.db.interfaces import EMPTY_DIGEST, IClusterLog, IConnector
from kongtx.db.off import OffConnector
from kongtx.db.store import Store
from kongtx.errors import KongtxError
from kongtx.events.errors import CallError
from kongtx.lib.loglevel import notice
from kongtx.runtime.errors import DatabaseAwayError
from kongtx.runtime.interfaces import NodeContext
from kongtx.runtime.node.invalidation import is_cached

#: Seconds between two attempts to reach a database.
RETRY_SECONDS = 1.0
#: Seconds between two lines about waiting for it.
TELL_SECONDS = 5.0
#: Seconds between two copies, at least; and how many times longer than making one took.
COPY_SECONDS = 10.0
COPY_SHARE = 20
#: The properties that say which database it is.
PLACES = {
    "postgres": ("pg_host", "pg_port", "pg_database", "pg_schema"),
    "cassandra": ("cassandra_contact_points", "cassandra_port", "cassandra_keyspace"),
}

log = Logger()


async def open_store(
    store: Store, timeout: float, clock: Any, tell: Callable[[str], object] | None = None
) -> None:
    """Start a store, and wait for its database if it does not answer.

    @param timeout: seconds.
    @param tell: told now and then what is waited for.
    @raise DatabaseAwayError: it did not answer in time.
    @raise MigrationError: it has to be set up or migrated first.
    """
    began = clock.seconds()
    told_at: float | None = None
    while True:
        try:
            await store.start()
        except DatabaseUnavailableError as error:
            now = clock.seconds()
            left = began + timeout - now
            if left <= 0:
                raise DatabaseAwayError(timeout, error.message) from error
            if tell is not None and (told_at is None or now - told_at >= TELL_SECONDS):
                told_at = now
                seconds = math.ceil(left)
                tell(f"waiting for the database, for {seconds} s more at most: {error.message}")
            await deferLater(clock, min(RETRY_SECONDS, left))
        else:
            if told_at is not None:
                notice(log, "the database answers")
            return


class LocalCopy:
    """A copy of the database's content below the prefix, for the owner alone.

    It is replaced as a whole, in one transaction, so there is always one that is whole.
    """

    def __init__(self, store: Store, conf: Configuration, clock: Any) -> None:
        self._store = store
        self._clock = clock
        self.connector = OffConnector(copy_path(conf), clock, conf.lmdb_map_size_bytes)
        self.is_behind = True
        self._not_before = 0.0

    async def open(self) -> bool:
        """Open the files; whether there is a copy."""
        os.makedirs(os.path.dirname(self.connector.path), mode=0o700, exist_ok=True)
        await self.connector.start(self._store.catalogue)
        return await self.connector.digest() != EMPTY_DIGEST

    async def refresh(self) -> None:
        """Copy what the database has, if that may have changed and was not done just now."""
        began = self._clock.seconds()
        if not self.is_behind or began < self._not_before:
            return
        self.is_behind = False
        try:
            await self._copy()
        except StoreError as error:
            self.is_behind = True
            tell = log.info if isinstance(error, DatabaseUnavailableError) else log.error
            tell("the copy of the database stays as it was: {reason}", reason=error.message)
        took = self._clock.seconds() - began
        self._not_before = self._clock.seconds() + max(COPY_SECONDS, COPY_SHARE * took)

    async def _copy(self) -> None:
        content: dict[str, list[Any]] = {}
        digest = blake2b(digest_size=16)
        encode = msgspec.json.Encoder().encode
        for name, entities in self._store.items():
            if name != "tags" and is_cached(self._store.registry[name]):
                rows = content[name] = []
                async for row in entities.each_stored():
                    rows.append(row)
                    digest.update(encode([name, row]))
        if await self.connector.digest() != digest.hexdigest():
            await self.connector.load(content, digest.hexdigest())


def copies_path(conf: Configuration) -> str:
    """The folder of the copy."""
    return conf.prefixed("database-copy.lmdb")


def copy_path(conf: Configuration) -> str:
    """Where the copy is; that of another database, or of another version, is elsewhere."""
    places = [getattr(conf, name) for name in PLACES[conf.database]]
    facts = [__version__, conf.database, *places]
    name = blake2b(json.dumps(facts).encode(), digest_size=8).hexdigest()
    return os.path.join(copies_path(conf), name)


def remove_copies(conf: Configuration, but: str | None = None) -> None:
    """Remove copies: they have secrets that nobody wants there any more.

    @param but: the path of one that stays.
    """
    folder = Path(copies_path(conf))
    if but is None:
        shutil.rmtree(folder, ignore_errors=True)
        return
    for each in folder.glob("*"):
        if str(each) != but:
            shutil.rmtree(each, ignore_errors=True)


class DatabaseAccess:
    """How a worker comes to its database.

    @param store: over the database itself.
    @param read_store: what traffic is served by; its own store where a copy may take the place of
        the database.
    @param context: the first worker tells the log and the master of the wait.
    @ivar copy: L{None} unless the configuration wants one.
    @ivar is_offline: whether the copy is served by.
    """

    def __init__(
        self, store: Store, read_store: Store, conf: Configuration, context: NodeContext
    ) -> None:
        self._store = store
        self._read_store = read_store
        self._timeout = conf.db_start_timeout
        self._clock = context.clock
        self._bus: Any = context.bus
        self._is_first = context.worker_id == 0
        self._retrying: Deferred[None] = succeed(None)
        self._connector: IConnector | None = None
        self.copy: LocalCopy | None = None
        if wants_copy(conf, store):
            self.copy = LocalCopy(store, conf, context.clock)
        if self._is_first:
            remove_copies(conf, but=None if self.copy is None else self.copy.connector.path)

    @property
    def is_offline(self) -> bool:
        """Whether the copy is served by."""
        return self._connector is not None

    async def open(self) -> None:
        """Start the store, or have its copy take its place.

        @raise DatabaseAwayError: the database does not answer, and there is no copy.
        """
        has_copy = await self._open_copy()
        try:
            await open_store(
                self._store,
                0.0 if has_copy else self._timeout,
                self._clock,
                self._tell if self._is_first else None,
            )
        except DatabaseAwayError as error:
            if self.copy is None or not has_copy:
                raise
            log.error(
                "THE DATABASE IS AWAY: serving by the copy of the configuration in {path}, which "
                "may be outdated, until it answers: {reason}",
                path=self.copy.connector.path,
                reason=error.reason,
            )
            self._connector = self._read_store.connector
            self._read_store.connector = self.copy.connector

    def _tell(self, text: str) -> None:
        log.warn("{text}", text=text)
        # Whoever started the node sees it; who embeds it has the log.
        self._bus.call("runtime.waiting", text).addErrback(lambda failure: failure.trap(CallError))

    async def _open_copy(self) -> bool:
        if self.copy is None:
            return False
        try:
            return await self.copy.open()
        except DatabaseError as error:
            log.error(
                "the copy of the database is of no use until its folder is removed: {reason}",
                reason=error.message,
            )
            self.copy = None
            return False

    def when_back(self, take_over: Callable[[], Awaitable[object]]) -> None:
        """While the copy is served by, look for the database, and call when it answers."""
        if self.is_offline:
            self._retrying = Deferred.fromCoroutine(self._return(take_over))
            self._retrying.addErrback(_ended)

    async def _return(self, take_over: Callable[[], Awaitable[object]]) -> None:
        told = ""
        while True:
            await deferLater(self._clock, RETRY_SECONDS)
            try:
                await self._store.start()
                break
            except DatabaseError:
                continue
            except KongtxError as error:
                if str(error) != told:
                    told = str(error)
                    log.error("the database cannot be served by: {reason}", reason=told)
        assert self._connector is not None
        self._read_store.connector, self._connector = self._connector, None
        notice(log, "the database answers: the copy of the configuration is no longer served by")
        await take_over()

    def changed(self, *_: object) -> None:
        """What the database has changed: the copy is behind."""
        if self.copy is not None:
            self.copy.is_behind = True

    async def copy_if_changed(self) -> None:
        """Renew the copy, while the database is there."""
        if self.copy is not None and not self.is_offline:
            await self.copy.refresh()

    async def close(self) -> None:
        """Look for nothing any more."""
        self._retrying.cancel()
        if self.copy is not None:
            await self.copy.connector.stop()


def wants_copy(conf: Configuration, store: Store) -> bool:
    """Whether a copy is to be kept: of a database that other nodes use, too, if asked for."""
    return conf.db_offline_start and IClusterLog.providedBy(store.primary)


def _ended(failure: Any) -> None:
    if failure.check(CancelledError) is None:
        log.failure("the database is not looked for any more", failure=failure)
