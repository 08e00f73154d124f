"""Setting the database up, the record of migrations, and locks."""

from __future__ import annotations

from kongtx.db.postgres import layout
from kongtx.db.postgres.layout import LOCKS, quote
from kongtx.db.postgres.link import Link
from kongtx.db.postgres.moment import Moment
from kongtx.db.postgres.transaction import Transaction
from kongtx.db.tables import Catalogue

#: What one statement may take that touches all rows of a table, in seconds.
LONG_SECONDS = 3600.0

#: Lets nobody else make tables: of two nodes that make the same one at once, one would get an error
#: in spite of IF NOT EXISTS.
ALONE = "SELECT pg_advisory_xact_lock(hashtext('kongtx'), hashtext(current_database()))"
_COLUMNS = (
    "SELECT c.relname, array_agg(a.attname::text) FROM pg_class c "
    "JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped "
    "WHERE c.relkind IN ('r', 'p') "
    "AND c.relnamespace = to_regnamespace(quote_ident(current_schema())) "
    "AND starts_with(c.relname, %s) GROUP BY c.relname"
)


def _exists(table: str) -> str:
    """Asks for a table where new ones would be made, and not further down the search path."""
    return f"SELECT to_regclass(quote_ident(current_schema()) || '.{table}') IS NOT NULL"


async def present_columns(
    link: Link | Transaction, seconds: float | None = None
) -> dict[str, frozenset[str]]:
    """The columns of the tables that exist."""
    run = link.execute if isinstance(link, Link) else link.query
    found = await run(_COLUMNS, [layout.PREFIX], seconds)
    return {name: frozenset(columns) for name, columns in found}


def is_complete(catalogue: Catalogue, present: dict[str, frozenset[str]]) -> bool:
    """Whether nothing has to be made."""
    if not {"kongtx_migrations", "kongtx_events"} <= present.keys():
        return False
    empty: frozenset[str] = frozenset()
    return all(
        layout.is_complete(table, present.get(layout.bare_name(table.name), empty))
        for table in catalogue
    )


async def create(transaction: Transaction, catalogue: Catalogue) -> None:
    """Make what is missing of the tables; other nodes wait meanwhile."""
    await _begin_alone(transaction)
    for statement in layout.BOOKKEEPING:
        transaction.add(statement)
    present = await present_columns(transaction, LONG_SECONDS)
    for table in catalogue.parents_first():
        columns = present.get(layout.bare_name(table.name), frozenset())
        for statement in layout.create(table, catalogue, columns):
            transaction.add(statement)
    await transaction.query("SELECT 1", seconds=LONG_SECONDS)


async def _begin_alone(transaction: Transaction) -> None:
    """Have the database's tables to oneself, in a schema that exists."""
    transaction.add("SET LOCAL statement_timeout = 0")
    transaction.add(ALONE)
    schema = transaction.link.endpoint.schema
    if schema:
        [(exists,)] = await transaction.query(
            "SELECT to_regnamespace(%s) IS NOT NULL", [quote(schema)], LONG_SECONDS
        )
        if not exists:
            # By itself, for a name may hold what stands for a parameter.
            await transaction.link.execute(f"CREATE SCHEMA {quote(schema)}")


async def reset(transaction: Transaction) -> None:
    """Drop every table of ours but that of the locks, one of which is held meanwhile."""
    await _begin_alone(transaction)
    present = await present_columns(transaction, LONG_SECONDS)
    names = ", ".join(quote(name) for name in present if name != LOCKS)
    if names:
        await transaction.query(f"DROP TABLE {names} CASCADE", seconds=LONG_SECONDS)


async def executed(link: Link) -> dict[str, list[tuple[str, bool]]] | None:
    """The recorded migrations by subsystem; L{None} if there is no record."""
    [(exists,)] = await link.execute(_exists("kongtx_migrations"))
    if not exists:
        return None
    recorded: dict[str, list[tuple[str, bool]]] = {}
    for subsystem, name, pending in await link.execute(
        "SELECT subsystem, name, pending FROM kongtx_migrations ORDER BY subsystem, name"
    ):
        recorded.setdefault(subsystem, []).append((name, pending))
    return recorded or None


async def record(link: Link, moment: Moment, subsystem: str, name: str, pending: bool) -> None:
    """Note that a migration was run or finished."""
    await link.execute(
        "INSERT INTO kongtx_migrations (subsystem, name, pending, at) "
        f"VALUES (%s, %s, %s, {moment}) "
        "ON CONFLICT (subsystem, name) DO UPDATE SET pending = excluded.pending, at = excluded.at",
        [subsystem, name, pending],
    )


async def acquire(
    transaction: Transaction, moment: Moment, lock: str, owner: str, seconds: float
) -> bool:
    """Take or renew a lock."""
    [(exists,)] = await transaction.query(_exists(LOCKS))
    if not exists:
        await _begin_alone(transaction)
        transaction.add(layout.MAKE_LOCKS)
    taken = await transaction.query(
        f"INSERT INTO {LOCKS} AS held (name, owner, expires) VALUES (%s, %s, {moment} + %s) "
        "ON CONFLICT (name) DO UPDATE SET owner = excluded.owner, expires = excluded.expires "
        f"WHERE held.owner = excluded.owner OR held.expires <= {moment} RETURNING 1",
        [lock, owner, seconds],
    )
    return bool(taken)


async def release(link: Link, lock: str, owner: str) -> None:
    """Give a lock back."""
    await link.execute(f"DELETE FROM {LOCKS} WHERE name = %s AND owner = %s", [lock, owner])
