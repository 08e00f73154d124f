"""Why a request gets the route it gets, or none."""

from __future__ import annotations

from collections.abc import Iterable
from heapq import nsmallest
from typing import Any

import attrs

from kongtx.router.facts import HTTP_SCHEMES, Facts
from kongtx.router.flavors.traditional import is_stream
from kongtx.router.inspection.request import request_for
from kongtx.router.interfaces import IMatch, IRouteRequest
from kongtx.router.model import Entry, Route
from kongtx.router.router import Router

LIMIT = 10
"""How many other routes an explanation names at most, of each kind."""


@attrs.frozen
class Checked:
    """A condition of a route, and whether the request meets it."""

    condition: str
    holds: bool


@attrs.frozen
class Contender:
    """A route that did not get the request.

    @ivar conditions: all its conditions, as checked.
    @ivar reason: the rule that put it behind, or what it asked for in vain.
    """

    route: Route
    conditions: tuple[Checked, ...]
    reason: str


@attrs.frozen
class Explanation:
    """Why a request gets the route it gets.

    @ivar match: what the router answers; L{None} when no route matches.
    @ivar conditions: the conditions of the route that matched.
    @ivar outranked: routes that would take the request too, the next in order first.
    @ivar near_misses: routes that meet some but not all of their conditions, the nearest first.
    """

    match: IMatch | None
    conditions: tuple[Checked, ...]
    outranked: tuple[Contender, ...]
    near_misses: tuple[Contender, ...]

    def as_json(self) -> dict[str, Any]:
        """Give the explanation as what JSON can hold."""
        return {
            "route": None if self.match is None else _name(self.match.route),
            "service": None
            if self.match is None or self.match.service is None
            else _name(self.match.service),
            "upstream_path": None
            if self.match is None
            else self.match.upstream_path.decode("utf-8", "replace"),
            "stripped": None
            if self.match is None
            else self.match.prefix.decode("utf-8", "replace"),
            "conditions": [attrs.asdict(checked) for checked in self.conditions],
            "outranked": [_contender(contender) for contender in self.outranked],
            "near_misses": [_contender(contender) for contender in self.near_misses],
        }


def explain(router: Router, request: IRouteRequest) -> Explanation:
    """Find out why a request gets the route it gets.

    Tries all routes: as slow as there are many.
    """
    facts = Facts(request)
    fitting = router.fitting(request)
    # Not the router's own match, which remembers: this may run in another thread than that.
    match = fitting[0].match(facts) if fitting else None
    taken = {id(entry.route) for entry in fitting}
    outranked = []
    if fitting:
        winner, scale = fitting[0], router.scale(request)
        seen = {id(winner.route)}
        for entry in fitting[1:]:
            # A route with several places in the order counts by its first.
            if id(entry.route) not in seen:
                seen.add(id(entry.route))
                reason = f"the other goes first: {scale.describe(winner.rank, entry.rank)}"
                outranked.append(Contender(entry.route, _check(entry, facts), reason))
    return Explanation(
        match,
        _check(fitting[0], facts) if fitting else (),
        tuple(outranked[:LIMIT]),
        tuple(_near_misses(router.entries(), facts, taken)),
    )


def _near_misses(entries: Iterable[Entry], facts: Facts, taken: set[int]) -> list[Contender]:
    http = facts.scheme in HTTP_SCHEMES
    nearest: dict[int, tuple[int, int, Entry]] = {}
    for entry in entries:
        key = id(entry.route)
        if key in taken or is_stream(entry.route) == http:
            continue
        missing = sum(not condition.holds(facts) for condition in entry.conditions)
        # One that asks for a single thing in vain was not near.
        if missing and missing < len(entry.conditions):
            found = (missing, -entry.rank, entry)
            if key not in nearest or found[:2] < nearest[key][:2]:
                nearest[key] = found
    near = nsmallest(LIMIT, nearest.values(), key=lambda found: found[:2])
    checked = [(entry.route, _check(entry, facts)) for _, _, entry in near]
    return [
        Contender(route, conditions, f"not met: {_unmet(conditions)}")
        for route, conditions in checked
    ]


def _unmet(conditions: Iterable[Checked]) -> str:
    return "; ".join(checked.condition for checked in conditions if not checked.holds)


def _check(entry: Entry, facts: Facts) -> tuple[Checked, ...]:
    return tuple(
        Checked(condition.describe(), condition.holds(facts)) for condition in entry.conditions
    )


def _name(entity: Route) -> dict[str, Any]:
    return {"id": entity.get("id"), "name": entity.get("name")}


def _contender(contender: Contender) -> dict[str, Any]:
    return {
        "route": _name(contender.route),
        "reason": contender.reason,
        "conditions": [attrs.asdict(checked) for checked in contender.conditions],
    }


def as_text(explanation: dict[str, Any]) -> str:
    """Write what L{explain_url} gives as lines for people."""
    route = explanation["route"]
    lines = [f"{explanation['method']} {explanation['url']}"]
    if route is None:
        lines.append("gets no route")
    else:
        lines.append(f"gets the route {_called(route)}")
        service = explanation["service"]
        if service is not None:
            lines.append(f"  of the service {_called(service)}")
        lines += [f"  since it has {each['condition']}" for each in explanation["conditions"]]
        lines.append(f"  and asks the upstream for {explanation['upstream_path']}")
    for title, name in (("would take it too", "outranked"), ("come near", "near_misses")):
        if explanation[name]:
            lines.append(f"{title}:")
            lines += [f"  {_called(each['route'])}: {each['reason']}" for each in explanation[name]]
    return "\n".join(lines)


def _called(entity: dict[str, Any]) -> str:
    return f"{entity['name']} ({entity['id']})" if entity["name"] else str(entity["id"])


def explain_url(
    router: Router,
    method: str,
    url: str,
    headers: Iterable[tuple[str, str]] = (),
    source: str = "127.0.0.1",
) -> dict[str, Any]:
    """Explain, for a method and URL, as what JSON can hold; see L{request_for}.

    @raise RouterError: when the URL cannot be one.
    """
    return {
        "method": method,
        "url": url,
        **explain(router, request_for(method, url, headers, source)).as_json(),
    }
