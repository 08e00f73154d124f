"""What was made of cached values."""

from __future__ import annotations

import pytest

from kongtx.cache.derived import Derived
from kongtx.cache.lru import LRU

NOW = 100.0


@pytest.fixture
def first() -> LRU:
    """A first level with two entries, of which one expires."""
    level = LRU(10)
    level.set("for ever", ALWAYS, float("inf"))
    level.set("for a while", SOON, NOW + 5)
    return level


ALWAYS, SOON = {"id": 1}, {"id": 2}


def test_what_was_made_is_found_until_the_first_of_its_sources_expires(first: LRU) -> None:
    now = NOW
    derived = Derived(first, lambda: now)
    derived.hold("both", "made", {"for ever": ALWAYS, "for a while": SOON})
    derived.hold("one", "made too", {"for ever": ALWAYS})
    assert (derived.get("both"), derived.get("one"), derived.get("none")) == (
        "made",
        "made too",
        None,
    )
    now += 5
    assert (derived.get("both"), derived.get("one")) == (None, "made too")
    derived.clear()
    assert derived.get("one") is None


@pytest.mark.parametrize("used", [{"for ever": {"id": 1}}, {"gone": None}, {"gone": ALWAYS}])
def test_what_was_made_of_something_else_is_not_held(first: LRU, used: dict[str, object]) -> None:
    derived = Derived(first, lambda: NOW)
    derived.hold("key", "made", used)
    assert derived.get("key") is None


def test_only_so_many_are_held(first: LRU) -> None:
    derived = Derived(first, lambda: NOW, size=2)
    for name in ("a", "b", "c"):
        derived.hold(name, name, {"for ever": ALWAYS})
    assert [derived.get(name) for name in ("a", "b", "c")] == [None, None, "c"]
