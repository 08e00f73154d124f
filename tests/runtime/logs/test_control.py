"""The log level at run time."""

import pytest
from twisted.internet.task import Clock

from kongtx.lib.loglevel import Level
from kongtx.runtime.logs.control import LogLevelControl


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def control(clock):
    return LogLevelControl(clock, Level.NOTICE)


def test_a_change_with_timeout_goes_back_to_what_is_configured(control, clock):
    control.set(Level.DEBUG, timeout_s=60)
    clock.advance(20)
    assert control.level is Level.DEBUG
    assert control.remaining_s() == 40
    clock.advance(40)
    assert control.level is Level.NOTICE
    assert control.remaining_s() == 0


def test_a_second_change_replaces_the_first_ones_timeout(control, clock):
    control.set(Level.DEBUG, timeout_s=60)
    clock.advance(50)
    control.set(Level.INFO, timeout_s=60)
    clock.advance(50)
    assert control.level is Level.INFO
    clock.advance(10)
    assert control.level is Level.NOTICE


def test_a_change_without_timeout_stays(control, clock):
    control.set(Level.DEBUG, timeout_s=60)
    control.set(Level.ERROR)
    clock.advance(1000)
    assert control.level is Level.ERROR


def test_setting_what_is_configured_needs_no_timer(control, clock):
    control.set(Level.DEBUG, timeout_s=60)
    control.set(Level.NOTICE, timeout_s=60)
    assert clock.getDelayedCalls() == []


def test_closing_leaves_no_timer(control, clock):
    control.set(Level.DEBUG, timeout_s=60)
    control.close()
    assert clock.getDelayedCalls() == []
