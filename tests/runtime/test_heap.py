"""Large configurations are out of the collector's way."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Any
from weakref import ref

import pytest

from kongtx.runtime import heap
from kongtx.runtime.heap import LARGE, set_aside, settle


class Thing:
    """Something that can be referred to weakly, in a cycle."""

    def __init__(self) -> None:
        self.itself: Any = self


@pytest.fixture(autouse=True)
def thawed() -> Iterator[None]:
    yield
    gc.unfreeze()


def test_what_the_start_made_is_not_looked_at_again() -> None:
    heap.hold_off()
    try:
        assert not gc.isenabled()
        thing = Thing()
    finally:
        heap.resume()
    assert gc.isenabled()
    assert not any(each is thing for each in gc.get_objects())


def test_a_small_configuration_is_left_to_the_collector() -> None:
    before = gc.get_freeze_count()
    assert not settle(LARGE - 1)
    assert gc.get_freeze_count() == before


def test_a_large_one_is_set_aside() -> None:
    thing = Thing()
    assert settle(LARGE)
    assert gc.get_freeze_count() > 0
    assert not any(each is thing for each in gc.get_objects())


def test_what_is_gone_by_the_next_time_is_freed_then() -> None:
    thing = Thing()
    seen = ref(thing)
    settle(LARGE)
    del thing
    gc.collect()
    assert seen() is not None
    settle(LARGE)
    assert seen() is None


def test_what_is_new_is_set_aside_as_it_is() -> None:
    thing = Thing()
    set_aside(LARGE - 1)
    assert any(each is thing for each in gc.get_objects())
    set_aside(LARGE)
    assert not any(each is thing for each in gc.get_objects())
