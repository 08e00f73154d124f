"""What a message's fields must be like (RFC 9113 §8.2, §8.3). Hot path, no I/O.

Requests go on to HTTP/1.1 upstreams, so that whatever could be read in another way there is
malformed here.
"""

from __future__ import annotations

import re
from typing import Any, Final

from kongtx.http.h2.hpacking import CONNECTION_FIELDS
from kongtx.http.heads import REFUSED_METHODS
from kongtx.http.limits import Limits
from kongtx.http.targets import parse_authority

Header = tuple[bytes, bytes]

_NAME: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+")
_METHOD: Final = re.compile(rb"[A-Z]+(?:-[A-Z]+)?")
_TARGET: Final = re.compile(rb"[!-~]+")
_BAD_VALUE: Final = re.compile(rb"[\0-\x08\x0a-\x1f\x7f]")
_PSEUDO: Final = frozenset((b":method", b":scheme", b":authority", b":path"))

_KEPT: Final = 4096
_good_names: set[bytes] = set()


class RequestFields:
    """A request's fields, as exchanges take them.

    @ivar memo: for the exchanges' use, see L{kongtx.http.interfaces.IServerChannel}.
    @ivar size: of names and values, in bytes.
    @ivar length: what Content-Length says; -1 without it.
    """

    __slots__ = (
        "expects",
        "headers",
        "host",
        "length",
        "memo",
        "method",
        "names",
        "port",
        "size",
        "table",
        "target",
    )

    expects: bool
    headers: tuple[Header, ...]
    host: bytes
    length: int
    memo: Any
    method: bytes
    names: tuple[bytes, ...]
    port: int
    size: int
    table: dict[bytes, bytes]
    target: bytes


def well_formed(fields: list[Header]) -> bool:
    """Whether these are regular fields that any version of HTTP may carry."""
    for name, value in fields:
        if name not in _good_names:
            if _NAME.fullmatch(name) is None or name in CONNECTION_FIELDS:
                return False
            if len(_good_names) >= _KEPT:
                _good_names.clear()
            _good_names.add(name)
        if value and (value[0] in b" \t" or value[-1] in b" \t"):
            return False
    return _BAD_VALUE.search(b"".join([value for _, value in fields])) is None


def _split(fields: list[Header]) -> tuple[dict[bytes, bytes], list[Header]] | None:
    """Pseudo-fields and regular ones; L{None} if they are mixed, unknown or repeated."""
    pseudo: dict[bytes, bytes] = {}
    count = 0
    for name, value in fields:
        if name[:1] != b":":
            break
        pseudo[name] = value
        count += 1
    if len(pseudo) != count:
        return None
    return pseudo, fields[count:]


def parse_request(fields: list[Header], limits: Limits) -> RequestFields | int | None:
    """Read a request's fields.

    @return: the request; or the status that refuses it: 400, 405, 413, 414 or 494; or L{None} if
        the request is malformed, which is a stream error (§8.1.1).
    """
    both = _split(fields)
    if both is None:
        return None
    pseudo, regular = both
    if not _PSEUDO.issuperset(pseudo) or not well_formed(regular):
        return None
    method = pseudo.get(b":method", b"")
    target = pseudo.get(b":path", b"")
    if method in REFUSED_METHODS:
        return 405
    if not target or b":scheme" not in pseudo or _METHOD.fullmatch(method) is None:
        return None
    if _TARGET.fullmatch(target) is None:
        return 400
    if target[:1] != b"/" and (target != b"*" or method != b"OPTIONS"):
        return None
    status = _too_much(target, regular, limits)
    if status:
        return status
    return _request(method, target, pseudo.get(b":authority"), regular, limits)


def _too_much(target: bytes, regular: list[Header], limits: Limits) -> int:
    if len(target) > limits.request_line:
        return 414
    size = 0
    for name, value in regular:
        line = len(name) + len(value) + 4
        if line > limits.header_line:
            return 494
        size += line
    return 494 if size > limits.header_bytes or len(regular) > limits.header_count else 0


def _request(
    method: bytes, target: bytes, authority: bytes | None, headers: list[Header], limits: Limits
) -> RequestFields | int | None:
    table = dict(headers)
    if len(table) != len(headers):
        repeated = _join_cookies(headers)
        if repeated is None:
            return None
        headers = repeated
        table = dict(reversed(headers))
    if table.get(b"te", b"trailers").lower() != b"trailers":
        return None
    host = table.get(b"host")
    if authority is not None:
        if host is None:
            headers = [(b"host", authority), *headers]
            table[b"host"] = authority
        elif host.lower() != authority.lower():
            return 400
        host = authority
    if not host:
        return 400
    parsed = parse_authority(host)
    if parsed is None:
        return 400
    length = -1
    said = table.get(b"content-length")
    if said is not None:
        if not said.isdigit():
            return None
        length = int(said)
        if limits.body_bytes and length > limits.body_bytes:
            return 413
    request = RequestFields()
    request.method = method
    request.target = target
    request.headers = tuple(headers)
    request.names = tuple([name for name, _ in headers])
    request.table = table
    request.host, request.port = parsed
    request.length = length
    request.expects = table.get(b"expect", b"").lower() == b"100-continue"
    request.size = sum([len(name) + len(value) for name, value in headers])
    request.memo = None
    return request


def _join_cookies(headers: list[Header]) -> list[Header] | None:
    """Fields of which some are repeated, with one Cookie (§8.2.3); L{None} if one must not be."""
    names = [name for name, _ in headers]
    if names.count(b"host") > 1 or names.count(b"content-length") > 1:
        return None
    if names.count(b"cookie") < 2:
        return headers
    cookie = b"; ".join([value for name, value in headers if name == b"cookie"])
    first = names.index(b"cookie")
    kept = [header for header in headers if header[0] != b"cookie"]
    kept.insert(first, (b"cookie", cookie))
    return kept


def parse_response(fields: list[Header]) -> tuple[int, list[Header]] | None:
    """Read a response's fields.

    @return: the status and the regular fields; L{None} if the response is malformed.
    """
    both = _split(fields)
    if both is None:
        return None
    pseudo, regular = both
    status = pseudo.get(b":status", b"")
    if len(pseudo) != 1 or len(status) != 3 or not status.isdigit() or status < b"100":
        return None
    return (int(status), regular) if well_formed(regular) else None
