"""Generations of workers, without processes."""

import signal

import pytest
from twisted.internet.task import Clock
from zope.interface import implementer
from zope.interface.verify import verifyObject

from kongtx.runtime.errors import WorkerError
from kongtx.runtime.processes.supervisor import (
    KILL_AFTER,
    READY_TIMEOUT,
    Exit,
    Generation,
    IProcess,
)


@implementer(IProcess)
class FakeProcess:
    def __init__(self, pid, worker_id, ended):
        self._pid = pid
        self.worker_id = worker_id
        self.ended = ended
        self.signals = []

    def pid(self):
        return self._pid

    def signal(self, number):
        self.signals.append(number)


class World:
    """A generation of fake processes, numbered from 100."""

    def __init__(self, workers=2):
        self.clock = Clock()
        self.processes = []
        self.lost = []
        self.generation = Generation(self.clock, self.spawn, 1, workers, self.lost.append)

    def spawn(self, worker_id, ended):
        process = FakeProcess(100 + len(self.processes), worker_id, ended)
        self.processes.append(process)
        return process

    def start(self):
        started = self.generation.start()
        for process in list(self.processes):
            self.generation.worker_is_ready(process.pid())
        return started


@pytest.fixture
def world():
    return World()


def outcome(deferred):
    """What a Deferred has come to: C{waiting}, a result or the error."""
    results = []
    deferred.addBoth(results.append)
    return results[0] if results else "waiting"


def failure_of(deferred):
    failures = []
    deferred.addErrback(failures.append)
    return failures[0]


def test_the_fake_is_a_process(world):
    verifyObject(IProcess, world.spawn(0, None))


def test_it_has_started_when_every_worker_is_ready(world):
    started = world.generation.start()
    assert [process.worker_id for process in world.processes] == [0, 1]
    assert world.generation.worker_is_ready(100)
    assert not started.called
    assert world.generation.worker_is_ready(101)
    assert outcome(started) is None
    assert world.generation.pids() == [100, 101]
    assert world.clock.getDelayedCalls() == []


def test_a_stranger_is_not_one_of_its_workers(world):
    world.generation.start()
    assert not world.generation.worker_is_ready(999)


def test_a_worker_that_ends_before_it_is_ready_fails_the_start_with_its_report(world):
    started = world.generation.start()
    world.processes[1].ended(Exit(1, None, "no file at: kong.yml"))
    failure = failure_of(started)
    assert failure.check(WorkerError)
    assert failure.getErrorMessage() == "no file at: kong.yml"
    world.clock.advance(100)
    assert len(world.processes) == 2


def test_without_a_report_the_exit_is_told(world):
    started = world.generation.start()
    world.processes[0].ended(Exit(None, 11))
    assert failure_of(started).getErrorMessage() == (
        "worker 0 killed by signal 11 (SIGSEGV) before it was ready"
    )


def test_a_start_that_takes_too_long_fails(world):
    started = world.generation.start()
    world.generation.worker_is_ready(100)
    world.clock.advance(READY_TIMEOUT)
    assert failure_of(started).getErrorMessage() == "the workers were not ready after 60 s"


def test_a_worker_killed_while_others_start_is_started_again(world):
    started = world.generation.start()
    world.generation.worker_is_ready(100)
    world.processes[0].ended(Exit(None, 9))
    world.clock.advance(0)
    assert [process.worker_id for process in world.processes] == [0, 1, 0]
    world.generation.worker_is_ready(101)
    assert not started.called
    world.generation.worker_is_ready(102)
    assert outcome(started) is None


def test_the_loss_of_a_worker_that_was_ready_is_told(world):
    world.start()
    world.processes[1].ended(Exit(None, 9))
    world.clock.advance(0)
    world.processes[2].ended(Exit(1))
    assert world.lost == [101]
    world.generation.drain()
    world.processes[0].ended(Exit(0))
    assert world.lost == [101]


def test_a_crashed_worker_gets_a_successor_at_once(world):
    world.start()
    world.clock.advance(60)
    world.processes[1].ended(Exit(None, 9))
    assert world.generation.pids() == [100]
    world.clock.advance(0)
    assert world.generation.pids() == [100, 102]
    assert world.processes[2].worker_id == 1


def test_a_worker_that_crashes_again_waits(world):
    world.start()
    world.processes[0].ended(Exit(1))
    world.clock.advance(0)
    world.processes[2].ended(Exit(1, None, "no such table"))
    world.clock.advance(0.09)
    assert len(world.processes) == 3
    world.clock.advance(0.02)
    assert len(world.processes) == 4


def test_a_process_that_cannot_be_started_is_tried_again(world):
    world.start()
    spawn, world.generation.spawn = world.generation.spawn, fails_to_spawn
    world.processes[1].ended(Exit(None, 9))
    world.clock.advance(1)
    assert world.generation.pids() == [100]
    world.generation.spawn = spawn
    world.clock.pump([1] * 5)
    assert world.generation.pids() == [100, 102]


def fails_to_spawn(worker_id, ended):
    raise OSError(11, "Resource temporarily unavailable")


def test_a_process_that_cannot_be_started_at_all_fails_the_start(world):
    world.generation.spawn = fails_to_spawn
    started = world.generation.start()
    world.clock.advance(0)
    assert failure_of(started).getErrorMessage() == (
        "cannot start a process: Resource temporarily unavailable"
    )
    assert world.generation.terminate().called
    assert world.clock.getDelayedCalls() == []


def test_draining_asks_each_worker_and_waits_for_all(world):
    world.start()
    gone = world.generation.drain()
    assert [process.signals for process in world.processes] == [[signal.SIGQUIT]] * 2
    world.processes[0].ended(Exit(0))
    world.clock.advance(60)
    assert outcome(gone) == "waiting"
    assert len(world.processes) == 2
    world.processes[1].ended(Exit(0))
    assert gone.called
    assert world.clock.getDelayedCalls() == []


def test_terminating_kills_those_that_do_not_obey(world):
    world.start()
    gone = world.generation.terminate()
    world.processes[0].ended(Exit(0))
    world.clock.advance(KILL_AFTER)
    assert world.processes[0].signals == [signal.SIGTERM]
    assert world.processes[1].signals == [signal.SIGTERM, signal.SIGKILL]
    world.processes[1].ended(Exit(None, 9))
    assert gone.called


def test_terminating_while_draining_ends_both(world):
    world.start()
    drained = world.generation.drain()
    terminated = world.generation.terminate()
    for process in world.processes:
        assert process.signals == [signal.SIGQUIT, signal.SIGTERM]
        process.ended(Exit(0))
    assert drained.called
    assert terminated.called
    assert world.clock.getDelayedCalls() == []


def test_stopping_starts_no_successor_that_was_waiting(world):
    world.start()
    world.processes[0].ended(Exit(1))
    gone = world.generation.terminate()
    world.processes[1].ended(Exit(0))
    world.clock.advance(60)
    assert gone.called
    assert len(world.processes) == 2


def test_stopping_what_never_ran_is_done_at_once(world):
    assert world.generation.drain().called


def test_signals_reach_every_worker(world):
    world.start()
    world.generation.signal(signal.SIGUSR1)
    assert [process.signals for process in world.processes] == [[signal.SIGUSR1]] * 2
