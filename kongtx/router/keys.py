"""The keys under which decisions are remembered: what they can depend on, no more. Hot path."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from operator import attrgetter
from typing import TypeAlias

from kongtx.router.facts import parse_query
from kongtx.router.interfaces import IRouteRequest

Key: TypeAlias = Callable[[IRouteRequest], Hashable]

_HEADERS = "http.headers."
_QUERIES = "http.queries."
_ATTRIBUTES = (
    ("path", ("http.path",)),
    ("host", ("http.host",)),
    ("method", ("http.method",)),
    ("host_port", ("net.dst.port",)),
    ("sni", ("tls.sni",)),
    ("scheme", ("net.protocol",)),
)
_ENDS: dict[str, Key] = {
    "net.src.ip": lambda request: request.source[0],
    "net.src.port": lambda request: request.source[1],
    "net.dst.ip": lambda request: request.destination[0],
    "net.dst.port": lambda request: request.destination[1],
}


def first_key(fields: frozenset[str]) -> Key:
    """Make the function that reads what routes look at most, of the fields they look at."""
    attributes = [
        attribute
        for attribute, prefixes in _ATTRIBUTES
        if any(field.startswith(prefixes) for field in fields)
    ]
    return attrgetter(*attributes) if attributes else _nothing


def second_key(fields: frozenset[str]) -> Key:
    """Make the function that reads the headers, arguments and ends that routes look at."""
    parts: list[Key] = [_ENDS[field] for field in sorted(fields & _ENDS.keys())]
    headers = {field.removeprefix(_HEADERS) for field in fields if field.startswith(_HEADERS)}
    if headers:
        parts.append(_headers_of(headers))
    queries = {field.removeprefix(_QUERIES) for field in fields if field.startswith(_QUERIES)}
    if queries:
        parts.append(_queries_of(frozenset(name.encode() for name in queries)))
    if len(parts) == 1:
        return parts[0]
    return lambda request: tuple([part(request) for part in parts])


def _nothing(_request: IRouteRequest) -> Hashable:
    return None


def _headers_of(names: Iterable[str]) -> Callable[[IRouteRequest], Hashable]:
    wanted = {name.lower().encode() for name in names}
    wanted |= {name.replace(b"_", b"-") for name in wanted}
    return lambda request: tuple([pair for pair in request.headers if pair[0] in wanted])


def _queries_of(names: frozenset[bytes]) -> Callable[[IRouteRequest], Hashable]:
    def read(request: IRouteRequest) -> Hashable:
        if not request.query:
            return ()
        found = parse_query(request.query)
        return tuple([(name, tuple(found[name])) for name in found if name in names])

    return read
