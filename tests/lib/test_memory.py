"""Sizes of memory."""

from __future__ import annotations

import pytest

from kongtx.lib.memory import resident_bytes, shown_size


def test_this_process_uses_some() -> None:
    assert 1 << 20 < resident_bytes() < 1 << 40


@pytest.mark.parametrize(
    ("size", "unit", "scale", "shown"),
    [
        (1536, "b", 2, 1536),
        (1536, "", 2, 1536),
        (1536, "k", 2, "1.50 KiB"),
        (1536, "K", 0, "2 KiB"),
        (3 << 20, "m", 1, "3.0 MiB"),
        (1 << 29, "G", 2, "0.50 GiB"),
    ],
)
def test_sizes_are_shown_in_a_unit(size: int, unit: str, scale: int, shown: int | str) -> None:
    assert shown_size(size, unit, scale) == shown


def test_other_units_are_refused() -> None:
    with pytest.raises(ValueError, match="invalid unit 'x'"):
        shown_size(1, "x")
    with pytest.raises(ValueError, match="scale must be equal or greater than 0"):
        shown_size(1, "k", -1)
    with pytest.raises(ValueError, match="scale must be equal or less than 99"):
        shown_size(1, "k", 100)
