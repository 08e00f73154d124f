"""What one request offers to match on, worked out once and only when asked. Hot path."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import TypeAlias
from urllib.parse import unquote_to_bytes

from kongtx.router.interfaces import IRouteRequest

Address: TypeAlias = tuple[int, int]
"""An IP version, 4 or 6, and the address as a number."""

HTTP_SCHEMES = frozenset({b"http", b"https"})

_EMPTY: Sequence[bytes] = ()
_MAPPED = 0xFFFF
_MAPPED_BITS = 32


def parse_address(text: str) -> Address | None:
    """Read an IP address; an IPv4 address mapped into IPv6 is read as IPv4.

    @return: L{None} when C{text} is no address.
    """
    try:
        if ":" not in text:
            return 4, int.from_bytes(socket.inet_pton(socket.AF_INET, text))
        number = int.from_bytes(socket.inet_pton(socket.AF_INET6, text.strip("[]")))
    except (OSError, ValueError):
        return None
    if number >> _MAPPED_BITS == _MAPPED:
        return 4, number & 0xFFFFFFFF
    return 6, number


def lower_text(value: bytes) -> bytes:
    """Put text in lower case: all of it where it is UTF-8, else what is ASCII."""
    if value.isascii():
        return value.lower()
    try:
        return value.decode().lower().encode()
    except UnicodeDecodeError:
        return value.lower()


class Facts:
    """A view of a request; lives for one decision.

    @ivar beyond: whether something was asked for that few routes look at: headers, the query, or
        the connection's ends. A decision that did not ask holds whatever they are.
    """

    __slots__ = (
        "_destination_ip",
        "_headers",
        "_queries",
        "_segments",
        "_source_ip",
        "beyond",
        "host",
        "method",
        "path",
        "port",
        "request",
        "scheme",
        "sni",
    )

    def __init__(self, request: IRouteRequest) -> None:
        self.request = request
        self.beyond = False
        self.method: bytes = request.method
        host: bytes = request.host
        self.host = host if host[:1] != b"[" else host.strip(b"[]")
        self.port: int = request.host_port
        self.path: bytes = request.path
        self.scheme: bytes = request.scheme
        self.sni: bytes = request.sni
        self._headers: dict[bytes, list[bytes]] | None = None
        self._queries: dict[bytes, list[bytes]] | None = None
        self._segments: list[bytes] | None = None
        self._source_ip: Address | None = None
        self._destination_ip: Address | None = None

    def header(self, name: bytes, dashed: bytes) -> Sequence[bytes]:
        """List a header's values in order.

        @param name: the name to look for first, lower case; may hold underscores.
        @param dashed: the same name with dashes, used when the first is absent.
        """
        headers = self._headers
        if headers is None:
            self.beyond = True
            headers = self._headers = {}
            for key, value in self.request.headers:
                known = headers.get(key)
                if known is None:
                    headers[key] = [value]
                else:
                    known.append(value)
        return headers.get(name) or headers.get(dashed) or _EMPTY

    def query(self, name: bytes) -> Sequence[bytes]:
        """List a query argument's values in order; one without C{=} has an empty value."""
        queries = self._queries
        if queries is None:
            self.beyond = True
            queries = self._queries = parse_query(self.request.query)
        return queries.get(name, _EMPTY)

    @property
    def segments(self) -> list[bytes]:
        """The path cut at its slashes, without the empty piece before the first."""
        segments = self._segments
        if segments is None:
            segments = self._segments = self.path[1:].split(b"/") if self.path[1:] else []
        return segments

    @property
    def source_ip(self) -> Address | None:
        """The client's address."""
        self.beyond = True
        if self._source_ip is None:
            self._source_ip = parse_address(self.request.source[0])
        return self._source_ip

    @property
    def source_port(self) -> int:
        """The client's port."""
        self.beyond = True
        return self.request.source[1]

    @property
    def destination_port(self) -> int:
        """The port asked for: a Host header's own counts before the listener's."""
        if self.scheme in HTTP_SCHEMES:
            return self.port
        self.beyond = True
        return self.request.destination[1]

    @property
    def destination_ip(self) -> Address | None:
        """The address that the client connected to."""
        self.beyond = True
        if self._destination_ip is None:
            self._destination_ip = parse_address(self.request.destination[0])
        return self._destination_ip


def parse_query(query: bytes) -> dict[bytes, list[bytes]]:
    """Decode a query string, C{+} being a space.

    @param query: what follows the C{?}.
    @return: each name's values, in order.
    """
    found: dict[bytes, list[bytes]] = {}
    for piece in query.split(b"&"):
        if not piece:
            continue
        name, _, value = piece.partition(b"=")
        if b"%" in piece or b"+" in piece:
            name = unquote_to_bytes(name.replace(b"+", b" "))
            value = unquote_to_bytes(value.replace(b"+", b" "))
        found.setdefault(name, []).append(value)
    return found
