"""Windows of time."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kongtx.plugins.counting.windows import PERIODS, Window, Windows, window


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


MOMENT = at("2024-02-29T13:45:56") + 0.789


@pytest.mark.parametrize(
    ("period", "start"),
    [
        ("second", "2024-02-29T13:45:56"),
        ("minute", "2024-02-29T13:45:00"),
        ("hour", "2024-02-29T13:00:00"),
        ("day", "2024-02-29T00:00:00"),
        ("month", "2024-02-01T00:00:00"),
        ("year", "2024-01-01T00:00:00"),
    ],
)
def test_windows_follow_the_calendar(period: str, start: str) -> None:
    assert window(period, MOMENT) == Window(period, at(start), at(start) + PERIODS[period])


def test_the_reset_counts_down_to_one() -> None:
    one = window("minute", at("2024-01-01T00:00:30"))
    assert one.reset(at("2024-01-01T00:00:30") + 0.9) == 30
    assert one.reset(at("2024-01-01T00:00:59") + 0.9) == 1
    assert window("second", MOMENT).reset(MOMENT) == 1


def test_a_month_of_31_days_outlasts_its_nominal_length() -> None:
    assert window("month", at("2024-01-31T12:00:00")).reset(at("2024-01-31T12:00:00")) == 1


@given(st.sampled_from(sorted(PERIODS)), st.floats(0, 4e9))
def test_a_moment_is_in_its_window_and_windows_do_not_overlap(period: str, now: float) -> None:
    one = window(period, now)
    assert one.start <= now
    assert window(period, one.start) == one
    assert one.start == 0 or window(period, one.start - 1).start < one.start


def test_windows_are_the_same_object_until_one_of_them_ends() -> None:
    windows = Windows(["second", "month"])
    first = windows.at(1_700_000_000.2)
    assert list(first) == [window("second", 1_700_000_000), window("month", 1_700_000_000)]
    assert windows.at(1_700_000_000.9) is first
    assert windows.at(1_700_000_001)[0] == window("second", 1_700_000_001)
    assert windows.at(1_700_000_000)[0] == window("second", 1_700_000_000)  # a clock set back
    months = Windows(["month"])
    end_of_day = 1_700_000_000 - 1_700_000_000 % 86400 + 86400
    assert months.at(end_of_day - 1) is months.at(end_of_day - 86400)
    assert months.at(end_of_day) is not months.at(end_of_day - 1)
