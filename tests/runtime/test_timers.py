"""Jobs by name."""

import random

import pytest
import pytest_twisted
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher
from zope.interface import implementer

from kongtx.events.interfaces import ILeases
from kongtx.events.local import LocalEventBus, LocalLeases
from kongtx.runtime.errors import TimerError
from kongtx.runtime.timers import MAX_QUEUED, STOP_GRACE, Timers


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def timers(clock):
    return Timers(clock, LocalEventBus(clock), LocalLeases(), worker_id=1, worker_count=4)


@pytest.fixture
def logged():
    events = []
    globalLogPublisher.addObserver(events.append)
    yield events
    globalLogPublisher.removeObserver(events.append)


class Job:
    """Notes when it runs; each run lasts until its Deferred is fired."""

    def __init__(self, clock, waits=False):
        self.clock = clock
        self.at = []
        self.going_on = []
        self.waits = waits

    def __call__(self):
        self.at.append(self.clock.seconds())
        if self.waits:
            self.going_on.append(Deferred())
            return self.going_on[-1]
        return None


def advance(clock, seconds, step=1.0):
    for _ in range(int(seconds / step)):
        clock.advance(step)


def test_a_recurring_job_runs_at_its_pace(timers, clock):
    job = Job(clock)
    timers.every("j", 10, job)
    advance(clock, 35)
    assert job.at == [10, 20, 30]


def test_the_first_run_may_come_sooner(timers, clock):
    job = Job(clock)
    timers.every("j", 10, job, first=0)
    advance(clock, 15)
    assert job.at == [1, 11]


def test_a_one_shot_job_runs_once(timers, clock):
    job = Job(clock)
    timers.after("j", 5, job)
    advance(clock, 20)
    assert job.at == [5]
    assert timers.get("j") is None


def test_jitter_puts_off_each_run_without_drift(clock):
    timers = Timers(clock, LocalEventBus(clock), LocalLeases(), random=random.Random(7))
    job = Job(clock)
    timers.every("j", 10, job, jitter=4)
    advance(clock, 105, 0.25)
    late = [at - 10 * (index + 1) for index, at in enumerate(job.at)]
    assert len(job.at) == 10
    assert all(0 <= each <= 4.25 for each in late)
    assert len(set(late)) > 3


def test_overlapping_runs_are_skipped(timers, clock):
    job = Job(clock, waits=True)
    timer = timers.every("j", 10, job)
    advance(clock, 35)
    assert job.at == [10]
    assert timer.stats.skipped == 2
    job.going_on[0].callback(None)
    assert job.at == [10]
    advance(clock, 10)
    assert job.at == [10, 40]


def test_or_they_wait_in_line(timers, clock):
    job = Job(clock, waits=True)
    timer = timers.every("j", 10, job, overlap="queue")
    advance(clock, 35)
    assert (job.at, timer.is_pending) == ([10], True)
    for _ in range(3):
        job.going_on.pop().callback(None)
    assert job.at == [10, 35, 35]
    assert not timer.is_pending


def test_the_line_has_an_end(timers, clock):
    job = Job(clock, waits=True)
    timer = timers.every("j", 1, job, overlap="queue")
    advance(clock, MAX_QUEUED + 5)
    assert timer.stats.skipped == 4


def test_a_failing_job_is_logged_and_goes_on(timers, clock, logged):
    def fails():
        raise ValueError("no")

    timer = timers.every("j", 1, fails)
    advance(clock, 3)
    assert timer.stats.runs == 3
    assert timer.stats.failures == 3
    assert timer.stats.last_error == "no"
    failures = [event for event in logged if "log_failure" in event]
    assert len(failures) == 3
    assert failures[0]["timer"] == "j"


def test_coroutines_are_waited_for(timers, clock):
    gate = Deferred()

    async def job():
        await gate

    timer = timers.every("j", 1, job)
    advance(clock, 3)
    assert timer.stats.runs == 1
    gate.callback(None)
    assert timer.stats.ended == 1


def test_a_cancelled_timer_runs_no_more(timers, clock):
    job = Job(clock)
    timer = timers.every("j", 1, job, jitter=0.5)
    clock.advance(1)
    timer.cancel()
    timer.cancel()
    advance(clock, 5)
    assert job.at == []
    assert clock.getDelayedCalls() == []
    timers.every("j", 1, job)


def test_a_job_may_cancel_its_own_timer(timers, clock):
    runs = []

    def job():
        runs.append(1)
        timers.get("j").cancel()

    timers.every("j", 1, job)
    advance(clock, 5)
    assert runs == [1]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda timers: timers.every("j", 0, print), "the interval must be greater than 0"),
        (lambda timers: timers.every("j", 1, print, jitter=2), "the jitter must be from 0"),
        (lambda timers: timers.after("j", -1, print), "the delay must not be negative"),
        (lambda timers: timers.after("taken", 1, print), "there is a timer named taken already"),
    ],
)
def test_what_makes_no_sense_is_refused(timers, make, message):
    timers.every("taken", 1, print)
    with pytest.raises(TimerError, match=message):
        make(timers)


@implementer(ILeases)
class Arbiter:
    """Leases of several workers: the first who asks holds a name."""

    def __init__(self):
        self.bids = {}

    def of_worker(self):
        return self

    def hold(self, name, tell):
        bids = self.bids.setdefault(name, [])
        bids.append(tell)
        if len(bids) == 1:
            tell(True)

        def give_back():
            first = bids[0] is tell
            bids.remove(tell)
            tell(False)
            if first and bids:
                bids[0](True)

        return give_back

    def close(self):
        raise NotImplementedError


@pytest.fixture
def node(clock):
    """Two workers' timers with one arbiter and one bus."""
    bus, arbiter = LocalEventBus(clock), Arbiter()
    return [Timers(clock, bus, arbiter, worker_id=number, worker_count=2) for number in (0, 1)]


def test_a_job_of_the_node_runs_in_one_worker_and_is_taken_over(node, clock):
    jobs = [Job(clock), Job(clock)]
    for timers, job in zip(node, jobs, strict=True):
        timers.every("j", 10, job, scope="node")
    advance(clock, 25)
    assert [job.at for job in jobs] == [[10, 20], []]
    node[0].stopService()
    advance(clock, 10)
    assert jobs[0].at == [10, 20]
    assert jobs[1].at == [30]


def test_a_one_shot_job_of_the_node_runs_once_in_all(node, clock):
    jobs = [Job(clock), Job(clock)]
    for timers, job in zip(node, jobs, strict=True):
        timers.after("j", 10, job, scope="node")
    advance(clock, 20)
    assert [job.at for job in jobs] == [[10], []]
    assert node[1].get("j") is None


def test_a_one_shot_job_is_taken_over_before_it_ran(node, clock):
    jobs = [Job(clock), Job(clock)]
    for timers, job in zip(node, jobs, strict=True):
        timers.after("j", 10, job, scope="node")
    clock.advance(5)
    node[0].stopService()
    advance(clock, 10)
    assert [job.at for job in jobs] == [[], [10]]


def test_losing_the_lease_lets_a_run_finish(clock):
    arbiter = Arbiter()
    timers = Timers(clock, LocalEventBus(clock), arbiter)
    job = Job(clock, waits=True)
    timer = timers.every("j", 1, job, scope="node")
    clock.advance(1)
    arbiter.bids["timer:j"][0](False)
    advance(clock, 5)
    assert len(job.at) == 1
    job.going_on[0].callback(None)
    assert timer.stats.ended == 1


def test_the_statistics_have_kongs_shape(timers, clock):
    waits, quick = Job(clock, waits=True), Job(clock)
    timers.every("waits", 1, waits, overlap="queue")
    timers.every("quick", 1, quick)
    timers.after("once", 1, quick)
    timers.after("later", 100, quick)
    advance(clock, 2)
    statistics = timers.statistics()
    assert statistics["worker"] == {"id": 1, "count": 4}
    assert statistics["stats"]["sys"] == {
        "total": 3,
        "runs": 4,
        "running": 1,
        "pending": 1,
        "waiting": 1,
    }
    assert statistics["stats"]["flamegraph"] == {
        "running": "timers;waits 1\n",
        "pending": "",
        "elapsed_time": "",
    }
    assert statistics["stats"]["timers"]["quick"] == {
        "runs": 2,
        "finish": 2,
        "failures": 0,
        "skipped": 0,
        "last_err_msg": "",
        "elapsed_time": {"avg": 0.0, "max": 0.0, "min": 0.0, "variance": 0.0},
    }


@pytest_twisted.ensureDeferred
async def test_stopping_waits_for_the_run_that_goes_on(timers, clock):
    job = Job(clock, waits=True)
    timers.every("j", 1, job)
    clock.advance(1)
    stopped = timers.stopService()
    assert not stopped.called
    job.going_on[0].callback(None)
    await stopped
    assert clock.getDelayedCalls() == []
    with pytest.raises(TimerError, match="the worker is stopping"):
        timers.after("late", 1, job)


@pytest_twisted.ensureDeferred
async def test_a_run_that_does_not_end_is_cancelled(timers, clock, logged):
    job = Job(clock, waits=True)
    timers.every("j", 1, job)
    clock.advance(1)
    stopped = timers.stopService()
    clock.advance(STOP_GRACE)
    await stopped
    assert job.going_on[0].called
    (failed,) = [event["log_failure"] for event in logged if "log_failure" in event]
    assert failed.type is CancelledError


def test_stopping_with_nothing_under_way_is_done_at_once(timers, clock):
    timers.every("j", 1, print)
    assert timers.stopService().called
    assert clock.getDelayedCalls() == []
