"""Authorities and request targets (RFC 9112 §3.2). Hot path: hosts are parsed once."""

from __future__ import annotations

import re
from typing import Final

Authority = tuple[bytes, int]

_AUTHORITY: Final = re.compile(
    rb"(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9\-._~!$&'()*+,;=%]{1,255})(?::([0-9]{0,5}))?"
)
_ABSOLUTE: Final = re.compile(rb"(?i:https?)://([^/?#]*)([^#]*)(?:#.*)?", re.DOTALL)
_KEPT: Final = 2048
_known: dict[bytes, Authority | None] = {}


def parse_authority(value: bytes) -> Authority | None:
    """A Host header's host and port.

    @return: the host in lower case, without a final dot, and the port (0 when none is given); or
        L{None} when the value is no valid authority (RFC 9112 §3.2: answer 400).
    """
    try:
        return _known[value]
    except KeyError:
        if len(_known) >= _KEPT:
            _known.clear()
        authority = _known[value] = _parse_authority(value)
        return authority


def _parse_authority(value: bytes) -> Authority | None:
    match = _AUTHORITY.fullmatch(value)
    if match is None:
        return None
    host, digits = match.groups()
    port = int(digits) if digits else 0
    if port > 65535 or b".." in host or host == b".":
        return None
    if host.endswith(b"."):
        host = host[:-1]
    return host.lower(), port


def split_absolute(target: bytes) -> tuple[bytes, bytes] | None:
    """An absolute-form target's authority and its origin form.

    @return: L{None} when it is not an absolute http or https URI, or carries user information
        (RFC 9110 §4.2.4).
    """
    match = _ABSOLUTE.fullmatch(target)
    if match is None:
        return None
    authority, rest = match.groups()
    if not authority or b"@" in authority:
        return None
    if rest[:1] != b"/":
        rest = b"/" + rest
    return authority, rest
