"""The traditional_compatible flavor: a route becomes entries, one for each length of path.

The order is that of Kong's expression router: a priority computed from the fields, and for equal
priorities the higher id, where the entries of a route with several lengths of path have ids
derived from the route's. Source: Kong C{router_flavor = traditional_compatible}.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID, uuid5

from kongtx.router.conditions import Condition, HostCondition, MethodCondition, SniCondition
from kongtx.router.errors import RouterError
from kongtx.router.flavors.standing import SIGNED_OFFSET, Component, Scale, identity
from kongtx.router.flavors.traditional import (
    header_condition,
    is_stream,
    path_condition,
    peer_conditions,
)
from kongtx.router.model import Entry, Route, Service

HIGHER_IDENTITY = "higher id"

HTTP_SCALE = Scale(
    (
        Component("an expression", 1),
        Component("higher priority", 46, base=0),
        Component("more kinds of condition", 3, base=0),
        Component("plain hosts only", 1),
        Component("more header names", 8, base=0),
        Component("a regex path", 1),
        Component("higher regex_priority", 63, base=SIGNED_OFFSET),
        Component("longer path", 19, base=0),
        Component(HIGHER_IDENTITY, 128, is_tie_break=True),
    )
)

STREAM_SCALE = Scale(
    (
        Component("an expression", 1),
        Component("higher priority", 46, base=0),
        Component("an SNI, or both sources and destinations", 1),
        Component("more exact sources (address, port, range)", 4),
        Component("more exact destinations (address, port, range)", 4),
        Component(HIGHER_IDENTITY, 128, is_tie_break=True),
    )
)

# The name space of the ids of a route's parts: Kong's, since ids decide the order.
_PARTS = UUID("7f145bf9-0dce-4f91-98eb-debbce4b9f6b")
_ADDRESS, _PORT, _RANGE = 8, 4, 1


def compile_route(
    route: Route, service: Service | None, extra: tuple[Condition, ...] = ()
) -> list[Entry]:
    """Make the entries of a route.

    @param extra: further conditions of each entry.
    @raise RouterError: when the route has no condition at all, or a bad one.
    """
    if is_stream(route):
        conditions = _stream_conditions(route)
        if not conditions:
            raise RouterError(f"route {route.get('id')} has no condition to match on")
        rank = STREAM_SCALE.pack(_stream_standing(route))
        return [Entry(rank, route, service, conditions + extra)]
    shared = _http_conditions(route)
    groups = group_paths(route.get("paths") or ())
    if not shared and not groups:
        raise RouterError(f"route {route.get('id')} has no condition to match on")
    entries = []
    for number, paths in enumerate(groups or [()], 1):
        conditions = shared + extra
        locator = None
        if paths:
            locator = path_condition(paths, anchored=False)
            conditions = (locator, *conditions)
        key = _part_identity(route, number) if len(groups) > 1 else str(route.get("id"))
        rank = HTTP_SCALE.pack(_http_standing(route, paths, key))
        entries.append(Entry(rank, route, service, conditions, locator=locator))
    return entries


def group_paths(paths: Sequence[str]) -> list[Sequence[str]]:
    """Group a route's paths: the regexes together, the plain ones by length, in order."""
    groups: dict[int, list[str]] = {}
    for path in paths:
        groups.setdefault(-1 if path.startswith("~") else len(path.encode()), []).append(path)
    return list(groups.values())


def _part_identity(route: Route, number: int) -> str:
    return str(uuid5(_PARTS, f"{route.get('id')}#{number}"))


def _http_conditions(route: Route) -> tuple[Condition, ...]:
    conditions: list[Condition] = []
    if route.get("hosts"):
        conditions.append(HostCondition(route["hosts"]))
    if route.get("methods"):
        conditions.append(MethodCondition(route["methods"]))
    for name, values in (route.get("headers") or {}).items():
        conditions.append(header_condition(name.lower().replace("-", "_"), values, True))
    if route.get("snis"):
        conditions.append(SniCondition(route["snis"], b"https"))
    conditions += peer_conditions(route)
    return tuple(conditions)


def _stream_conditions(route: Route) -> tuple[Condition, ...]:
    conditions = peer_conditions(route)
    if route.get("snis"):
        conditions.insert(0, SniCondition(route["snis"], b"tls"))
    return tuple(conditions)


def _http_standing(route: Route, paths: Sequence[str], key: str) -> tuple[int, ...]:
    kinds = ("sources", "destinations", "methods", "hosts", "headers", "snis")
    hosts: Sequence[str] = route.get("hosts") or ()
    regex = bool(paths) and paths[0].startswith("~")
    return (
        0,
        0,
        sum(bool(route.get(kind)) for kind in kinds) + bool(paths),
        bool(hosts) and not any("*" in host for host in hosts),
        len(route.get("headers") or ()),
        regex,
        (int(route.get("regex_priority") or 0) if regex else 0) + SIGNED_OFFSET,
        len(paths[0].encode()) if paths and not regex else 0,
        identity(key),
    )


def _stream_standing(route: Route) -> tuple[int, ...]:
    sources, destinations = route.get("sources"), route.get("destinations")
    return (
        0,
        0,
        bool(route.get("snis")) or (bool(sources) and bool(destinations)),
        _peer_weight(sources),
        _peer_weight(destinations),
        identity(str(route.get("id"))),
    )


def _peer_weight(peers: Sequence[Route] | None) -> int:
    weight = 0
    for peer in peers or ():
        ip = peer.get("ip")
        if ip is not None:
            weight |= _RANGE if "/" in ip else _ADDRESS
        if peer.get("port") is not None:
            weight |= _PORT
    return weight
