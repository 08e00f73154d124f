from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock

from kongtx.health.schedule import Rounds

from ..balancer.support import peers_of


class Setup:
    def __init__(self, peers, concurrency=10, check=None):
        self.clock = Clock()
        self.checked = []
        self.open = []
        self.cancelled = []
        self.rounds = Rounds(self.clock, 5, concurrency, lambda: peers, check or self._check)

    def _check(self, peer):
        self.checked.append(peer.port)
        waiting = Deferred(lambda _: self.cancelled.append(peer.port))
        self.open.append(waiting)
        return waiting


def test_each_round_begins_an_interval_after_the_last():
    it = Setup(peers_of(1, 1), check=lambda peer: succeed(it.checked.append(peer.port)))
    counts = []
    for _ in range(4):
        counts.append(len(it.checked))
        it.clock.advance(2.5)

    assert counts == [0, 0, 2, 2]
    assert it.checked == [1, 2, 1, 2]


def test_only_so_many_run_at_once():
    it = Setup(peers_of(1, 1, 1), concurrency=2)
    it.clock.advance(5)
    before = list(it.checked)
    it.open[0].callback(None)

    assert before == [1, 2]
    assert it.checked == [1, 2, 3]


def test_a_slow_round_delays_the_next():
    it = Setup(peers_of(1))
    it.clock.pump([5, 5, 5])
    it.open[0].callback(None)
    it.clock.advance(5)

    assert it.checked == [1, 1]


def test_stopping_cancels_what_runs_and_begins_nothing_more():
    it = Setup(peers_of(1, 1), concurrency=1)
    it.clock.advance(5)
    it.rounds.stop()
    it.clock.advance(50)

    assert it.cancelled == [1]
    assert it.checked == [1]
    assert it.clock.getDelayedCalls() == []


def test_a_check_that_breaks_does_not_end_the_rounds():
    attempts = []

    def check(peer):
        attempts.append(peer.port)
        broken = Deferred()
        broken.errback(ValueError("broken"))
        return broken

    it = Setup(peers_of(1), check=check)
    it.clock.pump([5, 5])

    assert attempts == [1, 1]
