"""Normal forms of request paths. Hot path: bytes in, bytes out, nothing done twice."""

from __future__ import annotations

import re
from typing import Final

# Kong: kong.tools.uri. What RFC 3986 §2.2 reserves, and the percent sign, stays encoded.
_RESERVED: Final = frozenset(b"!*'();:@&=+$,/?%#[]")
_TRIPLET: Final = re.compile(rb"%([0-9A-Fa-f]{2})")
_UNSAFE: Final = re.compile(rb"[^!#$&'()*+,/:;=?@\[\]A-Za-z0-9\-_.~%]")
_SLASHES: Final = re.compile(rb"//+")
_PERCENT, _DOT = b"%."

_DECODED: Final = {
    digits: b"%" + digits.upper() if code in _RESERVED else bytes((code,))
    for code in range(256)
    for digits in {
        b"%02x" % code,
        b"%02X" % code,
        (b"%02x" % code)[:1] + (b"%02X" % code)[1:],
        (b"%02X" % code)[:1] + (b"%02x" % code)[1:],
    }
}
_ESCAPED: Final = {bytes((code,)): b"%%%02X" % code for code in range(256)}


def _decode(match: re.Match[bytes]) -> bytes:
    return _DECODED[match[1]]


def _escape(match: re.Match[bytes]) -> bytes:
    return _ESCAPED[match[0]]


def normalise_path(path: bytes, merge_slashes: bool = True) -> bytes:
    """The form of a path that routes are matched against.

    Percent-encoded octets are decoded unless they are reserved (those get upper-case digits), so
    C{%2F} is not a slash; then runs of slashes become one and dot segments are removed.

    @param path: a request path without query; may hold any octets.
    @param merge_slashes: whether C{//} becomes C{/}.
    @return: the path, possibly with octets that L{escape_path} must encode before it goes on.
    """
    # Whether bytes are in bytes is asked by an octet's number, or by find(): `in` with bytes on
    # its left tries first if these are a number, which costs more than the search.
    if _PERCENT in path:
        path = _TRIPLET.sub(_decode, path)
    if merge_slashes and path.find(b"//") >= 0:
        path = _SLASHES.sub(b"/", path)
    if _DOT in path and (path.find(b"/.") >= 0 or path[0] == _DOT):
        return remove_dot_segments(path)
    return path


def remove_dot_segments(path: bytes) -> bytes:
    """A path without C{.} and C{..} segments (RFC 3986 §5.2.4)."""
    segments = path.split(b"/")
    rooted = segments[0] == b""
    kept: list[bytes] = []
    for segment in segments[1:] if rooted else segments:
        if segment == b"..":
            if kept:
                kept.pop()
        elif segment != b".":
            kept.append(segment)
    if segments[-1] in (b".", b"..") and (rooted or kept):
        kept.append(b"")
    return (b"/" if rooted else b"") + b"/".join(kept)


def escape_path(path: bytes) -> bytes:
    """A path that can stand in a request line: octets outside RFC 3986's set are encoded.

    @param path: a normalised path; its percent signs are taken to start triplets.
    """
    if _UNSAFE.search(path) is None:
        return path
    return _UNSAFE.sub(_escape, path)


def split_target(target: bytes) -> tuple[bytes, bytes]:
    """The path and the query (without C{?}) of an origin-form request target."""
    path, _, query = target.partition(b"?")
    return path, query
