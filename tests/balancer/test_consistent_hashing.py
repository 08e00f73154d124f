from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from zope.interface.verify import verifyObject

from kongtx.balancer.consistent_hashing import ConsistentHashing, build_table, next_prime
from kongtx.balancer.interfaces import IAlgorithm

from .support import peers_of

NAMES = [f"10.0.0.{n}:80" for n in range(12)]
VALUES = [f"user-{n}".encode() for n in range(4000)]
WEIGHTS = st.dictionaries(st.sampled_from(NAMES), st.integers(1, 300), min_size=2)


def _algorithm(peers, seed=1, slots=1000):
    algorithm = ConsistentHashing(slots, Random(seed))
    algorithm.update(peers)
    return algorithm


def _owners(algorithm, failed=()):
    return {value: algorithm.pick(value, failed) for value in VALUES}


def test_it_provides_its_interface():
    verifyObject(IAlgorithm, _algorithm(peers_of(1)))


@pytest.mark.parametrize(
    ("number", "prime"), [(1, 2), (2, 2), (10, 11), (10000, 10007), (65536, 65537)]
)
def test_primes(number, prime):
    assert next_prime(number) == prime


@hypothesis_settings(max_examples=40)
@given(WEIGHTS, st.data())
def test_removing_a_peer_moves_its_slots_alone(weights, data):
    gone = data.draw(st.sampled_from(sorted(weights)))
    before = build_table(weights, 200)
    after = build_table({name: w for name, w in weights.items() if name != gone}, 200)

    moved = [slot for slot, owner in enumerate(before) if owner != after[slot]]

    assert moved == [slot for slot, owner in enumerate(before) if owner == gone]


@hypothesis_settings(max_examples=40)
@given(WEIGHTS, st.data())
def test_gaining_weight_takes_slots_and_moves_none_between_others(weights, data):
    name = data.draw(st.sampled_from(sorted(weights)))
    before = build_table(weights, 200)
    after = build_table({**weights, name: weights[name] * 2}, 200)

    assert {after[slot] for slot, owner in enumerate(before) if owner != after[slot]} <= {name}


@given(WEIGHTS)
@hypothesis_settings(max_examples=20)
def test_the_order_of_peers_does_not_matter(weights):
    assert build_table(weights, 100) == build_table(dict(reversed(weights.items())), 100)


def test_slots_follow_the_weights():
    weights = {NAMES[n]: (100, 200, 300, 400)[n] for n in range(4)}
    counts = Counter(build_table(weights, 10000))

    for name, weight in weights.items():
        assert counts[name] == pytest.approx(10 * weight, rel=0.1)


def test_many_equal_targets_share_evenly():
    counts = Counter(build_table({f"t{n}": 1.0 for n in range(100)}, 10000))

    assert len(counts) == 100
    assert max(counts.values()) < 140
    assert min(counts.values()) > 60


def test_a_value_keeps_its_peer_in_every_worker():
    first = _owners(_algorithm(peers_of(1, 1, 1), seed=1))
    second = _owners(_algorithm(list(reversed(peers_of(1, 1, 1))), seed=2))

    assert {v: p.port for v, p in first.items()} == {v: p.port for v, p in second.items()}


def test_values_spread_by_weight():
    counts = Counter(peer.port for peer in _owners(_algorithm(peers_of(1, 1, 2))).values())

    assert counts[1] == pytest.approx(1000, rel=0.15)
    assert counts[3] == pytest.approx(2000, rel=0.15)


def test_removing_one_of_ten_moves_no_more_than_its_share():
    peers = peers_of(*[1] * 10)
    before = _owners(_algorithm(peers))
    after = _owners(_algorithm(peers[:-1]))

    moved = [value for value in VALUES if before[value] is not after[value]]

    assert all(before[value] is peers[-1] for value in moved)
    assert len(moved) == sum(owner is peers[-1] for owner in before.values())
    assert len(moved) / len(VALUES) < 0.13


def test_an_unusable_peer_gives_its_values_to_all_others_and_gets_them_back():
    peers = peers_of(1, 1, 1, 1)
    algorithm = _algorithm(peers)
    before = _owners(algorithm)
    peers[0].usable = False
    algorithm.update(peers)
    during = _owners(algorithm)
    peers[0].usable = True
    algorithm.update(peers)

    assert _owners(algorithm) == before
    moved = Counter(during[v].port for v in VALUES if before[v] is peers[0])
    assert all(during[v] is before[v] for v in VALUES if before[v] is not peers[0])
    assert set(moved) == {2, 3, 4}
    assert min(moved.values()) > sum(moved.values()) / 5


def test_failed_peers_are_avoided_while_there_is_another():
    peers = peers_of(1, 1, 1)
    algorithm = _algorithm(peers)

    for value in VALUES[:100]:
        first = algorithm.pick(value, ())
        second = algorithm.pick(value, [first])
        third = algorithm.pick(value, [first, second])
        assert {first, second, third} == set(peers)
        assert algorithm.pick(value, peers) in peers


def test_one_usable_among_many_is_found():
    peers = peers_of(*[1] * 500)
    for peer in peers[1:]:
        peer.usable = False
    algorithm = _algorithm(peers)

    assert {algorithm.pick(value, ()) for value in VALUES[:200]} == {peers[0]}


def test_nobody_usable_is_none():
    peers = peers_of(1)
    peers[0].usable = False

    assert _algorithm(peers).pick(b"x", ()) is None
    assert _algorithm([]).pick(b"x", ()) is None


def test_requests_without_a_value_go_anywhere():
    algorithm = _algorithm(peers_of(1, 1, 1))

    counts = Counter(algorithm.pick(None, ()).port for _ in range(3000))

    assert min(counts.values()) > 800


def test_a_peer_in_slow_start_keeps_a_part_of_its_values():
    peers = peers_of(1, 1)
    algorithm = _algorithm(peers)
    mine = [value for value, peer in _owners(algorithm).items() if peer is peers[0]]
    peers[0].factor = 0.3

    kept = [value for value in mine if algorithm.pick(value, ()) is peers[0]]

    assert 0.2 < len(kept) / len(mine) < 0.6
    assert kept == [value for value in mine if algorithm.pick(value, ()) is peers[0]]
