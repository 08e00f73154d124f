"""The traditional flavor: a route becomes entries, one for each of its paths.

Routes are ranked by how many kinds of condition they have, then by which kinds; then by the rules
that L{HTTP_SCALE} and L{STREAM_SCALE} list. Source: Kong C{router_flavor = traditional}.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import attrs

from kongtx.router.conditions import (
    Condition,
    HeaderCondition,
    HostCondition,
    MethodCondition,
    PathCondition,
    PeerCondition,
    SchemeCondition,
    SniCondition,
    split_port,
)
from kongtx.router.errors import RouterError
from kongtx.router.flavors.standing import SIGNED_OFFSET, Component, Scale, age, identity
from kongtx.router.model import Entry, Route, Service
from kongtx.router.regexes import Regex

STREAM_PROTOCOLS = frozenset({"tcp", "tls", "udp", "tls_passthrough"})

CREATION = "created earlier"
IDENTITY = "lower id"
POSITION = "listed earlier in the route"

_WITHOUT_TLS = SchemeCondition(frozenset({b"http"}))

_HOST, _HEADER, _PATH, _METHOD, _SNI, _SOURCE, _DESTINATION = 64, 32, 16, 8, 4, 2, 1

HTTP_SCALE = Scale(
    (
        Component("more kinds of condition", 3, base=0),
        Component("stronger kinds of condition (host, header, path, method, SNI)", 7),
        Component("no SNI asked for, without TLS", 1),
        Component("a host with a port", 1),
        Component("a wildcard host with a port", 1),
        Component("plain hosts only", 1),
        Component("a regex path", 1),
        Component("more header names", 16, base=0),
        Component("higher regex_priority", 63, base=SIGNED_OFFSET),
        Component("longer path", 24, base=0),
        Component(CREATION, 64, is_tie_break=True),
        Component(IDENTITY, 128, is_tie_break=True),
        Component(POSITION, 16, is_tie_break=True),
    )
)

STREAM_SCALE = Scale(
    (
        Component("more kinds of condition", 3, base=0),
        Component("stronger kinds of condition (SNI, source, destination)", 7),
        Component("a source with both address and port", 1),
        Component("a destination with both address and port", 1),
        Component(CREATION, 64, is_tie_break=True),
        Component(IDENTITY, 128, is_tie_break=True),
    )
)


def is_stream(route: Route) -> bool:
    """Tell whether a route is for connections rather than for HTTP requests."""
    protocols: Sequence[str] = route.get("protocols") or ()
    return bool(protocols) and protocols[0] in STREAM_PROTOCOLS


def compile_route(route: Route, service: Service | None) -> list[Entry]:
    """Make the entries of a route.

    @raise RouterError: when the route has no condition at all, or a bad one.
    """
    if is_stream(route):
        return [_stream_entry(route, service)]
    shared = tuple(_http_conditions(route))
    if not shared and not any(route.get(field) for field in ("hosts", "paths", "snis")):
        raise RouterError(f"route {route.get('id')} has no condition to match on")
    return [
        _http_entry(route, service, part, shared)
        for part in (
            _Part(hosts, path, position, secure)
            for hosts in _host_groups(route)
            for position, path in enumerate(route.get("paths") or (None,))
            for secure in ((True, False) if route.get("snis") else (None,))
        )
    ]


@attrs.frozen
class _Part:
    """What has a place of its own in the order.

    @ivar secure: whether this is for TLS, where SNIs are asked for and count, or for connections
        without; L{None} without SNIs.
    """

    hosts: Sequence[str]
    path: str | None
    position: int
    secure: bool | None


def _http_entry(
    route: Route, service: Service | None, part: _Part, shared: tuple[Condition, ...]
) -> Entry:
    conditions = list(shared)
    if part.secure is not None:
        conditions.append(SniCondition(route["snis"], None) if part.secure else _WITHOUT_TLS)
    if part.hosts:
        conditions.insert(0, HostCondition(part.hosts))
    locator = None
    if part.path is not None:
        locator = path_condition((part.path,), anchored=True)
        conditions.insert(0, locator)
    return Entry(
        HTTP_SCALE.pack(_standing(route, part)),
        route,
        service,
        tuple(conditions),
        locator=locator,
        version_one=route.get("path_handling") == "v1",
    )


def _host_groups(route: Route) -> Iterator[Sequence[str]]:
    # A host with the request's own port goes before the same host without: two places in the
    # order for one route.
    hosts: Sequence[str] = route.get("hosts") or ()
    ported = [host for host in hosts if split_port(host)[1] is not None]
    if ported and len(ported) < len(hosts):
        yield ported
        yield [host for host in hosts if host not in ported]
    else:
        yield hosts


def _http_conditions(route: Route) -> list[Condition]:
    conditions: list[Condition] = []
    if route.get("methods"):
        conditions.append(MethodCondition(route["methods"]))
    for name, values in (route.get("headers") or {}).items():
        if name.lower() != "host":
            conditions.append(header_condition(name.lower(), values, len(values) == 1))
    conditions += peer_conditions(route)
    return conditions


def header_condition(name: str, values: Sequence[str], patterns: bool) -> HeaderCondition:
    """Make a header's condition.

    @param name: the name to look for, lower case.
    @param patterns: whether values that begin with C{~*} are patterns.
    """
    plain = [value for value in values if not (patterns and value.startswith("~*"))]
    regexes = [
        Regex(value[2:], ignore_case=True)
        for value in values
        if patterns and value.startswith("~*")
    ]
    return HeaderCondition(name.encode(), plain, regexes)


def path_condition(paths: Sequence[str], anchored: bool) -> PathCondition:
    """Make a path's condition.

    @param anchored: whether every branch of a pattern begins at the path's start, rather than
        its first branch only.
    """
    prefixes = [path.encode() for path in paths if not path.startswith("~")]
    patterns = [path[1:] for path in paths if path.startswith("~")]
    form = "^(?:{})" if anchored else "^{}"
    return PathCondition(prefixes, [Regex(form.format(pattern)) for pattern in patterns], patterns)


def peer_conditions(route: Route) -> list[Condition]:
    """Make the conditions on a connection's two ends."""
    conditions: list[Condition] = []
    if route.get("sources"):
        conditions.append(PeerCondition("src", route["sources"]))
    if route.get("destinations"):
        conditions.append(PeerCondition("dst", route["destinations"]))
    return conditions


def _standing(route: Route, part: _Part) -> tuple[int, ...]:
    hosts, path = part.hosts, part.path
    headers = [name for name in route.get("headers") or () if name.lower() != "host"]
    kinds = (
        _HOST * bool(hosts)
        | _HEADER * bool(headers)
        | _PATH * bool(path)
        | _METHOD * bool(route.get("methods"))
        | _SNI * bool(part.secure)
        | _SOURCE * bool(route.get("sources"))
        | _DESTINATION * bool(route.get("destinations"))
    )
    wild = [host for host in route.get("hosts") or () if "*" in host]
    regex = path is not None and path.startswith("~")
    return (
        kinds.bit_count(),
        kinds,
        part.secure is not False,
        bool(hosts) and split_port(hosts[0])[1] is not None,
        any(split_port(host)[1] is not None for host in wild),
        bool(hosts) and not wild,
        regex,
        len(headers),
        (int(route.get("regex_priority") or 0) if regex else 0) + SIGNED_OFFSET,
        0 if path is None or regex else len(path.encode()),
        age(route),
        (1 << 128) - 1 - identity(str(route.get("id"))),
        (1 << 16) - 1 - part.position,
    )


def _stream_entry(route: Route, service: Service | None) -> Entry:
    conditions = peer_conditions(route)
    if route.get("snis"):
        conditions.insert(0, SniCondition(route["snis"], None))
    if not conditions:
        raise RouterError(f"route {route.get('id')} has no condition to match on")
    kinds = (
        _SNI * bool(route.get("snis"))
        | _SOURCE * bool(route.get("sources"))
        | _DESTINATION * bool(route.get("destinations"))
    )
    standing = (
        kinds.bit_count(),
        kinds,
        _address_and_port(route.get("sources")),
        _address_and_port(route.get("destinations")),
        age(route),
        (1 << 128) - 1 - identity(str(route.get("id"))),
    )
    return Entry(STREAM_SCALE.pack(standing), route, service, tuple(conditions))


def _address_and_port(peers: Sequence[Route] | None) -> bool:
    return any(peer.get("ip") is not None and peer.get("port") is not None for peer in peers or ())
