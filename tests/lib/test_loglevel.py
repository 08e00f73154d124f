"""Kong's log levels on Twisted's logger."""

import threading

import pytest
from twisted.logger import Logger, formatEvent, globalLogPublisher

from kongtx.lib.loglevel import LEVEL_NAMES, Level, level_of, notice, parse_level, raw_log


@pytest.fixture
def logged():
    events = []
    globalLogPublisher.addObserver(events.append)
    yield events
    globalLogPublisher.removeObserver(events.append)


def test_names_go_from_the_least_severe_to_the_most():
    assert LEVEL_NAMES == ("debug", "info", "notice", "warn", "error", "crit", "alert", "emerg")


@pytest.mark.parametrize("name", LEVEL_NAMES)
def test_every_name_is_read_back(name):
    assert parse_level(name).label == name


def test_err_is_error_and_case_does_not_matter():
    assert parse_level("err") is Level.ERROR
    assert parse_level("Warn") is Level.WARN


def test_an_unknown_level_is_named_with_the_known_ones():
    with pytest.raises(ValueError, match=r"'fatal' is not a log level; the levels are debug, info"):
        parse_level("fatal")


@pytest.mark.parametrize(
    ("method", "level"),
    [
        ("debug", Level.DEBUG),
        ("info", Level.INFO),
        ("warn", Level.WARN),
        ("error", Level.ERROR),
        ("critical", Level.CRIT),
    ],
)
def test_twisted_levels_have_their_place(logged, method, level):
    getattr(Logger(), method)("x")
    assert level_of(logged[-1]) is level


def test_notice_lies_between_info_and_warn(logged):
    notice(Logger(), "started {name}", name="n")
    assert level_of(logged[-1]) is Level.NOTICE
    assert formatEvent(logged[-1]) == "started n"
    assert Level.WARN < Level.NOTICE < Level.INFO


def outer(stack_level):
    inner(stack_level)


def inner(stack_level):
    raw_log(Level.ALERT, "message with {braces}", stack_level, plugin="p")


@pytest.mark.parametrize(
    ("stack_level", "function"),
    [(1, "inner"), (2, "outer"), (3, "test_a_raw_entry_names_the_place_it_is_about")],
)
def test_a_raw_entry_names_the_place_it_is_about(logged, stack_level, function):
    outer(stack_level)
    event = logged[-1]
    assert formatEvent(event) == "message with {braces}"
    assert level_of(event) is Level.ALERT
    assert event["plugin"] == "p"
    assert event["log_file"] == __file__
    assert event["log_function"] == function
    assert event["log_namespace"] == __name__
    assert isinstance(event["log_line"], int)


def test_a_raw_entry_beyond_the_stack_names_the_outermost_caller(logged):
    thread = threading.Thread(target=lambda: raw_log("notice", "deep", 10_000))
    thread.start()
    thread.join()
    assert logged[-1]["log_function"] == "Thread._bootstrap"
