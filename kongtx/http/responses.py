"""The head of a response to a client (RFC 9112 §6.3). Hot path, no I/O."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from kongtx.http.status import status_line

Header = tuple[bytes, bytes]

#: How a response's body is delimited.
NO_BODY: Final = 0
LENGTH: Final = 1
CHUNKED: Final = 2
UNTIL_CLOSE: Final = 3

_COLON: Final = b": ".join
_LINES: Final = b"\r\n".join
CONNECTION: Final = (b"Connection: close\r\n\r\n", b"Connection: keep-alive\r\n\r\n")


def frame(status: int, head_only: bool, minor: int, length: int) -> tuple[int, bytes]:
    """How to delimit a body.

    @param head_only: the request was HEAD.
    @param minor: the client's HTTP minor version.
    @param length: in bytes; -1 when it is not known.
    @return: one of the constants above, and the header line for it.
    """
    if head_only or status < 200 or status in (204, 304):
        if length < 0 or status < 200 or status == 204:
            return NO_BODY, b""
        return NO_BODY, b"Content-Length: %d\r\n" % length
    if length >= 0:
        return LENGTH, b"Content-Length: %d\r\n" % length
    if minor:
        return CHUNKED, b"Transfer-Encoding: chunked\r\n"
    return UNTIL_CLOSE, b""


def response_head(
    status: int, reason: bytes | None, headers: Sequence[Header], framing: bytes, keep: bool
) -> bytes:
    """All of a head, its empty line included."""
    if headers:
        return b"%b%b\r\n%b%b" % (
            status_line(status, reason),
            _LINES(map(_COLON, headers)),
            framing,
            CONNECTION[keep],
        )
    return status_line(status, reason) + framing + CONNECTION[keep]


def trailer_section(trailers: Sequence[Header]) -> bytes:
    """The last chunk and what follows it."""
    if not trailers:
        return b"0\r\n\r\n"
    return b"0\r\n%b\r\n\r\n" % _LINES(map(_COLON, trailers))
