from collections import Counter
from random import Random

from hypothesis import given
from hypothesis import strategies as st
from zope.interface.verify import verifyObject

from kongtx.balancer.interfaces import IAlgorithm
from kongtx.balancer.least_connections import LeastConnections

from .support import peers_of


class Bench:
    """An algorithm with the bookkeeping that an upstream does."""

    def __init__(self, peers):
        self.peers = peers
        self.algorithm = LeastConnections(Random(1))
        self.algorithm.update(peers)

    def open(self, failed=()):
        peer = self.algorithm.pick(None, failed)
        peer.connections += 1
        self.algorithm.started(peer)
        return peer

    def close(self, peer):
        peer.connections -= 1
        self.algorithm.finished(peer, False, 0.1)


def test_it_provides_its_interface():
    verifyObject(IAlgorithm, LeastConnections(Random(1)))


@given(st.lists(st.integers(1, 20), min_size=1, max_size=6), st.data())
def test_the_chosen_peer_always_has_the_least_score(weights, data):
    bench, opened = Bench(peers_of(*weights)), []
    for _ in range(30):
        if opened and data.draw(st.booleans()):
            bench.close(opened.pop(data.draw(st.integers(0, len(opened) - 1))))
        else:
            least = min((peer.connections + 1) / peer.weight for peer in bench.peers)
            peer = bench.open()
            opened.append(peer)
            assert peer.connections / peer.weight == least


def test_connections_spread_by_weight():
    bench = Bench(peers_of(3, 2, 1))

    assert Counter(bench.open().port for _ in range(60)) == {1: 30, 2: 20, 3: 10}


def test_idle_peers_take_turns():
    bench = Bench(peers_of(1, 1, 1))
    ports = []
    for _ in range(6):
        peer = bench.open()
        bench.close(peer)
        ports.append(peer.port)

    assert sorted(ports[:3]) == sorted(ports[3:]) == [1, 2, 3]


def test_failed_peers_are_avoided_while_there_is_another():
    peers = peers_of(9, 1)
    bench = Bench(peers)

    assert [bench.open([peers[0]]).port for _ in range(3)] == [2, 2, 2]
    assert bench.open(peers).port == 1
    assert bench.open().port == 1


def test_connections_are_kept_over_an_update():
    peers = peers_of(1, 1)
    bench = Bench(peers)
    busy = bench.open()
    bench.algorithm.update(peers)

    assert bench.open() is not busy


def test_an_unusable_peer_is_left_out_and_its_attempts_may_still_end():
    peers = peers_of(1, 1)
    bench = Bench(peers)
    opened = [bench.open(), bench.open()]
    peers[0].usable = False
    bench.algorithm.update(peers)
    bench.close(opened[0])
    bench.close(opened[1])

    assert {bench.open().port for _ in range(3)} == {2}
    peers[0].usable = True
    bench.algorithm.update(peers)
    assert bench.open().port == 1


def test_nobody_usable_is_none():
    assert LeastConnections(Random(1)).pick(None, ()) is None


def test_outdated_entries_do_not_pile_up():
    bench = Bench(peers_of(1, 1))
    for _ in range(1000):
        bench.close(bench.open())

    assert len(bench.algorithm._heap) < 100
