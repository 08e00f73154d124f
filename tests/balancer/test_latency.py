from collections import Counter
from math import exp
from random import Random

import pytest
from twisted.internet.task import Clock
from zope.interface.verify import verifyObject

from kongtx.balancer.interfaces import IAlgorithm
from kongtx.balancer.latency import Latency

from .support import peers_of


class Bench:
    def __init__(self, peers):
        self.clock = Clock()
        self.clock.advance(100)
        self.peers = peers
        self.algorithm = Latency(Random(1), self.clock.seconds)
        self.algorithm.update(peers)

    def took(self, port, seconds, failed=False):
        self.algorithm.finished(self.peers[port - 1], failed, seconds)

    def counts(self, picks=300):
        return Counter(self.algorithm.pick(None, ()).port for _ in range(picks))


def test_it_provides_its_interface():
    verifyObject(IAlgorithm, Bench(peers_of(1)).algorithm)


def test_the_fastest_of_a_few_is_chosen():
    bench = Bench(peers_of(1, 1, 1))
    for port, seconds in ((1, 0.3), (2, 0.1), (3, 0.2)):
        bench.took(port, seconds)

    assert bench.counts() == {2: 300}


def test_among_many_the_slowest_is_never_and_the_fastest_most_often_chosen():
    bench = Bench(peers_of(*[1] * 10))
    for port in range(1, 11):
        bench.took(port, port / 10)
    counts = bench.counts(3000)

    assert counts[10] == 0
    assert counts.most_common(1)[0][0] == 1
    # Of two different peers at random, the first of ten is one with probability 1/5.
    assert counts[1] == pytest.approx(600, abs=90)


def test_attempts_under_way_and_weight_count():
    bench = Bench(peers_of(1, 1))
    bench.took(1, 0.1)
    bench.took(2, 0.15)
    bench.peers[0].connections = 1

    assert bench.counts() == {2: 300}
    bench.peers[0].weight = 2
    assert bench.counts() == {1: 300}


def test_a_peak_counts_at_once_and_fades():
    bench = Bench(peers_of(1))
    peer = bench.peers[0]
    bench.took(1, 0.1)
    bench.took(1, 2.0)
    peak = peer.ewma
    bench.clock.advance(10)
    bench.took(1, 0.1)

    assert peak == 2.0
    assert peer.ewma == pytest.approx(2.0 * exp(-1) + 0.1 * (1 - exp(-1)))


def test_a_slow_peer_is_tried_again_after_a_while():
    bench = Bench(peers_of(1, 1))
    bench.took(1, 5.0)
    bench.took(2, 0.1)
    before = bench.counts()
    bench.clock.advance(60)
    bench.took(2, 0.1)

    assert before == {2: 300}
    assert bench.counts() == {1: 300}


def test_failing_fast_does_not_attract():
    bench = Bench(peers_of(1, 1))
    bench.took(1, 0.0001, failed=True)
    bench.took(2, 0.3)

    assert bench.counts() == {2: 300}


def test_a_new_peer_begins_with_the_average():
    peers = peers_of(1, 1, 1)
    bench = Bench(peers[:2])
    bench.took(1, 0.2)
    bench.took(2, 0.4)
    bench.algorithm.update(peers)

    assert peers[2].ewma == pytest.approx(0.3)
    assert bench.counts() == {1: 300}


def test_failed_peers_are_avoided_while_there_is_another():
    peers = peers_of(1, 1)
    bench = Bench(peers)
    bench.took(2, 9)

    assert bench.algorithm.pick(None, [peers[0]]) is peers[1]
    assert bench.algorithm.pick(None, peers) is peers[0]


def test_unusable_peers_are_left_out():
    peers = peers_of(1, 1)
    peers[0].usable = False

    assert Bench(peers).counts() == {2: 300}
    peers[1].usable = False
    assert Bench(peers).algorithm.pick(None, ()) is None
