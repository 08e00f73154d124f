"""Request heads (RFC 9112 §2-6). Hot path, no I/O: one llhttp call a head.

llhttp refuses bare LF and CR, NUL, obs-fold, spaces before colons, both of or several of
Content-Length and Transfer-Encoding. What it lets pass and must not pass is refused here: HTTP/0.9
and other protocols, repeated spaces in the request line, bad, missing or several Host fields, and
transfer codings that are not understood.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser

from kongtx.http.limits import Limits
from kongtx.http.targets import parse_authority, split_absolute

Header = tuple[bytes, bytes]

#: method, target, minor version, headers (lower-case names), names as received, first value by
#: lower-case name, host, port (0: none given), keep-alive, body length (-1: chunked).
Head = tuple[
    bytes, bytes, int, list[Header], list[bytes], dict[bytes, bytes], bytes, int, bool, int
]

REQUEST_LINE: Final = re.compile(rb"([A-Z]+(?:-[A-Z]+)?) ([!-~]+) HTTP/1\.([01])\r\n")
# A line that ends in LF alone, a CR that ends no line, or NUL: no head will come of it.
_BROKEN: Final = re.compile(rb"(?<!\r)\n|\r(?=[^\n])|\0")
_COMMA: Final = re.compile(rb"[ \t]*,[ \t]*")

# HTTP/1.0 knows no Host; later versions must have one.
_NO_HOST: Final = ((b"", 0), None)

#: Methods of no request that is passed on (nginx: the same).
REFUSED_METHODS: Final = frozenset((b"CONNECT", b"TRACE"))
#: Methods that have been accepted; llhttp knows some thirty.
known_methods: Final[set[bytes]] = set()


class _Fields:
    """What llhttp calls back: it collects a head's fields."""

    __slots__ = ("headers", "names")

    def __init__(self) -> None:
        self.names: list[bytes] = []
        self.headers: list[Header] = []

    def on_header(self, name: bytes, value: bytes) -> None:
        self.names.append(name)
        self.headers.append((name.lower(), value.rstrip(b" \t")))


def parse_head(head: bytes, limits: Limits) -> Head | int:
    """Read a request's head.

    @param head: from the method to the empty line, which it includes.
    @return: the L{Head}, or the status that refuses it: 400, 405, 413, 414, 494 or 501.
    """
    line = REQUEST_LINE.match(head)
    if line is None or len(head) > limits.request_line:
        status = _judge(head, line is not None, limits)
        if status:
            return status
        assert line is not None
    method, target, version = line.groups()
    minor = 1 if version == b"1" else 0
    fields = _Fields()
    try:
        # A new parser for each head: one is made faster than one is kept clean.
        HttpRequestParser(fields).feed_data(head)
    except HttpParserUpgrade:
        pass
    except HttpParserError:
        return 400
    if method in REFUSED_METHODS:
        return 405
    known_methods.add(method)
    headers, names = fields.headers, fields.names
    table = dict(headers)
    if len(table) != len(headers):
        table = dict(reversed(headers))
        status = _check_repeated(headers, limits)
        if status:
            return status
    keep = _keeps_alive(headers, minor == 1) if b"connection" in table else minor == 1
    if target[0] != 47:
        absolute = _take_other_form(method, target, headers, names, table)
        if absolute is None:
            return 400
        target = absolute
    host = table.get(b"host")
    authority = _NO_HOST[minor] if host is None else parse_authority(host)
    if authority is None:
        return 400
    name, port = authority
    length = 0
    if b"content-length" in table or b"transfer-encoding" in table:
        length, status = _body_length(table, minor, limits)
        if status:
            return status
    return method, target, minor, headers, names, table, name, port, keep, length


def _judge(head: bytes, has_line: bool, limits: Limits) -> int:
    """Why a head is refused that is long or has no proper request line; 0: it is not."""
    if head.find(b"\r\n") > limits.request_line:
        return 414
    if not has_line:
        return 400
    lines = head.split(b"\r\n")
    too_long = any(len(field) > limits.header_line for field in lines[1:])
    if too_long or len(head) > limits.header_bytes or len(lines) - 3 > limits.header_count:
        return 494
    return 0


def _check_repeated(headers: list[Header], limits: Limits) -> int:
    if [name for name, _ in headers].count(b"host") > 1:
        return 400
    return 494 if len(headers) > limits.header_count else 0


def connection_tokens(headers: Iterable[Header]) -> list[bytes]:
    """The lower-case options of all Connection fields (RFC 9110 §7.6.1)."""
    tokens: list[bytes] = []
    for name, value in headers:
        if name == b"connection":
            tokens += _COMMA.split(value.lower())
    return tokens


def _keeps_alive(headers: list[Header], default: bool) -> bool:
    tokens = connection_tokens(headers)
    if b"close" in tokens:
        return False
    return default or b"keep-alive" in tokens


def _take_other_form(
    method: bytes,
    target: bytes,
    headers: list[Header],
    names: list[bytes],
    table: dict[bytes, bytes],
) -> bytes | None:
    """The target of a request that does not have it in origin form; L{None} if it is wrong.

    The host in an absolute one is what counts (RFC 9112 §3.2.2): it replaces that of the field.
    """
    if target == b"*":
        return target if method == b"OPTIONS" else None
    absolute = split_absolute(target)
    if absolute is None:
        return None
    host, target = absolute
    header = (b"host", host)
    if b"host" in table:
        headers[:] = [header if each[0] == b"host" else each for each in headers]
    else:
        headers.append(header)
        names.append(b"Host")
    table[b"host"] = host
    return target


def _body_length(table: dict[bytes, bytes], minor: int, limits: Limits) -> tuple[int, int]:
    """The body's length (-1: chunked), and a status that refuses it or 0."""
    coding = table.get(b"transfer-encoding")
    if coding is not None:
        if minor == 0:
            return 0, 400
        return -1, 0 if coding.lower() == b"chunked" else 501
    length = int(table[b"content-length"])
    if limits.body_bytes and length > limits.body_bytes:
        return 0, 413
    return length, 0


def judge_partial(data: bytes, limits: Limits, start: int = 0) -> int:
    """Whether the beginning of a head can still become one.

    @param start: where what has not been judged before begins.
    @return: 0, or the status that refuses it.
    """
    if _BROKEN.search(data, start):
        return 400
    size = len(data)
    if size > limits.request_line and b"\r\n" not in data[: limits.request_line + 2]:
        return 414
    return 494 if size > limits.header_bytes else 0
