"""Chains of plugin handlers, precomputed by phase. Hot path: an empty phase is an empty tuple."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from kongtx.pdk.kong import Kong, kong_of
from kongtx.pdk.node import Node
from kongtx.plugins.bound import BoundPhase
from kongtx.proxy.interfaces import IPhaseHandler, ShortCircuit

#: One plugin's part in a phase: its name, its method, and what that is called with besides the
#: request's L{Kong}: configuration and entity. Without a node the method gets the request alone.
Step = tuple[str, Callable[..., Any], Any, Any, Node | None]
Steps = tuple[Step, ...]

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


def _phase(handlers: Sequence[IPhaseHandler], phase: str) -> Steps:
    steps: list[Step] = []
    for handler in handlers:
        method = getattr(handler, phase)
        if isinstance(method, BoundPhase):
            steps.append((handler.name, method.method, method.config, method.row, method.node))
        elif method is not None:
            steps.append((handler.name, method, None, None, None))
    return tuple(steps)


EMPTY: Final = Chain(())


def as_deferred(waiting: Any) -> Deferred[Any]:
    """What a handler waits for, a Deferred or a coroutine, as a Deferred."""
    if isinstance(waiting, Deferred):
        return waiting
    return Deferred.fromCoroutine(waiting)


def call(request: Any, step: Step) -> Any:
    """Run one handler; what runs several of them does the same without this call."""
    _, method, config, row, node = step
    if node is None:
        return method(request)
    kong = kong_of(request, node)
    kong.row = row
    return method(config, kong)


def report(phase: str, name: str) -> None:
    """Log the exception that is being handled."""
    log.failure("{plugin}: {phase} failed", plugin=name, phase=phase)


def run_filters(request: Any, phase: str, steps: Steps) -> None:
    """Run handlers that never wait; an exception ends its own handler alone."""
    request.phase = phase
    for name, method, config, row, node in steps:
        try:
            if node is None:
                method(request)
            else:
                kong = request.pdk
                if kong is None:
                    kong = request.pdk = Kong(request, node)
                kong.row = row
                method(config, kong)
        except ShortCircuit:
            pass
        except Exception:
            report(phase, name)


def run_log(request: Any, steps: Steps) -> None:
    """Run the log phase; what a handler waits for goes on beside it."""
    request.phase = "log"
    for name, method, config, row, node in steps:
        try:
            if node is None:
                waiting = method(request)
            else:
                kong = request.pdk
                if kong is None:
                    kong = request.pdk = Kong(request, node)
                kong.row = row
                waiting = method(config, kong)
            if waiting is not None:
                as_deferred(waiting).addErrback(_log_failed, name)
        except Exception:
            report("log", name)


def _log_failed(failure: Failure, name: str) -> None:
    log.failure("{plugin}: {phase} failed", failure=failure, plugin=name, phase="log")
