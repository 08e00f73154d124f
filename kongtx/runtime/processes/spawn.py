"""Starts worker processes."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.error import ProcessExitedAlready
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

import kongtx
from kongtx.runtime.listeners import Bound, describe
from kongtx.runtime.processes.launch import FIRST_LISTENING_FD, REPORT_FD, Launch
from kongtx.runtime.processes.supervisor import Exit, IProcess, Spawner

#: The most bytes of a worker's report that are kept.
_MAX_REPORT = 64 * 1024


@implementer(IProcess)
class WorkerProcess(ProcessProtocol):
    """One worker process, as its master sees it."""

    def __init__(self, description: bytes, ended: Callable[[Exit], None]) -> None:
        self._description = description
        self._ended = ended
        self._report = bytearray()
        self._pid = 0

    def connectionMade(self) -> None:
        """The process runs: tell it what to do. The pipe stays open as a sign of life."""
        assert self.transport is not None
        self._pid = self.transport.pid
        self.transport.writeToChild(0, self._description)

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        """The worker says why it cannot start."""
        if len(self._report) < _MAX_REPORT:
            self._report += data

    def processEnded(self, reason: Failure) -> None:
        """The process is gone."""
        status: Any = reason.value
        report = self._report.decode("utf-8", "replace").strip()
        self._ended(Exit(status.exitCode, status.signal, report))

    def pid(self) -> int:
        """See L{IProcess.pid}."""
        return self._pid

    def signal(self, number: int) -> None:
        """See L{IProcess.signal}."""
        assert self.transport is not None
        with contextlib.suppress(ProcessExitedAlready):
            self.transport.signalProcess(int(number))


def _environment() -> dict[str, str]:
    """The master's environment, in which a worker finds the same kongtx as the master has."""
    here = os.path.dirname(os.path.dirname(os.path.abspath(kongtx.__file__)))
    path = [here, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(dict.fromkeys(path))}


def spawner(
    reactor: Any, make_launch: Callable[[int], Launch], bound: Sequence[Bound], worker_count: int
) -> Spawner:
    """A function that starts the workers of one generation.

    @param reactor: provides C{IReactorProcess}.
    @param make_launch: the description of a worker, without its listeners.
    @param bound: the sockets that the workers inherit.
    """

    def spawn(worker_id: int, ended: Callable[[Exit], None]) -> WorkerProcess:
        sockets = [each for b in bound for each in b.of_worker(worker_id, worker_count)]
        fds = {each: FIRST_LISTENING_FD + index for index, each in enumerate(sockets)}
        launch = make_launch(worker_id)
        launch.listeners.extend(describe(bound, fds, (worker_id, worker_count)))
        process = WorkerProcess(launch.to_bytes(), ended)
        child_fds: dict[int, Any] = {0: "w", 1: 1, 2: 2, REPORT_FD: "r"}
        child_fds.update({fd: each.fileno() for each, fd in fds.items()})
        reactor.spawnProcess(
            process,
            sys.executable,
            # Never import from the working directory, which may be anyone's.
            [sys.executable, "-P", "-m", "kongtx.runtime.processes.worker"],
            env=_environment(),
            childFDs=child_fds,
        )
        return process

    return spawn
