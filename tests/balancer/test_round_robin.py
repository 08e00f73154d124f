from collections import Counter
from random import Random

from hypothesis import given
from hypothesis import strategies as st
from zope.interface.verify import verifyObject

from kongtx.balancer.interfaces import IAlgorithm
from kongtx.balancer.round_robin import RoundRobin

from .support import peers_of

WEIGHTS = st.lists(st.integers(1, 40), min_size=1, max_size=8)


def _started(peers, seed=1):
    algorithm = RoundRobin(Random(seed))
    algorithm.update(peers)
    return algorithm


def _counts(algorithm, picks):
    return Counter(algorithm.pick(None, ()).port for _ in range(picks))


def test_it_provides_its_interface():
    verifyObject(IAlgorithm, _started(peers_of(1)))


@given(WEIGHTS, st.integers())
def test_a_full_turn_is_exactly_as_weighted_and_so_is_each_further_one(weights, seed):
    algorithm = _started(peers_of(*weights), seed)

    for _ in range(3):
        assert _counts(algorithm, sum(weights)) == dict(enumerate(weights, 1))


@given(WEIGHTS, st.integers(0, 300))
def test_any_stretch_is_as_weighted_within_the_number_of_peers(weights, skipped):
    algorithm = _started(peers_of(*weights))
    _counts(algorithm, skipped)
    total = sum(weights)

    counts = _counts(algorithm, 137)

    for port, weight in enumerate(weights, 1):
        assert abs(counts[port] - 137 * weight / total) <= len(weights)


def test_the_extremes_of_weights_are_exact():
    algorithm = _started(peers_of(65535, 1, 3))

    assert _counts(algorithm, 65539) == {1: 65535, 2: 1, 3: 3}


def test_ten_thousand_picks_are_within_one_percent_of_the_weights():
    weights = (100, 250, 75, 300, 275)
    counts = _counts(_started(peers_of(*weights)), 10_000)

    for port, weight in enumerate(weights, 1):
        assert abs(counts[port] - 10 * weight) <= 0.01 * 10 * weight


def test_a_heavy_peer_is_not_chosen_in_bursts():
    algorithm = _started(peers_of(5, 5))
    ports = [algorithm.pick(None, ()).port for _ in range(20)]

    assert all(ports[n] != ports[n + 2] or ports[n] != ports[n + 1] for n in range(18))


def test_peers_that_are_not_usable_are_not_chosen():
    peers = peers_of(1, 1, 1)
    peers[1].usable = False

    assert _counts(_started(peers), 10) == {1: 5, 3: 5}


def test_nobody_usable_is_none():
    peers = peers_of(1)
    peers[0].usable = False

    assert _started(peers).pick(None, ()) is None
    assert _started([]).pick(None, ()) is None


def test_failed_peers_are_avoided_while_there_is_another():
    peers = peers_of(9, 1, 1)
    algorithm = _started(peers)

    for _ in range(10):
        assert algorithm.pick(None, [peers[0], peers[2]]) is peers[1]
    assert algorithm.pick(None, peers) in peers


def test_a_failed_peer_loses_no_turn_to_the_retries_of_others():
    peers = peers_of(1, 1)
    algorithm = _started(peers)
    for _ in range(10):
        algorithm.pick(None, [peers[0]])

    assert algorithm.pick(None, ()) is peers[0]


def test_the_place_in_the_turn_survives_an_update():
    peers = peers_of(1, 1, 1)
    algorithm = _started(peers)
    first = [algorithm.pick(None, ()).port for _ in range(2)]
    algorithm.update(peers)

    assert {*first, algorithm.pick(None, ()).port} == {1, 2, 3}


def test_a_live_change_of_weight_holds_from_then_on():
    peers = peers_of(10, 10)
    algorithm = _started(peers)
    _counts(algorithm, 7)
    peers[0].weight = 30
    algorithm.update(peers)

    counts = _counts(algorithm, 4000)

    assert abs(counts[1] - 3000) <= 2


@given(WEIGHTS, st.integers(1, 40), st.integers(0, 50))
def test_a_turn_is_exact_after_a_peer_was_added(weights, more, skipped):
    peers = peers_of(*weights, more)
    algorithm = _started(peers[:-1])
    _counts(algorithm, skipped)
    algorithm.update(peers)

    assert _counts(algorithm, sum(weights) + more) == dict(enumerate([*weights, more], 1))


def test_workers_begin_at_different_peers():
    firsts = {_started(peers_of(1, 1, 1, 1), seed).pick(None, ()).port for seed in range(50)}

    assert firsts == {1, 2, 3, 4}
