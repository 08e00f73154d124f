"""One transaction: statements are gathered where they can be, for each costs a round trip."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from kongtx.db.postgres.link import Link, Rows
from kongtx.db.postgres.pool import Pool

#: Where the log of the server's writes is now; it never goes back.
POSITION = "pg_current_wal_insert_lsn()::text"

#: Statements see what others have committed; rows that matter are locked as they are read.
BEGIN = "BEGIN ISOLATION LEVEL READ COMMITTED"


class Transaction:
    """What is done on one connection until L{commit}.

    @param link: a connection that nobody else uses meanwhile.
    @param begin: the statement that begins it.
    @ivar notes_position: whether to note how far the log of writes was at its end.
    @ivar position: how far that was.
    """

    def __init__(self, link: Link, begin: str = BEGIN) -> None:
        self.link = link
        self.is_begun = False
        self.notes_position = False
        self.position: str | None = None
        self._statements = [begin]
        self._parameters: list[Any] = []

    @property
    def gathered(self) -> int:
        """How many values wait to be sent."""
        return len(self._parameters)

    def add(self, statement: str, parameters: Sequence[Any] = ()) -> None:
        """Do something with the next statement that is sent, or at the end."""
        self._statements.append(statement)
        self._parameters += parameters

    async def query(
        self, statement: str, parameters: Sequence[Any] = (), seconds: float | None = None
    ) -> Rows:
        """Send what was gathered, and this; its rows."""
        self.add(statement, parameters)
        statements, self._statements = self._statements, []
        values, self._parameters = self._parameters, []
        self.is_begun = True
        return await self.link.execute(";\n".join(statements), values, seconds)

    async def flush(self) -> None:
        """Send what was gathered."""
        if self._statements:
            await self.query("SELECT 1")

    async def commit(self) -> None:
        """Send what was gathered, and keep all of it."""
        if not self.notes_position:
            await self.query("COMMIT")
        else:
            self.add("COMMIT")
            [(self.position,)] = await self.query(f"SELECT {POSITION}")
        self.is_begun = False


@asynccontextmanager
async def transaction(pool: Pool, begin: str = BEGIN) -> AsyncIterator[Transaction]:
    """A transaction that is kept at the end of the context, or undone if an error leaves it."""
    async with pool.link() as link:
        made = Transaction(link, begin)
        try:
            yield made
            await made.commit()
        except BaseException:
            # A connection that was given up is closed, which undoes it as well.
            if made.is_begun and link.is_open:
                await link.execute("ROLLBACK")
            raise
