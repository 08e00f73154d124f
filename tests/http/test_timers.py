"""Deadlines move cheaply and are kept."""

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
