"""Deadlines move cheaply and are kept."""

import gc
import weakref

from twisted.internet.task import Clock

from kongtx.http.timers import NEVER, LazyTimer


def test_a_deadline_is_kept() -> None:
    clock, calls = Clock(), []
    timer = LazyTimer(clock, lambda: calls.append(clock.seconds()))
    timer.set(5)
    clock.advance(4)
    timer.set(8)
    assert len(clock.getDelayedCalls()) == 1
    clock.advance(3)
    assert calls == []
    clock.advance(1)
    assert calls == [8]
    clock.advance(100)
    assert calls == [8]


def test_a_nearer_deadline_is_kept_too() -> None:
    clock, calls = Clock(), []
    timer = LazyTimer(clock, lambda: calls.append(clock.seconds()))
    timer.set(60)
    timer.set(2)
    clock.advance(2)
    assert calls == [2]


def test_a_cleared_deadline_leaves_nothing_behind() -> None:
    clock, calls = Clock(), []
    timer = LazyTimer(clock, lambda: calls.append(clock.seconds()))
    timer.set(5)
    timer.deadline = NEVER
    clock.advance(6)
    assert calls == []
    assert clock.getDelayedCalls() == []
    timer.set(10)
    timer.stop()
    assert clock.getDelayedCalls() == []


class Owner:
    """Calls back to itself, as connections do."""

    def __init__(self, clock: Clock) -> None:
        self.timer = LazyTimer(clock, self.expired)

    def expired(self) -> None:
        raise AssertionError("it has ended")


def test_an_ended_timer_holds_its_owner_no_more_and_calls_nobody() -> None:
    clock = Clock()
    owner = Owner(clock)
    seen = weakref.ref(owner)
    owner.timer.set(5)
    owner.timer.end()
    assert clock.getDelayedCalls() == []
    owner.timer.set(6)
    clock.advance(7)
    gc.disable()
    try:
        del owner
        assert seen() is None
    finally:
        gc.enable()
