"""The keyspace and its tables, the record of migrations, and locks."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable

from cassandra import InvalidRequest, RequestValidationException
from twisted.logger import Logger

from kongtx.db.cassandra.cql import TABLES, Statements
from kongtx.db.cassandra.partition import QUORUM, Partition
from kongtx.db.cassandra.session import Session

_AGAIN_SECONDS = 0.1

log = Logger()


def is_set_up(session: Session, statements: Statements) -> bool:
    """Whether the tables were made; in a thread."""
    return _is_there(session, statements, TABLES[-1])


def create(session: Session, statements: Statements, names: Iterable[str]) -> None:
    """Make what is missing of the keyspace and of some tables; in a thread.

    What is there is left alone, so that a user may do without the right to make it. Another node
    may do the same at the same time; then what it makes may be named before it can be used.
    """
    give_up = time.monotonic() + session.settings.agreement_seconds
    if not session.run(statements.find_keyspace()):
        session.run(statements.create_keyspace(session.settings.replication))
        log.info(
            "the keyspace {keyspace} was made with replication {replication}",
            keyspace=session.settings.keyspace,
            replication=dict(session.settings.replication),
        )
    made = statements.create_tables()
    for name in names:
        while not _is_there(session, statements, name):
            try:
                session.run(made[name])
            except RequestValidationException:
                if time.monotonic() >= give_up:
                    raise
                time.sleep(_AGAIN_SECONDS)


def reset(session: Session, statements: Statements) -> None:
    """Drop every table but that of the locks, one of which is held meanwhile; in a thread."""
    for name in reversed(TABLES):
        if _is_there(session, statements, name):
            session.run(statements.drop(name))


def _is_there(session: Session, statements: Statements, table: str) -> bool:
    """Whether a table can be used."""
    try:
        session.run(statements.probe(table))
    except InvalidRequest:
        return False
    return True


async def executed(partition: Partition) -> dict[str, list[tuple[str, bool]]] | None:
    """The recorded migrations by subsystem; L{None} if there are none."""
    rows = await partition.session.execute(partition.statements.migrations, [], QUORUM)
    recorded: dict[str, list[tuple[str, bool]]] = {}
    for subsystem, name, pending in sorted(rows):
        recorded.setdefault(subsystem, []).append((name, pending))
    return recorded or None


async def record(partition: Partition, subsystem: str, name: str, pending: bool) -> None:
    """Note that a migration was run or finished."""
    await partition.session.execute(partition.statements.record, [subsystem, name, pending], QUORUM)


async def acquire(partition: Partition, lock: str, owner: str, seconds: float) -> bool:
    """Take or renew a lock; it runs out by the database's clock alone."""
    session, statements, writing = partition.session, partition.statements, partition.writing()
    ttl = max(1, math.ceil(seconds))
    taken = await session.execute(statements.take_lock, [lock, owner, ttl], writing)
    if taken[0][0]:
        return True
    kept = await session.execute(statements.keep_lock, [ttl, owner, lock, owner], writing)
    return bool(kept[0][0])


async def release(partition: Partition, lock: str, owner: str) -> None:
    """Give a lock back."""
    await partition.session.execute(
        partition.statements.release_lock, [lock, owner], partition.writing()
    )
