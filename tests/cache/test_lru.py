"""The first level of the cache."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kongtx.cache.lru import LRU, MISSING


def test_a_missing_key_is_not_a_cached_none() -> None:
    lru = LRU(2)
    lru.set("a", None, 10.0)
    assert lru.get("a", 0.0) is None
    assert lru.get("b", 0.0) is MISSING


def test_the_least_recently_used_key_is_evicted() -> None:
    lru = LRU(2)
    lru.set("a", 1, 10.0)
    lru.set("b", 2, 10.0)
    lru.get("a", 0.0)
    lru.set("c", 3, 10.0)
    assert [lru.get(key, 0.0) for key in "abc"] == [1, MISSING, 3]
    assert lru.evictions == 1


def test_an_entry_expires_at_its_second() -> None:
    lru = LRU(1)
    lru.set("a", 1, 10.0)
    assert lru.get("a", 9.999) == 1
    assert lru.get("a", 10.0) is MISSING
    assert len(lru) == 0


def test_a_size_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1 entry, not 0"):
        LRU(0)


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.booleans())), st.integers(1, 4))
def test_it_agrees_with_a_list_of_recent_keys(
    operations: list[tuple[str, bool]], size: int
) -> None:
    lru, recent = LRU(size), []
    for key, write in operations:
        if write:
            lru.set(key, key, 1.0)
        else:
            assert (lru.get(key, 0.0) is MISSING) == (key not in recent)
        if write or key in recent:
            recent = [k for k in recent if k != key] + [key]
        recent = recent[-size:]
        assert len(lru) == len(recent)
