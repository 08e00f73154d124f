"""Chains of plugin handlers, precomputed by phase. Hot path: an empty phase is an empty tuple."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from kongtx.proxy.interfaces import IPhaseHandler, ShortCircuit

Named = tuple[str, Callable[[Any], Any]]

log = Logger()


class Chain:
    """The handlers of one request, by phase, in the order of priority."""

    __slots__ = ("access", "body_filter", "header_filter", "log", "response", "rewrite")

    def __init__(self, handlers: Sequence[IPhaseHandler]) -> None:
        self.rewrite = _phase(handlers, "rewrite")
        self.access = _phase(handlers, "access")
        self.response = _phase(handlers, "response")
        self.header_filter = _phase(handlers, "header_filter")
        self.body_filter = _phase(handlers, "body_filter")
        self.log = _phase(handlers, "log")


def _phase(handlers: Sequence[IPhaseHandler], phase: str) -> tuple[Named, ...]:
    return tuple(
        (handler.name, method)
        for handler in handlers
        if (method := getattr(handler, phase)) is not None
    )


EMPTY: Final = Chain(())


def as_deferred(waiting: Any) -> Deferred[Any]:
    """What a handler waits for, a Deferred or a coroutine, as a Deferred."""
    if isinstance(waiting, Deferred):
        return waiting
    return Deferred.fromCoroutine(waiting)


def report(phase: str, name: str) -> None:
    """Log the exception that is being handled."""
    log.failure("{plugin}: {phase} failed", plugin=name, phase=phase)


def run_filters(request: Any, phase: str, handlers: tuple[Named, ...]) -> None:
    """Run handlers that never wait; an exception ends its own handler alone."""
    request.phase = phase
    for name, handler in handlers:
        try:
            handler(request)
        except ShortCircuit:
            pass
        except Exception:
            report(phase, name)


def run_log(request: Any, handlers: tuple[Named, ...]) -> None:
    """Run the log phase; what a handler waits for goes on beside it."""
    request.phase = "log"
    for name, handler in handlers:
        try:
            waiting = handler(request)
            if waiting is not None:
                as_deferred(waiting).addErrback(_log_failed, name)
        except Exception:
            report("log", name)


def _log_failed(failure: Failure, name: str) -> None:
    log.failure("{plugin}: {phase} failed", failure=failure, plugin=name, phase="log")
