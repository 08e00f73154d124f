"""Worker processes: started, kept alive, replaced, stopped.

A L{Generation} is the set of workers of one configuration. How a process comes to be is the
spawner's matter, so all of this is tested without processes.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any

from attrs import frozen
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from zope.interface import Interface

from kongtx.lib.loglevel import notice
from kongtx.runtime.errors import WorkerError
from kongtx.runtime.processes.backoff import Backoff

#: Seconds in which the workers of a new generation must become ready.
READY_TIMEOUT = 60.0
#: Seconds between SIGTERM and SIGKILL.
KILL_AFTER = 5.0

log = Logger()


@frozen
class Exit:
    """How a process ended.

    @ivar code: its exit code, or L{None}.
    @ivar signal: the signal that ended it, or L{None}.
    @ivar report: what it said about why it could not start.
    """

    code: int | None
    signal: int | None = None
    report: str = ""

    def __str__(self) -> str:
        if self.signal is None and self.code is None:
            return "could not be started"
        if self.signal is not None:
            return f"killed by signal {self.signal} ({signal.Signals(self.signal).name})"
        return f"exited with code {self.code}"


class IProcess(Interface):
    """A process that was started."""

    def pid() -> int:
        """Its id."""

    def signal(number: int) -> None:
        """Send a signal; nothing happens when the process is gone."""


#: Starts the process of a worker number; C{ended(exit)} is called once, later.
Spawner = Callable[[int, Callable[[Exit], None]], Any]


class Slot:
    """One worker of a generation: a process, then its successors."""

    def __init__(self, generation: Generation, worker_id: int) -> None:
        self._generation = generation
        self._clock = generation.clock
        self.worker_id = worker_id
        self.is_ready = False
        self._process: Any = None
        self._started_at = 0.0
        self._backoff = Backoff()
        self._respawn: IDelayedCall | None = None

    @property
    def pid(self) -> int | None:
        """The process id of the worker that runs now."""
        return None if self._process is None else self._process.pid()

    def start(self) -> None:
        """Start a process."""
        self._respawn = None
        self.is_ready = False
        self._started_at = self._clock.seconds()
        try:
            self._process = self._generation.spawn(self.worker_id, self._ended)
        except OSError as error:
            # Such as too many processes: a reason to wait, not to do without the worker.
            reason = f"cannot start a process: {error.strerror}"
            self._respawn = self._clock.callLater(0, self._ended, Exit(None, None, reason))
            return
        log.info("worker {worker} has pid {pid}", worker=self.worker_id, pid=self.pid)

    def signal(self, number: int) -> None:
        """Send a signal to the process that runs now, if any."""
        if self._process is not None:
            self._process.signal(number)

    def halt(self) -> None:
        """Start no successor."""
        if self._respawn is not None:
            self._respawn.cancel()
            self._respawn = None

    def _ended(self, exit_: Exit) -> None:
        pid, was_ready = self.pid, self.is_ready
        self._respawn = None
        self._process, self.is_ready = None, False
        if self._generation.worker_ended(self, exit_, was_ready):
            if was_ready:
                self._generation.lost(pid)
            delay = self._backoff.delay(self._clock.seconds() - self._started_at)
            log.error(
                "worker {worker} (pid {pid}) {exit}; its successor starts in {delay} s",
                worker=self.worker_id,
                pid=pid,
                exit=str(exit_),
                delay=delay,
            )
            self._respawn = self._clock.callLater(delay, self.start)


class Generation:
    """The workers of one configuration.

    @param spawn: starts a worker.
    @param number: counts the reloads, from 1.
    @param lost: called with its process id when a worker that was ready has ended unasked.
    """

    def __init__(
        self,
        clock: IReactorTime,
        spawn: Spawner,
        number: int,
        worker_count: int,
        lost: Callable[[int | None], object] = lambda _: None,
    ) -> None:
        self.clock = clock
        self.spawn = spawn
        self.number = number
        self.lost = lost
        self.slots = [Slot(self, worker_id) for worker_id in range(worker_count)]
        self._is_stopping = False
        self._has_started = False
        self._started: Deferred[None] = Deferred()
        self._timeout: IDelayedCall | None = None
        self._gone: list[Deferred[None]] = []
        self._kill: IDelayedCall | None = None

    def pids(self) -> list[int]:
        """The processes that run now, in the order of their workers."""
        return [slot.pid for slot in self.slots if slot.pid is not None]

    def start(self, timeout: float = READY_TIMEOUT) -> Deferred[None]:
        """Start all workers.

        @return: a Deferred that fires when all are ready; fails with L{WorkerError} when one ends
            before or when it takes too long. Then L{terminate} what there is.
        """
        self._timeout = self.clock.callLater(
            timeout, self._fail, WorkerError(f"the workers were not ready after {timeout:g} s")
        )
        for slot in self.slots:
            slot.start()
        return self._started

    def worker_is_ready(self, pid: int) -> bool:
        """A worker says that it takes connections; whether it is one of this generation."""
        for slot in self.slots:
            if slot.pid == pid:
                slot.is_ready = True
                if not self._has_started and all(each.is_ready for each in self.slots):
                    self._has_started = True
                    self._cancel_timeout()
                    self._started.callback(None)
                return True
        return False

    def worker_ended(self, slot: Slot, exit_: Exit, was_ready: bool) -> bool:
        """A process ended; whether it needs a successor."""
        if self._is_stopping:
            self._check_gone()
            return False
        if self._has_started:
            if exit_.report:
                log.error(
                    "worker {id} cannot start: {reason}", id=slot.worker_id, reason=exit_.report
                )
            return True
        if was_ready:
            return True
        reason = exit_.report or f"worker {slot.worker_id} {exit_} before it was ready"
        self._fail(WorkerError(reason))
        return False

    def _fail(self, error: WorkerError) -> None:
        self._cancel_timeout()
        if not self._started.called:
            self._is_stopping = True
            self._started.errback(error)

    def _cancel_timeout(self) -> None:
        if self._timeout is not None and self._timeout.active():
            self._timeout.cancel()
        self._timeout = None

    def signal(self, number: int) -> None:
        """Send a signal to every worker."""
        for slot in self.slots:
            slot.signal(number)

    def drain(self) -> Deferred[None]:
        """Let every worker finish what it has begun.

        @return: a Deferred that fires when all are gone.
        """
        return self._stop(signal.SIGQUIT)

    def terminate(self) -> Deferred[None]:
        """Stop every worker now; those that do not obey are killed.

        @return: a Deferred that fires when all are gone.
        """
        gone = self._stop(signal.SIGTERM)
        if not gone.called and self._kill is None:
            self._kill = self.clock.callLater(KILL_AFTER, self._kill_rest)
        return gone

    def _kill_rest(self) -> None:
        self._kill = None
        log.warn("workers that did not stop are killed: {pids}", pids=self.pids())
        self.signal(signal.SIGKILL)

    def _stop(self, number: int) -> Deferred[None]:
        self._is_stopping = True
        self._cancel_timeout()
        for slot in self.slots:
            slot.halt()
        if not self.pids():
            return succeed(None)
        gone: Deferred[None] = Deferred()
        self._gone.append(gone)
        self.signal(number)
        return gone

    def _check_gone(self) -> None:
        if self.pids():
            return
        if self._kill is not None:
            self._kill.cancel()
            self._kill = None
        notice(log, "the workers of generation {number} are gone", number=self.number)
        gone, self._gone = self._gone, []
        for each in gone:
            each.callback(None)
