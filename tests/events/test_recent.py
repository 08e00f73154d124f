"""Unique keys seen a short time ago."""

from kongtx.events.recent import RecentKeys


def test_a_key_is_new_once_within_the_window():
    recent = RecentKeys(window=2.0)
    assert recent.is_new("k", 10.0)
    assert not recent.is_new("k", 11.9)
    assert recent.is_new("k", 12.0)


def test_seeing_a_key_again_does_not_prolong_it():
    recent = RecentKeys(window=2.0)
    assert [recent.is_new("k", now) for now in (0.0, 1.0, 2.0, 3.0)] == [True, False, True, False]


def test_old_keys_are_forgotten():
    recent = RecentKeys(window=2.0)
    for number in range(100):
        recent.is_new(str(number), number / 10)
    assert len(recent) == 20
