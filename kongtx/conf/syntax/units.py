"""Sizes and durations as nginx writes them, in numbers."""

from __future__ import annotations

import re

_SIZE = re.compile(r"(\d+)([kKmMgG]?)")
_SIZE_FACTORS = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3}

_DURATION = re.compile(r"(?:\d+(?:ms|[smhdwMy])?\s*)+")
_DURATION_PART = re.compile(r"(\d+)(ms|[smhdwMy]?)")
_MILLISECONDS = {
    "ms": 1,
    "": 1000,
    "s": 1000,
    "m": 60_000,
    "h": 3_600_000,
    "d": 86_400_000,
    "w": 7 * 86_400_000,
    "M": 30 * 86_400_000,
    "y": 365 * 86_400_000,
}


def size_bytes(text: str) -> int:
    """A size such as C{128m}, C{8k} or C{4096}.

    @return: the number of bytes; C{k}, C{m} and C{g} are powers of 1024, in either case.
    @raise ValueError: when it is no size.
    """
    match = _SIZE.fullmatch(text)
    if match is None:
        raise ValueError(f"not a size: {text!r}")
    return int(match[1]) * _SIZE_FACTORS[match[2].lower()]


def duration_seconds(text: str) -> float:
    """A duration such as C{1d}, C{60s}, C{500ms} or C{1h 30m}.

    @return: seconds; a bare number is seconds, C{M} is 30 days and C{y} 365 days, as in nginx.
    @raise ValueError: when it is no duration.
    """
    if _DURATION.fullmatch(text) is None:
        raise ValueError(f"not a duration: {text!r}")
    milliseconds = sum(
        int(number) * _MILLISECONDS[unit] for number, unit in _DURATION_PART.findall(text)
    )
    return milliseconds / 1000


def buffers(text: str) -> tuple[int, int]:
    """Buffers as nginx counts them, such as C{4 8k}.

    @return: C{(count, bytes_each)}.
    @raise ValueError: when it is not a number and a size.
    """
    count, _, size = text.partition(" ")
    if not count.isdecimal() or int(count) < 1:
        raise ValueError(f"not a number and a size: {text!r}")
    return int(count), size_bytes(size.strip())
