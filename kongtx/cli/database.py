"""Commands that open the node's database: a reactor for as long as they run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from kongtx.conf import Configuration
from kongtx.db.connectors import make_connector
from kongtx.db.store import Store
from kongtx.schema import SchemaRegistry

T = TypeVar("T")


def run(work: Callable[[Any], Awaitable[T]]) -> T:
    """Run something that waits, in a reactor of its own.

    @param work: called with the reactor.
    @raise Exception: whatever the work raises.
    """
    from twisted.internet import reactor  # noqa: PLC0415 - installs one

    outcome: list[T | Failure] = []

    def begin() -> None:
        done = Deferred.fromCoroutine(_awaited(work(reactor)))
        done.addBoth(outcome.append)
        done.addBoth(lambda _: reactor.stop())

    reactor.callWhenRunning(begin)
    reactor.run()
    [result] = outcome
    if isinstance(result, Failure):
        result.raiseException()
    return result


async def _awaited(waiting: Awaitable[T]) -> T:
    return await waiting


@asynccontextmanager
async def connected(
    configuration: Configuration, registry: SchemaRegistry, reactor: Any
) -> AsyncIterator[Store]:
    """The node's store, with its connector started but nothing set up or migrated."""
    store = Store(registry, make_connector(configuration, reactor), reactor)
    try:
        await store.connector.start(store.catalogue)
        yield store
    finally:
        await store.stop()


@asynccontextmanager
async def opened(
    configuration: Configuration, registry: SchemaRegistry, reactor: Any
) -> AsyncIterator[Store]:
    """The node's store, ready to read and write.

    @raise MigrationError: the database has to be set up or migrated first.
    """
    async with connected(configuration, registry, reactor) as store:
        await store.start()
        yield store
