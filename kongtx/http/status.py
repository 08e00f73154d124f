"""Status lines and the reasons in them (RFC 9110 §15)."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

REASONS: Final[dict[int, bytes]] = {
    **{int(status): status.phrase.encode() for status in HTTPStatus},
    408: b"Request Time-out",
    413: b"Request Entity Too Large",
    414: b"Request-URI Too Large",
    416: b"Requested Range Not Satisfiable",
    426: b"Upgrade Required",
    503: b"Service Temporarily Unavailable",
    504: b"Gateway Time-out",
}

_LINES: Final = {status: b"HTTP/1.1 %d %b\r\n" % (status, r) for status, r in REASONS.items()}


def status_line(status: int, reason: bytes | None) -> bytes:
    """The first line of a response.

    @param reason: L{None}: the status's usual one (nginx's words), if it has one.
    """
    if reason is None:
        line = _LINES.get(status)
        if line is not None:
            return line
        reason = b""
    return b"HTTP/1.1 %d %b\r\n" % (status, reason)
