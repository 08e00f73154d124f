"""How much memory this process uses, and how sizes are shown. Kong: kong/tools/string.lua."""

from __future__ import annotations

import resource

_UNITS = {"k": 10, "m": 20, "g": 30}
_MOST_DIGITS = 99


def resident_bytes() -> int:
    """Bytes of memory that this process has in use."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * resource.getpagesize()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def shown_size(size: int, unit: str = "b", scale: float = 2) -> int | str:
    """A size as it is, or as text such as C{1.50 MiB}.

    @param size: in bytes.
    @param unit: C{b} for the number itself, or C{k}, C{m} or C{g}, in either case.
    @param scale: digits behind the point; a fraction counts for nothing.
    @raise ValueError: there is no such unit, or not so many digits; with Kong's words.
    """
    key = unit.lower()
    if key not in ("", "b", *_UNITS):
        raise ValueError(f"invalid unit '{unit}' (expected 'k/K', 'm/M', or 'g/G')")
    if scale < 0:
        raise ValueError("scale must be equal or greater than 0")
    if scale > _MOST_DIGITS:
        raise ValueError(f"scale must be equal or less than {_MOST_DIGITS}")
    if key in ("", "b"):
        return size
    return f"{size / (1 << _UNITS[key]):.{int(scale)}f} {key.upper()}iB"
