"""The memory of decisions is bounded and keeps what is used."""

from __future__ import annotations

from kongtx.router.decisions import Decisions


def test_it_finds_what_it_was_given():
    decisions = Decisions(2)
    decisions.put("a", 1)

    assert decisions.get("a") == 1
    assert decisions.get("b") is None


def test_it_holds_at_most_two_generations():
    decisions = Decisions(10)
    for number in range(1000):
        decisions.put(number, number)

    assert len(decisions) <= 20
    assert [decisions.get(number) for number in range(991, 1000)] == list(range(991, 1000))
    assert decisions.get(0) is None


def test_what_is_used_stays():
    decisions = Decisions(10)
    decisions.put("used", 1)
    for number in range(1000):
        decisions.put(number, number)
        assert decisions.get("used") == 1
