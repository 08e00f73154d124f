"""The router: an immutable set of routes, the index over them and recent decisions. Hot path."""

from __future__ import annotations

import enum
import gc
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeAlias

import attrs
from zope.interface import implementer

from kongtx.router.decisions import Decisions
from kongtx.router.errors import RouterError
from kongtx.router.expressions import routes as expression_routes
from kongtx.router.facts import HTTP_SCHEMES, Facts
from kongtx.router.flavors import compatible, traditional
from kongtx.router.flavors.standing import Scale
from kongtx.router.index import HostIndex
from kongtx.router.interfaces import IMatch, IRouter, IRouteRequest
from kongtx.router.keys import first_key, second_key
from kongtx.router.model import Entry, Match, Route, Service

Compile: TypeAlias = Callable[[Route, Service | None], list[Entry]]

DECISIONS = 5000
"""How many recent decisions are kept at least, matches and misses apart. Source: Kong."""


LONGEST_KEY = 4096
"""How many bytes of a request a remembered decision may hold."""


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


def validate_route(flavor: str, route: Route) -> str | None:
    """Say why a router could not take a route.

    @param flavor: the C{router_flavor}.
    @param route: the route entity; its id may still be missing.
    @return: a message that does not name the route, or L{None}.
    """
    try:
        _compile(FLAVORS[flavor], route, None)
    except RouterError as error:
        return str(error.__cause__ or error)
    return None


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


class _Deeper(enum.Enum):
    """Says that a decision is known by the second key only."""

    DEEPER = 0


class _Subsystem:
    """The index of HTTP or of stream routes, with the decisions taken on it.

    Decisions are remembered by what they can depend on: by a first key of what most routes look
    at, and only where that did not suffice by a second key too, of headers and the like.
    """

    __slots__ = (
        "_deeper",
        "_first",
        "_index",
        "_matches",
        "_misses",
        "_second",
        "_shared",
        "_text_only",
    )

    def __init__(self, index: HostIndex, used: Iterable[str], text_only: bool) -> None:
        fields = frozenset(used)
        self._index = index
        self._first = first_key(fields)
        self._second = second_key(fields)
        self._shared = any(field.startswith("http.path") for field in fields)
        self._text_only = text_only and self._shared
        self._matches: Decisions[Match | Entry | _Deeper] = Decisions(DECISIONS)
        self._deeper: Decisions[Match | Entry] = Decisions(DECISIONS)
        self._misses: Decisions[bool] = Decisions(DECISIONS)

    def match(self, request: IRouteRequest) -> Match | None:
        key = self._first(request)
        known = self._matches.young.get(key) or self._matches.get(key)
        if known is not None:
            if known.__class__ is Match:
                return known
            if known.__class__ is Entry:
                # Without paths among the conditions, one decision serves requests of many paths.
                return known.match(Facts(request))
            return self._match_deeper(request, key)
        if self._misses.get(key) is not None:
            return None
        return self._decide(request, key)

    def _match_deeper(self, request: IRouteRequest, first: Hashable) -> Match | None:
        key = (first, self._second(request))
        known = self._deeper.young.get(key) or self._deeper.get(key)
        if known is not None:
            return known.match(Facts(request)) if isinstance(known, Entry) else known
        if self._misses.get(key) is not None:
            return None
        return self._decide(request, first)

    def _decide(self, request: IRouteRequest, key: Hashable) -> Match | None:
        facts = Facts(request)
        entry = None if self._refuses(facts) else self._index.search(facts)
        matches: Decisions[Any] = self._matches
        if not _is_small(facts):
            return None if entry is None else entry.match(facts)
        if facts.beyond:
            matches.put(key, _Deeper.DEEPER)
            matches, key = self._deeper, (key, self._second(request))
        if entry is None:
            self._misses.put(key, True)
            return None
        match = entry.match(facts)
        matches.put(key, match if self._shared else entry)
        return match

    def fitting(self, facts: Facts) -> list[Entry]:
        return [] if self._refuses(facts) else self._index.collect(facts)

    def _refuses(self, facts: Facts) -> bool:
        return self._text_only and not _is_text(facts.path)


def _is_small(facts: Facts) -> bool:
    """Tell whether a decision may be remembered: a client must not fill the memory with keys."""
    request = facts.request
    length = len(facts.path) + len(facts.host) + len(facts.sni) + len(facts.method)
    if facts.beyond:
        length += len(request.query) + sum([len(value) for _, value in request.headers])
    return length <= LONGEST_KEY


def _is_text(path: bytes) -> bool:
    if path.isascii():
        return True
    try:
        path.decode()
    except UnicodeDecodeError:
        return False
    return True


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
        with paused_collector():
            return self._updated(changed, removed)

    def _updated(
        self, changed: Iterable[tuple[Route, Service | None]], removed: Iterable[str]
    ) -> Router:
        edit = object()
        entries = dict(self._entries)
        used = dict(self._used)
        gone: list[Entry] = []
        new: list[Entry] = []
        for route_id in removed:
            gone += entries.pop(route_id, ())
        # Of two routes with the same id the later counts.
        latest = {route["id"]: (route, service) for route, service in changed}
        for route_id, (route, service) in latest.items():
            gone += entries.pop(route_id, ())
            made = () if _is_disabled(service) else _compile(self.flavor, route, service)
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

    def fitting(self, request: IRouteRequest) -> list[Entry]:
        """List every entry whose conditions a request meets, the highest first."""
        subsystem = self._http if request.scheme in HTTP_SCHEMES else self._stream
        return subsystem.fitting(Facts(request))

    def scale(self, request: IRouteRequest) -> Scale:
        """Find the order that the entries for a request have."""
        if request.scheme in HTTP_SCHEMES:
            return self.flavor.http_scale
        return self.flavor.stream_scale

    def entries(self) -> Iterable[Entry]:
        """Go through all entries, in no order."""
        for made in self._entries.values():
            yield from made

    def __len__(self) -> int:
        return len(self._entries)


def _compile(flavor: Flavor, route: Route, service: Service | None) -> tuple[Entry, ...]:
    try:
        return tuple(flavor.compile(route, service))
    except UnicodeEncodeError as error:
        raise RouterError(
            f"route {route.get('id')} has text that is not Unicode: {error}"
        ) from None


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


@contextmanager
def paused_collector() -> Iterator[None]:
    """Keep the garbage collector from running.

    A build makes many objects and no garbage: the collector would look at all of them again and
    again, for half of the time of a large build.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
