"""Jobs by name, once or again and again, in every worker or in one worker of the node.

Kong: lua-resty-timer-ng, ngx.timer. Recurring jobs are L{LoopingCall}s: they keep their pace
whatever a run takes.
"""

from __future__ import annotations

import inspect
import random
from collections.abc import Callable
from typing import Any, Literal

from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredList, ensureDeferred, maybeDeferred, succeed
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from kongtx.events.interfaces import IEventBus, ILeases
from kongtx.runtime.errors import TimerError
from kongtx.runtime.timerstats import RunStats, flamegraph

#: Does the work: plain, or as a Deferred or coroutine that is waited for.
Job = Callable[[], object]
#: What happens when a run is due while the one before goes on.
Overlap = Literal["skip", "queue"]
#: Whether each worker runs the job, or one worker of the node.
Scope = Literal["worker", "node"]

#: Runs that wait at most with C{overlap="queue"}; more are skipped.
MAX_QUEUED = 100
#: Seconds that runs may go on after the stop, before they are cancelled.
STOP_GRACE = 5.0

#: The channel on which the worker that ran a one-shot job of the node says so.
_CHANNEL = "timers"

log = Logger()


class Timer:
    """One job. Made by L{Timers.every} and L{Timers.after}.

    @ivar stats: what its runs took.
    """

    def __init__(
        self,
        timers: Timers,
        name: str,
        job: Job,
        *,
        interval: float | None,
        first: float,
        jitter: float,
        overlap: Overlap,
        scope: Scope,
    ) -> None:
        self._timers = timers
        self._clock = timers.clock
        self.name = name
        self._job = job
        self.interval = interval
        self._jitter = jitter
        self._overlap = overlap
        self.scope = scope
        self.stats = RunStats()
        self._due_at = self._clock.seconds() + first
        self._queued = 0
        self._delays: set[IDelayedCall] = set()
        self._loop: LoopingCall | None = None
        self.running: Deferred[None] | None = None
        self._release: Callable[[], None] | None = None
        self.is_active = False

    @property
    def is_pending(self) -> bool:
        """Whether a run is due and waits for the one before."""
        return self._queued > 0

    def start(self) -> None:
        """Begin to wait for the time; a job of the node, once this worker has the lease."""
        self.is_active = True
        if self.scope == "node":
            self._release = self._timers.leases.hold(f"timer:{self.name}", self._lease)
        else:
            self._schedule()

    def _lease(self, held: bool) -> None:
        if held and self.is_active:
            self._schedule()
        else:
            self._unschedule()

    def _schedule(self) -> None:
        wait = self._due_at - self._clock.seconds()
        if wait < 0 and self.interval is not None:
            # Another worker ran the job until now: go on in its pace.
            wait %= self.interval
        self._later(max(0.0, wait), self._begin)

    def _begin(self) -> None:
        if self.interval is None:
            self.due()
            return
        self._loop = LoopingCall(self._tick)
        self._loop.clock = self._clock
        self._loop.start(self.interval, now=True)

    def _tick(self) -> None:
        if self._jitter:
            self._later(self._timers.random.uniform(0, self._jitter), self.due)
        else:
            self.due()

    def _later(self, seconds: float, call: Callable[[], None]) -> None:
        def run() -> None:
            self._delays.discard(delayed)
            call()

        delayed = self._clock.callLater(seconds, run)
        self._delays.add(delayed)

    def _unschedule(self) -> None:
        for delayed in self._delays:
            delayed.cancel()
        self._delays.clear()
        if self._loop is not None and self._loop.running:
            self._loop.stop()
        self._loop = None
        self._queued = 0

    def due(self) -> None:
        """It is time for a run."""
        if self.running is None:
            self._run()
        elif self._overlap == "queue" and self._queued < MAX_QUEUED:
            self._queued += 1
        else:
            self.stats.skipped += 1

    def _run(self) -> None:
        started = self._clock.seconds()
        self.stats.runs += 1
        # Set before the job runs, which may look at it, or be due again meanwhile.
        finished: Deferred[None] = Deferred(lambda _: called.cancel())
        self.running = finished
        called: Deferred[object] = maybeDeferred(self._call)
        called.addErrback(self._failed)
        called.addBoth(lambda _: self._finished(started, finished))

    def _call(self) -> object:
        result = self._job()
        return ensureDeferred(result) if inspect.iscoroutine(result) else result

    def _failed(self, failure: Failure) -> None:
        self.stats.failed(failure.getErrorMessage() or repr(failure.value))
        log.failure("the job of timer {timer} failed", failure=failure, timer=self.name)

    def _finished(self, started: float, finished: Deferred[None]) -> None:
        self.stats.finished(self._clock.seconds() - started)
        self.running = None
        if not finished.called:
            finished.callback(None)
        if self._queued:
            self._queued -= 1
            self._run()
        elif self.interval is None and self.is_active:
            self._timers.ran_once(self)

    def cancel(self) -> None:
        """Run no more. A run that goes on is let finish."""
        if not self.is_active:
            return
        self.is_active = False
        self._unschedule()
        if self._release is not None:
            self._release()
            self._release = None
        self._timers.forget(self)


class Timers(Service):
    """The timers of one worker.

    @param clock: C{IReactorTime}.
    @param random: for jitter.
    """

    def __init__(
        self,
        clock: Any,
        bus: IEventBus,
        leases: ILeases,
        *,
        worker_id: int = 0,
        worker_count: int = 1,
        random: random.Random = random.Random(),  # noqa: B008 - shared on purpose
    ) -> None:
        self.clock = clock
        self.leases = leases
        self.random = random
        self._bus = bus
        self._worker = {"id": worker_id, "count": worker_count}
        self._timers: dict[str, Timer] = {}
        self._finished_runs = 0
        self._is_closed = False
        self._end = bus.subscribe(_CHANNEL, "ran", self._other_ran)

    def every(
        self,
        name: str,
        interval: float,
        job: Job,
        *,
        first: float | None = None,
        jitter: float = 0.0,
        overlap: Overlap = "skip",
        scope: Scope = "worker",
    ) -> Timer:
        """Run a job again and again until the timer is cancelled or the worker stops.

        @param interval: seconds from one due time to the next.
        @param first: seconds until the first run; C{interval} when not given.
        @param jitter: seconds by which each run is put off at most, at random.
        @param scope: C{node} runs it in one worker of those that ask for the same name, and in
            another one when that worker stops or dies.
        @raise TimerError: the name is taken, or a number makes no sense.
        """
        if interval <= 0:
            raise TimerError(f"timer {name}: the interval must be greater than 0, not {interval}")
        if not 0 <= jitter <= interval:
            raise TimerError(f"timer {name}: the jitter must be from 0 to the interval")
        return self._add(
            Timer(
                self,
                name,
                job,
                interval=interval,
                first=interval if first is None else first,
                jitter=jitter,
                overlap=overlap,
                scope=scope,
            )
        )

    def after(self, name: str, delay: float, job: Job, *, scope: Scope = "worker") -> Timer:
        """Run a job once.

        @param delay: seconds.
        @param scope: C{node} runs it in one worker of those that ask for the same name.
        @raise TimerError: the name is taken, or the delay is negative.
        """
        if delay < 0:
            raise TimerError(f"timer {name}: the delay must not be negative")
        return self._add(
            Timer(
                self,
                name,
                job,
                interval=None,
                first=delay,
                jitter=0.0,
                overlap="skip",
                scope=scope,
            )
        )

    def _add(self, timer: Timer) -> Timer:
        if self._is_closed:
            raise TimerError(f"timer {timer.name}: the worker is stopping")
        if timer.name in self._timers:
            raise TimerError(f"there is a timer named {timer.name} already")
        self._timers[timer.name] = timer
        timer.start()
        return timer

    def get(self, name: str) -> Timer | None:
        """The timer of a name."""
        return self._timers.get(name)

    def ran_once(self, timer: Timer) -> None:
        """A one-shot job has run: the other workers need not."""
        if timer.scope == "node":
            told = self._bus.publish(_CHANNEL, "ran", {"name": timer.name})
            told.addErrback(lambda _: log.warn("could not tell that {name} ran", name=timer.name))
        timer.cancel()

    def _other_ran(self, data: Any, channel: str, event: str, worker_id: int) -> None:
        timer = self._timers.get(data["name"])
        if timer is not None and timer.interval is None and timer.running is None:
            timer.cancel()

    def forget(self, timer: Timer) -> None:
        """A timer was cancelled."""
        if self._timers.get(timer.name) is timer:
            del self._timers[timer.name]
            self._finished_runs += timer.stats.runs

    def statistics(self) -> dict[str, Any]:
        """What the Admin API's C{/timers} answers. Kong: the same shape."""
        timers = list(self._timers.values())
        running = sum(timer.running is not None for timer in timers)
        pending = sum(timer.is_pending for timer in timers)
        return {
            "worker": dict(self._worker),
            "stats": {
                "flamegraph": flamegraph({timer.name: timer.stats for timer in timers}),
                "sys": {
                    "total": len(timers),
                    "runs": self._finished_runs + sum(timer.stats.runs for timer in timers),
                    "running": running,
                    "pending": pending,
                    "waiting": len(timers) - running - pending,
                },
                "timers": {timer.name: timer.stats.report() for timer in timers},
            },
        }

    def stopService(self) -> Deferred[None]:
        """Start no run any more and wait for those that go on; cancel them after a grace."""
        Service.stopService(self)
        self._is_closed = True
        self._end()
        going_on = [timer.running for timer in self._timers.values() if timer.running is not None]
        for timer in list(self._timers.values()):
            timer.cancel()
        if not going_on:
            return succeed(None)
        for each in going_on:
            each.addTimeout(STOP_GRACE, self.clock, onTimeoutCancel=lambda *_: None)
        return DeferredList(going_on).addCallback(lambda _: None)
