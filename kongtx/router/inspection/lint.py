"""Routes that can never match, that others shadow, or that only a tie-break keeps apart.

Each finding that is about requests comes with one, found by construction and checked against the
router. A finding is only made where it was proved: silence proves nothing.
"""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping
from itertools import islice, product
from typing import Any

import attrs

from kongtx.http.paths import normalise_path
from kongtx.router.conditions import HostCondition, PathCondition
from kongtx.router.errors import RouterError
from kongtx.router.expressions.compiler import ExpressionCondition
from kongtx.router.facts import Facts
from kongtx.router.flavors.standing import Scale
from kongtx.router.flavors.traditional import is_stream
from kongtx.router.inspection.examples import find_request, find_requests
from kongtx.router.inspection.implication import (
    all_implied,
    can_begin_a_path,
    excludes,
    is_impossible,
    may_meet,
)
from kongtx.router.inspection.request import RouteRequest
from kongtx.router.model import Entry, Route, Service
from kongtx.router.router import Router, build_router

_MOST_RIVALS = 100
#: Of a route that ties with many, one is shown with so many of them.
_MOST_TIES = 3


class Kind(enum.Enum):
    """What is wrong with a route; the value is its name in JSON."""

    # In this order: cannot be built; gets no request at all; gets none in some part of it.
    REFUSED = "refused"
    NEVER_MATCHES = "never-matches"
    SHADOWED = "shadowed"
    AMBIGUOUS = "ambiguous"


@attrs.frozen
class Finding:
    """Something wrong with a route.

    @ivar route: the route.
    @ivar other: the route that takes its requests, or that ties with it.
    @ivar reason: what is wrong, in one sentence.
    @ivar request: a request that shows it.
    """

    kind: Kind
    route: Route
    reason: str
    other: Route | None = None
    request: RouteRequest | None = None

    def as_json(self) -> dict[str, Any]:
        """Give the finding as what JSON can hold."""
        return {
            "kind": self.kind.value,
            "route": {"id": self.route.get("id"), "name": self.route.get("name")},
            "other": None
            if self.other is None
            else {"id": self.other.get("id"), "name": self.other.get("name")},
            "reason": self.reason,
            "request": None if self.request is None else show_request(self.request),
        }


def lint(
    flavor: str, routes: Iterable[Route], services: Mapping[str, Service]
) -> tuple[Finding, ...]:
    """Look for routes that cannot do what they seem to.

    @param flavor: the C{router_flavor}.
    @param routes: the route entities.
    @param services: the service entities by id.
    """
    findings: list[Finding] = []
    sound = list(_sound_routes(flavor, routes, services, findings))
    router = build_router(flavor, sound, services)
    entries = list(router.entries())
    findings += _vain_entries(router, entries)
    told = {_pair(finding.route, finding.other) for finding in findings if finding.other}
    for stream in (False, True):
        scale = router.flavor.stream_scale if stream else router.flavor.http_scale
        mine = [entry for entry in entries if is_stream(entry.route) == stream]
        findings += _ambiguities(scale, mine, stream, told)
    return tuple(findings)


def _pair(one: Route, other: Route) -> frozenset[Any]:
    return frozenset((one["id"], other["id"]))


def _vain_entries(router: Router, entries: Iterable[Entry]) -> Iterator[Finding]:
    parts: dict[Any, list[Finding | None]] = {}
    for entry in entries:
        parts.setdefault(entry.route["id"], []).append(_check_entry(router, entry))
    for found in parts.values():
        # A route that is shadowed in all of its parts never matches.
        never = None not in found
        for finding in found:
            if finding is not None:
                yield attrs.evolve(finding, kind=Kind.NEVER_MATCHES) if never else finding


def _sound_routes(
    flavor: str,
    routes: Iterable[Route],
    services: Mapping[str, Service],
    findings: list[Finding],
) -> Iterator[Route]:
    enabled = []
    for route in routes:
        owner = route.get("service")
        service = services.get(owner["id"]) if owner else None
        if service is not None and service.get("enabled") is False:
            reason = f"its service {_called(service)} is disabled"
            findings.append(Finding(Kind.NEVER_MATCHES, route, reason))
            continue
        enabled.append(route)
    try:
        build_router(flavor, enabled, services)
    except RouterError:
        pass
    else:
        yield from enabled
        return
    for route in enabled:
        try:
            build_router(flavor, [route], services)
        except RouterError as error:
            findings.append(Finding(Kind.REFUSED, route, str(error)))
        else:
            yield route


def _check_entry(router: Router, entry: Entry) -> Finding | None:
    impossible = _impossible_path(entry) or _contradiction(entry)
    if impossible is not None:
        return Finding(Kind.SHADOWED, entry.route, impossible)
    for request in islice(find_requests(entry.conditions, is_stream(entry.route)), 3):
        above = [
            other
            for other in router.fitting(request)
            if other.rank > entry.rank and other.route is not entry.route
        ]
        for other in above:
            if all_implied(entry.conditions, other.conditions):
                rule = router.scale(request).describe(other.rank, entry.rank)
                reason = f"every request for {_asked(entry)} gets {_called(other.route)}: {rule}"
                return Finding(Kind.SHADOWED, entry.route, reason, other.route, request)
        if not above:
            break
    return None


def _contradiction(entry: Entry) -> str | None:
    terms = [each for each in entry.conditions if isinstance(each, ExpressionCondition)]
    for at, one in enumerate(terms):
        if is_impossible(one.node):
            return f"nothing can meet {one.text}"
        for other in terms[at + 1 :]:
            if excludes(one.node, other.node):
                return f"nothing can meet both {one.text} and {other.text}"
    return None


def _impossible_path(entry: Entry) -> str | None:
    for condition in entry.conditions:
        if isinstance(condition, PathCondition) and not condition.patterns:
            bad = [prefix for prefix in condition.prefixes if not can_begin_a_path(prefix)]
            if len(bad) == len(condition.prefixes):
                path = bad[0].decode()
                normal = normalise_path(bad[0]).decode("utf-8", "replace")
                return f"no normalised path begins with {path}: write {normal}"
    return None


def _ambiguities(
    scale: Scale, entries: Iterable[Entry], stream: bool, told: set[frozenset[Any]]
) -> Iterator[Finding]:
    buckets: dict[Hashable, list[Entry]] = {}
    losses: Counter[Any] = Counter()
    for entry in entries:
        for key in _meeting_places(scale.without_tie_breaks(entry.rank), entry):
            buckets.setdefault(key, []).append(entry)
    for bucket in buckets.values():
        bucket.sort(key=lambda entry: entry.rank, reverse=True)
        keys = [entry.keys() for entry in bucket]
        for at, entry in enumerate(bucket):
            for beyond, other in enumerate(bucket[at + 1 : at + 1 + _MOST_RIVALS], at + 1):
                pair = _pair(entry.route, other.route)
                if other.route is entry.route or pair in told:
                    continue
                if losses[other.route["id"]] >= _MOST_TIES:
                    continue
                if not may_meet(keys[at], keys[beyond]):
                    continue
                found = _tie(scale, entry, other, stream)
                if found is not None:
                    told.add(pair)
                    losses[other.route["id"]] += 1
                    yield found


def _meeting_places(rank: int, entry: Entry) -> Iterable[Hashable]:
    # Only entries with a place in common can take the same request.
    hosts: list[Hashable] = [None]
    paths: list[Hashable] = [None]
    for condition in entry.conditions:
        if isinstance(condition, HostCondition):
            patterns = condition.patterns
            if all(pattern.kind == "exact" for pattern in patterns):
                hosts = [pattern.text for pattern in patterns]
        elif isinstance(condition, PathCondition) and not condition.patterns:
            paths = list(condition.prefixes)
    return [(rank, host, path) for host, path in product(hosts, paths)]


def _tie(scale: Scale, winner: Entry, loser: Entry, stream: bool) -> Finding | None:
    request = find_request((*winner.conditions, *loser.conditions), stream)
    if request is None:
        return None
    facts = Facts(request)
    if not (winner.holds(facts) and loser.holds(facts)):
        return None
    rule = scale.describe(winner.rank, loser.rank)
    return Finding(
        Kind.AMBIGUOUS,
        loser.route,
        f"nothing but a tie-break puts {_called(winner.route)} first: {rule}",
        winner.route,
        request,
    )


def _asked(entry: Entry) -> str:
    return ", ".join(condition.describe() for condition in entry.conditions)


def _called(entity: Mapping[str, Any]) -> str:
    return str(entity.get("name") or entity.get("id"))


def show_request(request: RouteRequest) -> dict[str, Any]:
    """Give a request as a client would make it, as what JSON can hold."""
    scheme = request.scheme.decode()
    if scheme not in {"http", "https"}:
        return {
            "protocol": scheme,
            "sni": request.sni.decode() or None,
            "source": list(request.source),
            "destination": list(request.destination),
        }
    host = request.host.decode("latin-1")
    host = f"[{host}]" if ":" in host else host
    default = 443 if scheme == "https" else 80
    port = "" if request.host_port == default else f":{request.host_port}"
    query = f"?{request.query.decode('latin-1')}" if request.query else ""
    shown: dict[str, Any] = {
        "method": request.method.decode("latin-1"),
        "url": f"{scheme}://{host}{port}{request.path.decode('utf-8', 'replace')}{query}",
        "headers": [
            [name.decode("latin-1"), value.decode("latin-1")] for name, value in request.headers
        ],
    }
    if request.sni and request.sni != request.host:
        shown["sni"] = request.sni.decode("latin-1")
    if request.source[0] != "127.0.0.1":
        shown["source"] = list(request.source)
    return shown


def lint_json(
    flavor: str, routes: Iterable[Route], services: Mapping[str, Service]
) -> list[dict[str, Any]]:
    """Look for the same, as what JSON can hold; see L{lint}."""
    return [finding.as_json() for finding in lint(flavor, routes, services)]


def as_text(findings: Iterable[dict[str, Any]]) -> str:
    """Write what L{lint_json} gives as lines for people."""
    lines = []
    for finding in findings:
        route = finding["route"]
        lines.append(f"{finding['kind']}: {route['name'] or route['id']}: {finding['reason']}")
        request = finding["request"]
        if request is not None and "url" in request:
            headers = "".join(f" -H '{name}: {value}'" for name, value in request["headers"])
            lines.append(f"  for example {request['method']} {request['url']}{headers}")
        elif request is not None:
            lines.append(f"  for example {request['protocol']} from {request['source'][0]}")
    return "\n".join(lines)
