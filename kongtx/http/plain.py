"""Response heads that need not be taken apart. Hot path, no I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from httptools import HttpParserError, HttpResponseParser

from kongtx.http.lines import Header, parse_lines

# Fields that say something about the connection or the framing; the rest is relayed.
SPECIAL: Final = frozenset(
    (
        b"connection",
        b"content-length",
        b"keep-alive",
        b"proxy-connection",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
        b"via",
        b"x-accel-buffering",
        b"x-accel-charset",
        b"x-accel-expires",
        b"x-accel-limit-rate",
        b"x-accel-redirect",
        b"x-pad",
    )
)

# The same fields as lines, each from the end of the line before it.
_SPECIAL_LINES: Final = re.compile(
    rb"\n(?=[CcKkPpTtUuVvXx])((?i:connection|content-length|keep-alive|proxy-connection|trailer"
    rb"|transfer-encoding|upgrade|via|x-accel-buffering|x-accel-charset|x-accel-expires"
    rb"|x-accel-limit-rate|x-accel-redirect|x-pad)):[ \t]*([^\r]*)\r"
)
# Special fields that need no more than to be left out.
_LEFT_OUT: Final = frozenset(name for name in SPECIAL if name.startswith((b"x-", b"keep-alive")))

_DATE: Final = re.compile(rb"\n(?i:date):")

# Statuses without a body, whatever their Content-Length says.
_SHORT: Final = frozenset((b"204", b"304"))


class _Nothing:
    """A parser with these callbacks only checks."""


_NOTHING: Final = _Nothing()


#: What is known of a plain head: its lines without the special ones and without the empty one, the
#: status, the body's length, whether the connection goes on, and whether there is a Date.
PlainHead = tuple[bytes, int, int, bool, bool]


def read_plain_head(head: bytes) -> PlainHead | None:
    """Read the head of a response that has a length and nothing to be taken care of.

    @param head: whole, with its empty line.
    @return: L{None} if it is not plain.
    """
    if head[:9] != b"HTTP/1.1 " or head[9:10] <= b"1" or head[9:12] in _SHORT:
        return None
    pieces = _SPECIAL_LINES.split(head[:-2])
    length = -1
    keeps = True
    for name, value in zip(pieces[1::3], pieces[2::3], strict=True):
        lower = name.lower()
        if lower == b"content-length":
            if length >= 0 or not value.isdigit():
                return None
            length = int(value)
        elif lower == b"connection":
            if value.lower() == b"close":
                keeps = False
            elif value.lower() != b"keep-alive":
                return None
        elif lower not in _LEFT_OUT:
            return None
    if length < 0:
        return None
    try:
        HttpResponseParser(_NOTHING).feed_data(head)
    except HttpParserError:
        return None
    dated = _DATE.search(head) is not None
    return b"".join(pieces[::3]), int(head[9:12]), length, keeps, dated


@lru_cache(maxsize=256)
def take_apart(head: bytes) -> tuple[bytes, tuple[Header, ...]]:
    """The reason phrase and the headers of a plain head's lines."""
    line, _, lines = head.partition(b"\r\n")
    return line[13:], tuple(parse_lines(lines))


@lru_cache(maxsize=256)
def fields_of(head: bytes) -> Mapping[bytes, bytes]:
    """The first value of each header of a plain head's lines, by its name in lower case."""
    return {name.lower(): value for name, value in reversed(take_apart(head)[1])}


@lru_cache(maxsize=256)
def cut_head(head: bytes, names: frozenset[bytes]) -> bytes:
    """A plain head's lines without the headers of some (lower-case) names."""
    return cut_lines(head, names)


def cut_lines(lines: bytes, names: frozenset[bytes]) -> bytes:
    """Header lines without those of some (lower-case) names."""
    return b"".join(
        [
            line
            for line in lines.splitlines(keepends=True)
            if line.partition(b":")[0].lower() not in names
        ]
    )
