from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from kongtx.dns.choice import Turn
from kongtx.dns.records import Record


def test_equal_records_are_taken_in_turn():
    turn = Turn([Record("a"), Record("b"), Record("c")])

    assert [turn.take().address for _ in range(5)] == ["a", "b", "c", "a", "b"]


def test_the_start_is_moved():
    assert Turn([Record("a"), Record("b"), Record("c")], start=4).take().address == "b"


def test_only_the_lowest_priority_is_taken():
    turn = Turn([Record("a", priority=2), Record("b", priority=1), Record("c", priority=1)])

    assert {turn.take().address for _ in range(10)} == {"b", "c"}


@given(st.lists(st.integers(1, 50), min_size=1, max_size=8), st.integers(0, 100))
def test_a_full_turn_is_exactly_as_weighted(weights, start):
    turn = Turn([Record(str(n), weight=weight) for n, weight in enumerate(weights)], start)

    taken = Counter(turn.take().address for _ in range(sum(weights)))

    assert taken == {str(n): weight for n, weight in enumerate(weights)}


def test_weight_zero_is_taken_rarely_but_taken():
    turn = Turn([Record("a", weight=0), Record("b", weight=10)])

    taken = Counter(turn.take().address for _ in range(1010))

    assert taken == {"a": 10, "b": 1000}
