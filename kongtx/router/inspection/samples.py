"""Strings that match a pattern, made from the pattern itself."""

from __future__ import annotations

import re._constants as codes  # type: ignore[import-not-found]
import re._parser as parser  # type: ignore[import-not-found]
import warnings
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice, product
from typing import Any

from kongtx.router.errors import RegexError
from kongtx.router.regexes import Regex

_PREFERRED = "a1/0A-_. ~"
_MOST = 24


def samples(pattern: str, limit: int = 4) -> list[str]:
    """Make strings in which a pattern is found.

    @param pattern: what L{Regex} takes.
    @return: at most C{limit} different strings; none when the pattern is beyond this function.
    """
    try:
        with warnings.catch_warnings():
            # Python's own syntax will change some day; this pattern is RE2's.
            warnings.simplefilter("ignore", FutureWarning)
            tree = parser.parse(pattern.replace("(?<", "(?P<").replace("\\z", "\\Z"))
        regex = Regex(pattern)
    except (re_error, RegexError, OverflowError):
        return []
    found: dict[str, None] = {}
    for text in islice(_strings(tree), _MOST):
        if text not in found and regex.test(text.encode()):
            found[text] = None
            if len(found) == limit:
                break
    return list(found)


re_error = parser.error


def _strings(items: Iterable[tuple[Any, Any]]) -> Iterator[str]:
    parts = [list(islice(_item(code, value), 3)) or [""] for code, value in items]
    for choice in product(*parts):
        yield "".join(choice)


def _item(code: Any, value: Any) -> Iterator[str]:
    if code is codes.LITERAL:
        yield chr(value)
    elif code is codes.NOT_LITERAL:
        yield next(char for char in _PREFERRED if ord(char) != value)
    elif code is codes.ANY:
        yield "a"
    elif code is codes.IN:
        yield from _from_class(value)
    elif code is codes.BRANCH:
        for branch in value[1]:
            yield from islice(_strings(branch), 2)
    elif code is codes.SUBPATTERN:
        yield from _strings(value[3])
    elif code in {codes.MAX_REPEAT, codes.MIN_REPEAT}:
        yield from _repeated(*value)
    else:
        # Anchors and boundaries take no room.
        yield ""


def _repeated(least: int, most: Any, item: Any) -> Iterator[str]:
    # Once where that is allowed: an example should show what is repeated.
    counts = [count for count in dict.fromkeys((max(least, 1), least)) if count <= most]
    for count in counts:
        if count == 0:
            yield ""
            continue
        for text in islice(_strings(item), 2):
            yield text * count


def _from_class(items: Sequence[tuple[Any, Any]]) -> Iterator[str]:
    negated = bool(items) and items[0][0] is codes.NEGATE
    for char in _PREFERRED:
        if _in_class(char, items) != negated:
            yield char
            if negated:
                return
    if not negated:
        for code, value in items:
            if code is codes.LITERAL:
                yield chr(value)
            elif code is codes.RANGE:
                yield chr(value[0])


def _in_class(char: str, items: Sequence[tuple[Any, Any]]) -> bool:
    return any(_is_one(char, code, value) for code, value in items)


def _is_one(char: str, code: Any, value: Any) -> bool:
    if code is codes.LITERAL:
        return bool(ord(char) == value)
    if code is codes.RANGE:
        return bool(value[0] <= ord(char) <= value[1])
    if code is codes.CATEGORY:
        answers: dict[Any, bool] = {
            codes.CATEGORY_DIGIT: char.isdigit(),
            codes.CATEGORY_NOT_DIGIT: not char.isdigit(),
            codes.CATEGORY_SPACE: char.isspace(),
            codes.CATEGORY_NOT_SPACE: not char.isspace(),
            codes.CATEGORY_WORD: char.isalnum() or char == "_",
            codes.CATEGORY_NOT_WORD: not (char.isalnum() or char == "_"),
        }
        return answers.get(value, False)
    return False
