import pytest
from twisted.internet.defer import CancelledError, Deferred

from kongtx.dns.flight import Flights


def test_askers_share_one_piece_of_work():
    flights, started = Flights(), []
    gate = Deferred()

    async def work():
        started.append(1)
        return await gate

    first, second = flights.join("k", work), flights.join("k", work)
    gate.callback(42)

    assert (first.result, second.result, started) == (42, 42, [1])
    assert "k" not in flights


def test_a_failure_reaches_all():
    flights = Flights()
    gate = Deferred()

    async def work():
        await gate
        raise ValueError("no")

    waiters = [flights.join("k", work) for _ in range(2)]
    gate.callback(None)

    for waiter in waiters:
        with pytest.raises(ValueError, match="no"):
            waiter.addErrback(lambda failure: failure.raiseException()).result.raiseException()
        waiter.addErrback(lambda _: None)


def test_a_cancelled_asker_leaves_the_others_waiting():
    flights = Flights()
    gate = Deferred()

    async def work():
        return await gate

    first, second = flights.join("k", work), flights.join("k", work)
    failures = []
    first.addErrback(lambda failure: failures.append(failure.type))
    first.cancel()
    gate.callback("done")

    assert failures == [CancelledError]
    assert second.result == "done"


def test_work_that_ended_runs_again_for_the_next():
    flights, runs = Flights(), []

    async def work():
        runs.append(1)
        return len(runs)

    assert [flights.join("k", work).result for _ in range(2)] == [1, 2]
