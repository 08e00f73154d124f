"""Sizes and durations."""

import pytest

from kongtx.conf.syntax.units import buffers, duration_seconds, size_bytes


@pytest.mark.parametrize(
    ("text", "expected"),
    [("0", 0), ("4096", 4096), ("8k", 8192), ("8K", 8192), ("128m", 134217728), ("1g", 1 << 30)],
)
def test_a_size_is_so_many_bytes(text: str, expected: int) -> None:
    assert size_bytes(text) == expected


@pytest.mark.parametrize("text", ["", "m", "-1", "1.5m", "8 k", "8kb", "1t"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a size"):
        size_bytes(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("60", 60.0),
        ("60s", 60.0),
        ("500ms", 0.5),
        ("5m", 300.0),
        ("1h 30m", 5400.0),
        ("1h30m", 5400.0),
        ("1d", 86400.0),
        ("1w", 604800.0),
        ("1M", 2592000.0),
        ("1y", 31536000.0),
        ("0", 0.0),
    ],
)
def test_a_duration_is_so_many_seconds(text: str, expected: float) -> None:
    assert duration_seconds(text) == expected


@pytest.mark.parametrize("text", ["", "s", "-1s", "1.5s", "1x", "one"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a duration"):
        duration_seconds(text)


def test_buffers_are_a_number_and_a_size() -> None:
    assert buffers("4 8k") == (4, 8192)


@pytest.mark.parametrize("text", ["", "4", "8k", "0 8k", "4 x", "x 8k"])
def test_what_are_no_buffers_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a "):
        buffers(text)
