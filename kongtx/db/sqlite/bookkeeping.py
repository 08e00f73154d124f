"""Setting the database up, the record of migrations, and locks; in the writing thread."""

from __future__ import annotations

import sqlite3

from kongtx.db.sqlite import layout
from kongtx.db.sqlite.engine import Engine
from kongtx.db.sqlite.layout import quote
from kongtx.db.tables import Catalogue


def ping(connection: sqlite3.Connection) -> None:
    """Read something from the file."""
    connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()


def create(engine: Engine, catalogue: Catalogue) -> None:
    """Make what is missing of the tables; another process may do the same meanwhile."""
    connection = engine.connection
    with engine.transaction():
        for statement in layout.BOOKKEEPING:
            connection.execute(statement)
        for table in catalogue.parents_first():
            found = connection.execute(f"PRAGMA table_info({quote(table.name)})").fetchall()
            present = frozenset(row[1] for row in found)
            for statement in layout.create(table, catalogue, present):
                connection.execute(statement)


def reset(engine: Engine) -> None:
    """Drop every table but that of the locks, one of which is held meanwhile."""
    connection = engine.connection
    connection.execute("PRAGMA foreign_keys=OFF")
    try:
        with engine.transaction():
            found = connection.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' "
                "AND name <> 'kongtx_locks'"
            ).fetchall()
            for (name,) in found:
                connection.execute(f"DROP TABLE {quote(name)}")
    finally:
        connection.execute("PRAGMA foreign_keys=ON")


def executed(connection: sqlite3.Connection) -> dict[str, list[tuple[str, bool]]] | None:
    """The recorded migrations by subsystem; L{None} if there is no record."""
    present = connection.execute(
        "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'kongtx_migrations'"
    ).fetchone()
    if present is None:
        return None
    recorded: dict[str, list[tuple[str, bool]]] = {}
    for subsystem, name, pending in connection.execute(
        "SELECT subsystem, name, pending FROM kongtx_migrations ORDER BY subsystem, name"
    ):
        recorded.setdefault(subsystem, []).append((name, bool(pending)))
    return recorded or None


def record(engine: Engine, subsystem: str, name: str, pending: bool, at: float) -> None:
    """Note that a migration was run or finished."""
    engine.connection.execute(
        "INSERT INTO kongtx_migrations (subsystem, name, pending, at) VALUES (?, ?, ?, ?) "
        "ON CONFLICT (subsystem, name) DO UPDATE SET pending = excluded.pending, at = excluded.at",
        (subsystem, name, int(pending), at),
    )


def acquire(engine: Engine, lock: str, owner: str, seconds: float, now: float) -> bool:
    """Take or renew a lock."""
    connection = engine.connection
    with engine.transaction():
        connection.execute(layout.BOOKKEEPING[1])
        taken = connection.execute(
            "INSERT INTO kongtx_locks (name, owner, expires) VALUES (?, ?, ?) "
            "ON CONFLICT (name) DO UPDATE SET owner = excluded.owner, expires = excluded.expires "
            "WHERE owner = excluded.owner OR expires <= ?",
            (lock, owner, now + seconds, now),
        )
        return taken.rowcount > 0


def release(engine: Engine, lock: str, owner: str) -> None:
    """Give a lock back."""
    engine.connection.execute(
        "DELETE FROM kongtx_locks WHERE name = ? AND owner = ?", (lock, owner)
    )
