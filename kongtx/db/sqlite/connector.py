"""The SQLite connector: one writing thread, a few reading ones."""

from __future__ import annotations

import os
import sqlite3
import stat
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFromThreads
from twisted.internet.threads import deferToThreadPool
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool
from zope.interface import implementer

from kongtx.db.errors import DatabaseError
from kongtx.db.interfaces import IConnector, IMigratable
from kongtx.db.paging import Page, Query
from kongtx.db.sqlite import bookkeeping
from kongtx.db.sqlite.engine import Engine
from kongtx.db.tables import Catalogue, Entity, Table
from kongtx.db.writes import Change, Write

BUSY_SECONDS = 30.0

T = TypeVar("T")


@implementer(IConnector, IMigratable)
class SQLiteConnector:
    """Entities in one SQLite file, which several processes may use at once.

    The file is in WAL mode, so that readers and the writer do not wait for each other, with
    C{synchronous=FULL}: a write is acknowledged when it is on the disk. Writes that arrive while
    another is being made are committed together, which spares them a flush each.

    @param path: the database file; made, with its folder, when missing.
    @param reactor: where results are delivered.
    @param now: seconds since the epoch, for rows that expire.
    @param readers: how many threads read at most.
    """

    name = "sqlite"
    read_only = False
    automatic = True

    def __init__(
        self,
        path: str,
        reactor: IReactorFromThreads,
        now: Callable[[], float] = time.time,
        readers: int = 4,
    ) -> None:
        self.path = path
        self._reactor = reactor
        self._now = now
        self._catalogue = Catalogue.of([])
        self._writer = _Threads(0, 1, name="kongtx-sqlite-writer")
        self._readers = _Threads(0, readers, name="kongtx-sqlite-reader")
        self._local = threading.local()
        self._opened: list[sqlite3.Connection] = []
        self._waiting: list[tuple[Sequence[Write], Deferred[list[list[Change]]]]] = []
        self._writing = False
        self._drained: list[Deferred[None]] = []
        self._running = False

    def start(self, catalogue: Catalogue) -> Deferred[None]:
        """Open the file; tables are made by L{create}."""
        self._catalogue = catalogue
        if not self._running:
            self._running = True
            self._writer.start()
            self._readers.start()
        return self._in_writer(lambda _engine: None)

    def stop(self) -> Deferred[None]:
        """Wait for the writes that were asked for, and close the file."""
        drained: Deferred[None] = Deferred()
        self._drained.append(drained)
        if not self._writing:
            self._flush()
        return drained.addCallback(self._close)

    def _close(self, _: object) -> None:
        if not self._running:
            return
        self._running = False
        self._writer.stop()
        self._readers.stop()
        for connection in self._opened:
            connection.close()
        self._opened.clear()

    def ping(self) -> Deferred[None]:
        """Read something."""
        return self._in_reader(lambda engine: bookkeeping.ping(engine.connection))

    def select(self, table: Table, key: Mapping[str, Any]) -> Deferred[Entity | None]:
        """See L{IConnector.select}."""
        return self._in_reader(lambda engine: engine.select(table, key))

    def select_by(self, table: Table, field: str, value: Any) -> Deferred[Entity | None]:
        """See L{IConnector.select_by}."""
        return self._in_reader(lambda engine: engine.select_by(table, field, value))

    def select_together(self, table: Table, entity: Mapping[str, Any]) -> Deferred[Entity | None]:
        """See L{IConnector.select_together}."""
        return self._in_reader(lambda engine: engine.select_together(table, entity))

    def page(self, table: Table, query: Query) -> Deferred[Page]:
        """See L{IConnector.page}."""
        return self._in_reader(lambda engine: engine.page(table, query))

    def page_tags(self, tag: str | None, size: int, offset: str | None) -> Deferred[Page]:
        """See L{IConnector.page_tags}."""
        return self._in_reader(lambda engine: engine.page_tags(tag, size, offset))

    def apply(self, writes: Sequence[Write]) -> Deferred[list[list[Change]]]:
        """See L{IConnector.apply}."""
        done: Deferred[list[list[Change]]] = Deferred()
        self._waiting.append((writes, done))
        if not self._writing:
            self._flush()
        return done

    def purge_expired(self) -> Deferred[int]:
        """See L{IConnector.purge_expired}."""
        return self._in_writer(Engine.purge_expired)

    # IMigratable

    def executed(self) -> Deferred[dict[str, list[tuple[str, bool]]] | None]:
        """See L{IMigratable.executed}."""
        return self._in_writer(lambda engine: bookkeeping.executed(engine.connection))

    def record(self, subsystem: str, name: str, pending: bool) -> Deferred[None]:
        """See L{IMigratable.record}."""
        return self._in_writer(
            lambda engine: bookkeeping.record(engine, subsystem, name, pending, self._now())
        )

    def create(self, catalogue: Catalogue) -> Deferred[None]:
        """See L{IMigratable.create}."""
        return self._in_writer(lambda engine: bookkeeping.create(engine, catalogue))

    def complete(self, catalogue: Catalogue) -> Deferred[None]:
        """See L{IMigratable.complete}."""
        return self.create(catalogue)

    def reset(self) -> Deferred[None]:
        """See L{IMigratable.reset}."""
        return self._in_writer(bookkeeping.reset)

    def acquire(self, lock: str, owner: str, seconds: float) -> Deferred[bool]:
        """See L{IMigratable.acquire}."""
        return self._in_writer(
            lambda engine: bookkeeping.acquire(engine, lock, owner, seconds, self._now())
        )

    def release(self, lock: str, owner: str) -> Deferred[None]:
        """See L{IMigratable.release}."""
        return self._in_writer(lambda engine: bookkeeping.release(engine, lock, owner))

    # Threads

    def _flush(self) -> None:
        """Give the writer all that waits, and again until nothing does."""
        waiting, self._waiting = self._waiting, []
        self._writing = bool(waiting)
        if not waiting:
            drained, self._drained = self._drained, []
            for stopping in drained:
                stopping.callback(None)
            return

        def deliver(results: list[list[list[Change]] | Exception]) -> None:
            for (_, done), result in zip(waiting, results, strict=True):
                if isinstance(result, Exception):
                    done.errback(result)
                else:
                    done.callback(result)

        def fail(failure: Failure) -> None:
            for _, done in waiting:
                done.errback(failure.value)

        batches = [writes for writes, _ in waiting]
        work = self._in_writer(lambda engine: engine.apply_all(batches))
        work.addCallbacks(deliver, fail)
        work.addBoth(lambda _: self._flush())

    def _in_writer(self, work: Callable[[Engine], T]) -> Deferred[T]:
        return self._in_pool(self._writer, work)

    def _in_reader(self, work: Callable[[Engine], T]) -> Deferred[T]:
        return self._in_pool(self._readers, work)

    def _in_pool(self, pool: ThreadPool, work: Callable[[Engine], T]) -> Deferred[T]:
        def run() -> T:
            try:
                return work(self._engine())
            except sqlite3.Error as error:
                raise DatabaseError(f"{self.path}: {error}") from error

        if not self._running:
            failed: Deferred[T] = Deferred()
            failed.errback(DatabaseError(f"{self.path}: the database is closed"))
            return failed
        return deferToThreadPool(self._reactor, pool, run)

    def _engine(self) -> Engine:
        """This thread's connection, opened at first use."""
        local = self._local
        engine: Engine | None = getattr(local, "engine", None)
        if engine is None or engine.catalogue is not self._catalogue:
            if engine is None:
                connection = open_database(self.path)
                self._opened.append(connection)
            else:
                connection = engine.connection
            engine = local.engine = Engine(connection, self._catalogue, self._now)
        return engine


class _Threads(ThreadPool):
    """Threads that do not keep a process from ending, should nobody stop them."""

    threadFactory = partial(threading.Thread, daemon=True)  # type: ignore[assignment]


def open_database(path: str) -> sqlite3.Connection:
    """Open, and make when missing, a database file that only its owner can read.

    @raise sqlite3.Error: if it cannot be opened or is no database.
    """
    try:
        os.makedirs(os.path.dirname(path) or ".", mode=0o700, exist_ok=True)
        # Made without being opened: to close it would give up the locks that this process has on it
        # (https://sqlite.org/howtocorrupt.html §2.2), and another that closes it would take itself
        # for the last and delete the log that this one goes on writing to.
        with suppress(FileExistsError):
            os.mknod(path, 0o600 | stat.S_IFREG)
    except OSError as error:
        raise sqlite3.OperationalError(str(error)) from error
    connection = sqlite3.connect(
        path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
    )
    _write_ahead(connection)
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")
    return connection


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Set WAL mode; SQLite does not wait when two processes do so at once, hence the tries."""
    give_up = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > give_up:
                connection.close()
                raise
            time.sleep(0.01)
        else:
            return
