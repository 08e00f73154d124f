"""What can be wrong with a route or with an expression."""

from __future__ import annotations

from kongtx.errors import KongtxError


class RouterError(KongtxError):
    """A set of routes cannot become a router; the message names the route and the reason."""


class RegexError(RouterError):
    """A regular expression is outside of what the linear-time engine takes.

    @ivar pattern: the pattern as written.
    @ivar reason: why it was refused, in a few words.
    """

    def __init__(self, pattern: str, reason: str) -> None:
        super().__init__(f"invalid regex: '{pattern}' ({reason})")
        self.pattern = pattern
        self.reason = reason


class ExpressionError(RouterError):
    """A router expression is wrong at a known place.

    @ivar reason: what is wrong, without the place.
    @ivar line: the line, from 1.
    @ivar column: the column in characters, from 1.
    """

    def __init__(self, text: str, reason: str, line: int, column: int) -> None:
        source = text.split("\n")[line - 1] if text else ""
        margin = " " * len(str(line))
        super().__init__(
            f"{reason}, at line {line}, column {column}\n"
            f"{margin} |\n"
            f"{line} | {source}\n"
            f"{margin} | {' ' * (column - 1)}^"
        )
        self.reason = reason
        self.line = line
        self.column = column
