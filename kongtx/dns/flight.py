"""One piece of work for many askers."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Generic, TypeVar

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

T = TypeVar("T")


class Flights(Generic[T]):
    """Work in flight, by key: who asks for a key while its work runs gets the same outcome.

    An asker's Deferred may be cancelled without harm to the others; the work runs to its end, as
    its outcome is worth caching.
    """

    def __init__(self) -> None:
        self._waiting: dict[Hashable, list[Deferred[T]]] = {}

    def __contains__(self, key: Hashable) -> bool:
        return key in self._waiting

    def join(
        self, key: Hashable, work: Callable[[], Coroutine[Deferred[Any], Any, T]]
    ) -> Deferred[T]:
        """A Deferred of the outcome of the key's work, which is begun if it is not running."""
        running = self._waiting.get(key)
        waiter: Deferred[T] = Deferred(lambda cancelled: self._leave(key, cancelled))
        if running is not None:
            running.append(waiter)
            return waiter
        self._waiting[key] = [waiter]
        Deferred.fromCoroutine(work()).addBoth(self._land, key)
        return waiter

    def _leave(self, key: Hashable, waiter: Deferred[T]) -> None:
        waiters = self._waiting.get(key, [])
        if waiter in waiters:
            waiters.remove(waiter)

    def _land(self, outcome: T | Failure, key: Hashable) -> None:
        for waiter in self._waiting.pop(key, []):
            if isinstance(outcome, Failure):
                waiter.errback(outcome)
            else:
                waiter.callback(outcome)
