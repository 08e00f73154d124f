"""The router: an immutable set of routes, the index over them and recent decisions. Hot path."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from operator import attrgetter
from typing import TypeAlias

import attrs
from zope.interface import implementer

from kongtx.router import compatible, traditional
from kongtx.router.decisions import Decisions
from kongtx.router.errors import RouterError
from kongtx.router.expressions import routes as expression_routes
from kongtx.router.facts import HTTP_SCHEMES, Facts, parse_query
from kongtx.router.index import HostIndex
from kongtx.router.interfaces import IMatch, IRouter, IRouteRequest
from kongtx.router.model import Entry, Match, Route, Service
from kongtx.router.standing import Scale

Compile: TypeAlias = Callable[[Route, Service | None], list[Entry]]

DECISIONS = 5000
"""How many recent decisions are kept at least, matches and misses apart. Source: Kong."""


@attrs.frozen
class Flavor:
    """What is particular to one C{router_flavor}.

    @ivar compile: makes the entries of a route.
    @ivar http_scale: the order of HTTP routes.
    @ivar stream_scale: the order of stream routes.
    @ivar text_only: whether a path that is not UTF-8 matches nothing.
    """

    name: str
    compile: Compile
    http_scale: Scale
    stream_scale: Scale
    text_only: bool


FLAVORS: Mapping[str, Flavor] = {
    flavor.name: flavor
    for flavor in (
        Flavor(
            "traditional",
            traditional.compile_route,
            traditional.HTTP_SCALE,
            traditional.STREAM_SCALE,
            text_only=False,
        ),
        Flavor(
            "traditional_compatible",
            compatible.compile_route,
            compatible.HTTP_SCALE,
            compatible.STREAM_SCALE,
            text_only=True,
        ),
        Flavor(
            "expressions",
            expression_routes.compile_route,
            compatible.HTTP_SCALE,
            compatible.STREAM_SCALE,
            text_only=True,
        ),
    )
}


def build_router(flavor: str, routes: Iterable[Route], services: Mapping[str, Service]) -> Router:
    """Make a router.

    @param flavor: the C{router_flavor}: C{"traditional"}, C{"traditional_compatible"} or
        C{"expressions"}.
    @param routes: the route entities; those of disabled services are left out.
    @param services: the service entities by id.
    @raise RouterError: when a route is wrong, or its service is missing.
    """
    if flavor not in FLAVORS:
        raise RouterError(f"unknown router_flavor '{flavor}': expected one of {', '.join(FLAVORS)}")
    empty = Router(FLAVORS[flavor], {}, HostIndex(None), HostIndex(None), {})
    return empty.updated(((route, _service_of(route, services)) for route in routes), ())


def _service_of(route: Route, services: Mapping[str, Service]) -> Service | None:
    reference = route.get("service")
    if not reference:
        return None
    try:
        return services[reference["id"]]
    except KeyError:
        raise RouterError(
            f"route {route.get('id')} belongs to service {reference['id']}, which does not exist"
        ) from None


class _Subsystem:
    """The index of HTTP or of stream routes, with the decisions taken on it."""

    __slots__ = ("_index", "_key", "_matches", "_misses", "_shared", "_text_only")

    def __init__(self, index: HostIndex, used: Iterable[str], text_only: bool) -> None:
        fields = frozenset(used)
        self._index = index
        self._key = _key_function(fields)
        self._shared = "http.path" in fields
        self._text_only = text_only and self._shared
        self._matches: Decisions[Match | Entry] = Decisions(DECISIONS)
        self._misses: Decisions[bool] = Decisions(DECISIONS)

    def match(self, request: IRouteRequest) -> Match | None:
        key = self._key(request)
        known = self._matches.get(key)
        if known is not None:
            # Without paths among the conditions, one decision serves requests of many paths.
            return known if isinstance(known, Match) else known.match(Facts(request))
        if self._misses.get(key) is not None:
            return None
        facts = Facts(request)
        entry = None if self._text_only and not _is_text(facts.path) else self._index.search(facts)
        if entry is None:
            self._misses.put(key, True)
            return None
        match = entry.match(facts)
        self._matches.put(key, match if self._shared else entry)
        return match


def _is_text(path: bytes) -> bool:
    if path.isascii():
        return True
    try:
        path.decode()
    except UnicodeDecodeError:
        return False
    return True


def _key_function(fields: frozenset[str]) -> Callable[[IRouteRequest], Hashable]:
    """Make the function that reads from a request what its decision can depend on."""
    attributes = [
        attribute
        for attribute, prefixes in _ATTRIBUTES
        if any(field.startswith(prefixes) for field in fields)
    ]
    extras: list[Callable[[IRouteRequest], Hashable]] = [
        _ENDS[field] for field in sorted(fields & _ENDS.keys())
    ]
    headers = {field.removeprefix(_HEADERS) for field in fields if field.startswith(_HEADERS)}
    if headers:
        extras.append(_headers_of(headers))
    queries = {field.removeprefix(_QUERIES) for field in fields if field.startswith(_QUERIES)}
    if queries:
        extras.append(_queries_of(frozenset(name.encode() for name in queries)))
    plain = attrgetter(*attributes) if attributes else _nothing
    if not extras:
        return plain
    if len(extras) == 1:
        extra = extras[0]
        return lambda request: (plain(request), extra(request))
    return lambda request: (plain(request), *[extra(request) for extra in extras])


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
_ENDS: dict[str, Callable[[IRouteRequest], Hashable]] = {
    "net.src.ip": lambda request: request.source[0],
    "net.src.port": lambda request: request.source[1],
    "net.dst.ip": lambda request: request.destination[0],
    "net.dst.port": lambda request: request.destination[1],
}


def _nothing(_request: IRouteRequest) -> Hashable:
    return None


def _headers_of(names: Iterable[str]) -> Callable[[IRouteRequest], Hashable]:
    wanted = {name.encode() for name in names}
    wanted |= {name.replace(b"_", b"-") for name in wanted}
    return lambda request: tuple([pair for pair in request.headers if pair[0] in wanted])


def _queries_of(names: frozenset[bytes]) -> Callable[[IRouteRequest], Hashable]:
    def read(request: IRouteRequest) -> Hashable:
        if not request.query:
            return ()
        found = parse_query(request.query)
        return tuple([(name, tuple(found[name])) for name in found if name in names])

    return read


@implementer(IRouter)
class Router:
    """An immutable set of routes; L{updated} makes the next one, sharing what did not change."""

    __slots__ = ("_entries", "_http", "_indexes", "_stream", "_used", "flavor")

    def __init__(
        self,
        flavor: Flavor,
        entries: dict[str, tuple[Entry, ...]],
        http: HostIndex,
        stream: HostIndex,
        used: dict[tuple[bool, str], int],
    ) -> None:
        self.flavor = flavor
        self._entries = entries
        self._indexes = (http, stream)
        self._used = used
        self._http = _Subsystem(
            http, (name for streams, name in used if not streams), flavor.text_only
        )
        self._stream = _Subsystem(stream, (name for streams, name in used if streams), False)

    def match(self, request: IRouteRequest) -> IMatch | None:
        """See L{IRouter}."""
        if request.scheme in HTTP_SCHEMES:
            return self._http.match(request)
        return self._stream.match(request)

    def replace(self, route: Route, service: Service | None) -> Router:
        """Make a router in which one route is added or changed."""
        return self.updated(((route, service),), ())

    def remove(self, route_id: str) -> Router:
        """Make a router without one route."""
        return self.updated((), (route_id,))

    def updated(
        self, changed: Iterable[tuple[Route, Service | None]], removed: Iterable[str]
    ) -> Router:
        """Make a router with some routes added or changed, others gone.

        @param changed: routes with their services; a changed service needs all of its routes.
        @param removed: ids; unknown ones are ignored.
        @raise RouterError: when a route is wrong; this router stays as it is.
        """
        edit = object()
        entries = dict(self._entries)
        used = dict(self._used)
        gone: list[Entry] = []
        new: list[Entry] = []
        for route_id in removed:
            gone += entries.pop(route_id, ())
        for route, service in changed:
            route_id = route["id"]
            gone += entries.pop(route_id, ())
            made = () if _is_disabled(service) else tuple(self.flavor.compile(route, service))
            entries[route_id] = made
            new += made
        indexes = tuple(index.own(edit) for index in self._indexes)
        for entry in gone:
            streams = traditional.is_stream(entry.route)
            _count(used, entry, streams, -1)
            indexes[streams].discard(entry, entry.keys(), edit)
        # Highest first: leaves then grow at their ends.
        new.sort(key=_rank, reverse=True)
        for entry in new:
            streams = traditional.is_stream(entry.route)
            _count(used, entry, streams, 1)
            indexes[streams].add(entry, entry.keys(), edit)
        return Router(self.flavor, entries, indexes[0], indexes[1], used)

    def entries(self) -> Iterable[Entry]:
        """Go through all entries, in no order."""
        for made in self._entries.values():
            yield from made

    def __len__(self) -> int:
        return len(self._entries)


def _rank(entry: Entry) -> int:
    return entry.rank


def _is_disabled(service: Service | None) -> bool:
    return service is not None and service.get("enabled") is False


def _count(used: dict[tuple[bool, str], int], entry: Entry, streams: bool, by: int) -> None:
    for condition in entry.conditions:
        for field in condition.fields:
            count = used.get((streams, field), 0) + by
            if count:
                used[streams, field] = count
            else:
                del used[streams, field]
