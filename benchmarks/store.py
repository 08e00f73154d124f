"""How fast entities are written and read through the store over SQLite.

Run C{python -m benchmarks.store}; a write includes the flush to the disk, so figures depend on it.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import ensureDeferred, gatherResults

from kongtx.cli.database import run
from kongtx.db.sqlite import SQLiteConnector
from kongtx.db.store import Store
from kongtx.plugins.schemas import full_registry

COUNT = 2000


async def timed(name: str, count: int, work: Awaitable[Any]) -> None:
    """Print how many of something are done in a second."""
    began = time.perf_counter()
    await work
    spent = time.perf_counter() - began
    print(f"{name:32} {count / spent:9.0f} /s {spent / count * 1e6:9.0f} us each")


async def measure(path: Path) -> None:
    """Print all figures."""
    store = Store(full_registry(), SQLiteConnector(str(path / "db"), reactor), reactor)
    await store.start()
    services = store["services"]

    async def one_by_one() -> None:
        for number in range(200):
            await services.insert({"name": f"a{number}", "host": "h"})

    async def at_once() -> None:
        await gatherResults(
            [
                ensureDeferred(services.insert({"name": f"b{number}", "host": "h"}))
                for number in range(COUNT)
            ]
        )

    async def by_id() -> None:
        for row in rows[:COUNT]:
            await services.select(row["id"])

    await timed("inserts, one after another", 200, one_by_one())
    await timed("inserts, many at a time", COUNT, at_once())
    many = [{"name": f"c{number}", "host": "h", "tags": ["t"]} for number in range(COUNT)]
    await timed("inserts, in one transaction", COUNT, store.add({"services": many}))
    rows = [row async for row in services.each()]
    await timed("reads by id", COUNT, by_id())

    async def everything() -> None:
        async for _ in services.each():
            pass

    await timed("reads of everything", len(rows), everything())
    await store.stop()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        run(lambda _reactor: measure(Path(folder)))
