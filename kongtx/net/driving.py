"""Running uvloop's coroutines without a task, so that they begin at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any


def run_to_end(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Return what a coroutine returns that waits for nothing.

    @raise RuntimeError: when it does wait.
    """
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    coroutine.close()
    raise RuntimeError(f"{coroutine!r} was expected not to wait")


def _ignore(outcome: object) -> None:
    """Take an outcome that nobody asks for."""


class Driven:
    """A coroutine on its way; it must wait for asyncio futures only.

    @ivar waiting: whether it has not ended yet.
    """

    __slots__ = ("_coroutine", "_failed", "_future", "_succeeded", "waiting")

    def __init__(
        self,
        coroutine: Coroutine[Any, Any, Any],
        succeeded: Callable[[Any], object] = _ignore,
        failed: Callable[[BaseException], object] = _ignore,
    ) -> None:
        """Begin at once.

        @param succeeded: called with the result.
        @param failed: called with the exception; neither is called after C{cancel}.
        """
        self._coroutine = coroutine
        self._succeeded = succeeded
        self._failed = failed
        self._future: asyncio.Future[Any] | None = None
        self.waiting = True
        self._step()

    def _step(self, waited: asyncio.Future[Any] | None = None) -> None:
        if not self.waiting:
            return
        try:
            future: Any = self._coroutine.send(None)
            self._future = future
        except StopIteration as stop:
            self._end()
            self._succeeded(stop.value)
        except (Exception, asyncio.CancelledError) as exc:
            self._end()
            self._failed(exc)
        else:
            future._asyncio_future_blocking = False  # as a task tells that it has seen it
            future.add_done_callback(self._step)

    def _end(self) -> None:
        self.waiting = False
        self._future = None

    def cancel(self) -> None:
        """End the coroutine where it waits."""
        if self.waiting:
            self.waiting = False
            if self._future is not None:
                self._future.cancel()  # or uvloop would tell it of the end, and nobody listen
            self._coroutine.close()
