"""A quick look at which of many entries a path could fit, by their patterns alone. Hot path."""

from __future__ import annotations

from collections.abc import Sequence

from kongtx.router.errors import RegexError
from kongtx.router.model import Entry
from kongtx.router.regexes import RegexSet

FEW = 16
"""With fewer patterns than this it is quicker to try them one by one."""

_LARGE = 400


class Sieve:
    """Picks from a list of entries those whose patterns are found in a path.

    Entries without a pattern, or with one so large that it would fill the set's memory, are always
    picked.
    """

    __slots__ = ("_always", "_places", "_set")

    def __init__(self, entries: Sequence[Entry]) -> None:
        patterns: list[str] = []
        self._places: list[int] = []
        self._always: list[int] = []
        for place, entry in enumerate(entries):
            regexes = entry.keys().patterns
            if regexes is None or any(regex.size > _LARGE for regex in regexes):
                self._always.append(place)
                continue
            patterns += [regex.pattern for regex in regexes]
            self._places += [place] * len(regexes)
        self._set = _make_set(patterns)

    def pick(self, path: bytes) -> list[int]:
        """List the places of the entries to try, in order."""
        if self._set is None:
            return sorted({*self._always, *self._places})
        found = self._set.found(path)
        if not found:
            return self._always
        return sorted({*self._always, *(self._places[position] for position in found)})


def _make_set(patterns: Sequence[str]) -> RegexSet | None:
    if len(patterns) < FEW:
        return None
    try:
        return RegexSet(patterns)
    except RegexError:
        # Each is fine alone, as it was compiled before; together they may be too much.
        return None
