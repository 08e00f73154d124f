"""Regular expressions in linear time: a thin, typed face of RE2.

A hostile request can make a backtracking engine run for minutes; RE2 cannot be made to.
The price is that look-around, back-references and a few rarer constructs do not exist.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import re2  # type: ignore[import-untyped]

from kongtx.router.errors import RegexError

_REASONS = {
    "(?=": "look-ahead is not available in a linear-time engine",
    "(?!": "look-ahead is not available in a linear-time engine",
    "(?<": "look-behind is not available in a linear-time engine",
    "(?>": "atomic groups are not available, and not needed in a linear-time engine",
    "(?|": "branch reset groups are not available",
    "(?(": "conditional groups are not available in a linear-time engine",
    "(?R": "recursion is not available in a linear-time engine",
    "(?#": "comment groups are not available",
    "(?P": "back-references and recursion are not available in a linear-time engine",
    "(?x": "the x flag is not available; write the pattern without white space",
    "++": "possessive quantifiers are not available, and not needed in a linear-time engine",
    "*+": "possessive quantifiers are not available, and not needed in a linear-time engine",
    "?+": "possessive quantifiers are not available, and not needed in a linear-time engine",
    "\\K": "\\K is not available",
    "\\k": "back-references are not available in a linear-time engine",
    "\\g": "back-references are not available in a linear-time engine",
    "\\h": "\\h is not available; write [ \\t]",
    "\\R": "\\R is not available; write \\r?\\n",
    "\\Z": "\\Z is not available; write \\z or $",
}
# Bytes that a set may use for its automaton, at most.
_SET_MEMORY = 64 << 20
_META = frozenset(r"\^$.|?*+()[]{}")
# The quantifier applies to what stands before the group of flags.
_QUANTIFIED_FLAGS = re.compile(r"\(\?[A-Za-z-]+\)[*?{]")
_OPTIONAL = frozenset("*?{")


@attrs.frozen
class Found:
    """Where a pattern was found, and its groups.

    @ivar start: offset of the whole match, in bytes.
    @ivar end: offset after the whole match, in bytes.
    @ivar unnamed: every group by number from 1, C{b""} for one that took no part.
    @ivar named: the groups that have a name and took part.
    """

    start: int
    end: int
    unnamed: tuple[bytes, ...]
    named: Mapping[str, bytes]


class Regex:
    """A compiled pattern over bytes of UTF-8; case matters unless told otherwise."""

    __slots__ = ("_compiled", "_names", "pattern")

    def __init__(self, pattern: str, ignore_case: bool = False) -> None:
        options = re2.Options()
        options.log_errors = False
        options.case_sensitive = not ignore_case
        try:
            self._compiled: Any = re2.compile(pattern.encode(), options)
        except re2.error as error:
            raise RegexError(pattern, _reason(error)) from None
        except UnicodeEncodeError as error:
            raise RegexError(pattern, f"not Unicode: {error.reason}") from None
        self.pattern = pattern
        self._names: tuple[tuple[str, int], ...] = tuple(
            (name.decode(), number) for name, number in self._compiled.groupindex.items()
        )

    def test(self, text: bytes) -> bool:
        """Tell whether the pattern is found anywhere in C{text}."""
        return self._compiled.search(text) is not None

    def find(self, text: bytes) -> Found | None:
        """Find the leftmost match, with its groups."""
        match = self._compiled.search(text)
        if match is None:
            return None
        start, end = match.span()
        if not self._compiled.groups:
            return Found(start, end, (), {})
        unnamed = match.groups()
        named = {name: unnamed[number - 1] for name, number in self._names}
        return Found(
            start,
            end,
            tuple(group or b"" for group in unnamed),
            {name: group for name, group in named.items() if group is not None},
        )

    @property
    def size(self) -> int:
        """How large the compiled program is, in instructions."""
        return int(self._compiled.programsize)

    def __repr__(self) -> str:
        return f"Regex({self.pattern!r})"


class RegexSet:
    """Many patterns searched for at once, in a single pass over the text.

    @raise RegexError: when the patterns are too much together.
    """

    __slots__ = ("_set",)

    def __init__(self, patterns: Sequence[str]) -> None:
        options = re2.Options()
        options.log_errors = False
        options.max_mem = _SET_MEMORY
        self._set: Any = re2.Set.SearchSet(options)
        try:
            for pattern in patterns:
                self._set.Add(pattern.encode())
            self._set.Compile()
        except re2.error as error:
            raise RegexError(patterns[0], _reason(error)) from None

    def found(self, text: bytes) -> list[int]:
        """List the positions of the patterns that are found in C{text}, in no order."""
        positions: list[int] = self._set.Match(text)
        return positions


def _reason(error: Exception) -> str:
    raw = error.args[0] if error.args else ""
    text = raw.decode("utf-8", "replace") if isinstance(raw, bytes) else str(raw)
    _, _, token = text.rpartition(": ")
    for start, reason in _REASONS.items():
        if token.startswith(start):
            return reason
    if len(token) == 2 and token[0] == "\\" and token[1].isdigit():
        return "back-references are not available in a linear-time engine"
    return text


def validate_path_regex(path: str) -> str | None:
    """Say why a C{~} path cannot be used.

    @param path: a route's path, with its leading C{~}.
    @return: the reason, or L{None} when the pattern is fine.
    """
    try:
        Regex(path.removeprefix("~"))
    except RegexError as error:
        return error.reason
    return None


def literal_prefix(pattern: str) -> bytes:
    """Find text that every match at the start of a subject must begin with.

    @param pattern: a pattern, with or without a leading C{^}.
    @return: the longest such text that is easy to see; C{b""} is always true.
    """
    if _has_top_level_choice(pattern) or _QUANTIFIED_FLAGS.search(pattern):
        return b""
    position = 1 if pattern.startswith("^") else 0
    literal: list[str] = []
    while position < len(pattern):
        char = pattern[position]
        width = 1
        if char == "\\" and position + 1 < len(pattern) and not pattern[position + 1].isalnum():
            char, width = pattern[position + 1], 2
        elif char in _META:
            break
        if pattern[position + width : position + width + 1] in _OPTIONAL:
            break
        literal.append(char)
        position += width
    return "".join(literal).encode()


def _has_top_level_choice(pattern: str) -> bool:
    depth = 0
    in_class = False
    position = 0
    while position < len(pattern):
        char = pattern[position]
        if char == "\\":
            # \Q quotes up to \E: rare enough to give up on.
            if pattern[position + 1 : position + 2] == "Q":
                return True
            position += 1
        elif in_class:
            in_class = char != "]"
        elif char == "[":
            in_class = True
            position += pattern[position + 1 : position + 2] in {"^", "]"}
            position += pattern[position : position + 2] == "^]"
        elif char == "(":
            depth += 1
        elif char == ")":
            depth -= 1
        elif char == "|" and depth == 0:
            return True
        position += 1
    return False
