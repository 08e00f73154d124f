"""Header lines as they are sent, and the names and values in them. Hot path, no I/O."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

Header = tuple[bytes, bytes]

#: The octets that would break a header, as numbers: so they are looked for in least time.
CR, LF, NUL = b"\r\n\0"

_LINE: Final = re.compile(rb"([^:\r\n]+):[ \t]*([^\r\n]*)\r\n")


def parse_lines(lines: bytes) -> list[Header]:
    """The names and values of header lines.

    @param lines: each with its end, and known to be well-formed.
    """
    headers: list[Header] = _LINE.findall(lines)
    if lines.find(b" \r") >= 0 or lines.find(b"\t\r") >= 0:
        return [(name, value.rstrip(b" \t")) for name, value in headers]
    return headers


class HeaderBlock:
    """Headers that are added to many messages, in each form in which they are needed.

    @ivar headers: names in the case to send, and values.
    @ivar names: the names alone.
    @ivar lowered: the headers with their names in lower case.
    @ivar fields: the first value of each, by its name in lower case.
    @ivar lines: as they are sent.
    @ivar memo: what somebody has found out about the block; L{None} at first.
    """

    __slots__ = ("_whole", "fields", "headers", "lines", "lowered", "memo", "names")

    def __init__(self, headers: Iterable[Header]) -> None:
        """Make a block.

        @param headers: that are known to be whole: no CR, LF or NUL. Of responses' headers those
            that are not are left out when they are sent.
        """
        self.headers = tuple(headers)
        self.names = tuple(name for name, _ in self.headers)
        self.lowered = tuple((name.lower(), value) for name, value in self.headers)
        self.fields = dict(reversed(self.lowered))
        self.lines = b"".join([b"%b: %b\r\n" % header for header in self.headers])
        self.memo: Any = None
        self._whole: bool | None = None

    @property
    def whole(self) -> bool:
        """Whether the lines can be read back: no name or value would break the message."""
        if self._whole is None:
            self._whole = [name for name, _ in parse_lines(self.lines)] == list(self.names)
        return self._whole
