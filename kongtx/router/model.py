"""The values that routing is made of: an entry to try, and the match that comes of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeAlias

import attrs
from zope.interface import implementer

from kongtx.router.conditions import Condition, Keys
from kongtx.router.facts import Facts
from kongtx.router.interfaces import IMatch
from kongtx.router.regexes import Found
from kongtx.router.upstream import upstream_path

Route: TypeAlias = Mapping[str, Any]
Service: TypeAlias = Mapping[str, Any]

NO_CAPTURES: tuple[Sequence[bytes], Mapping[str, bytes]] = ((), {})


@implementer(IMatch)
@attrs.frozen(eq=False)
class Match:
    """A route that matched, with what follows from how it matched."""

    route: Route
    service: Service | None
    upstream_path: bytes
    prefix: bytes
    captures: tuple[Sequence[bytes], Mapping[str, bytes]]


class Locator(Protocol):
    """Knows what of a path a route matched."""

    def locate(self, facts: Facts) -> Found | None:
        """Find what of the path is matched, and the groups."""


class Entry:
    """A route, or the part of it that has one place in the order. Immutable by convention.

    @ivar rank: the place in the order; the highest that holds wins.
    @ivar conditions: what all must hold, cheapest first.
    @ivar locator: finds what of the path was matched, for stripping and captures; L{None} when
        the route says nothing about paths.
    @ivar version_one: whether C{path_handling} v1 is honoured.
    """

    __slots__ = (
        "conditions",
        "locator",
        "rank",
        "route",
        "service",
        "service_path",
        "strip",
        "version_one",
    )

    def __init__(
        self,
        rank: int,
        route: Route,
        service: Service | None,
        conditions: tuple[Condition, ...],
        *,
        locator: Locator | None = None,
        version_one: bool = False,
    ) -> None:
        self.rank = rank
        self.route = route
        self.service = service
        self.conditions = conditions
        self.locator = locator
        self.strip = bool(route.get("strip_path"))
        self.version_one = version_one
        path = service.get("path") if service is not None else None
        self.service_path: bytes = path.encode() if path else b"/"

    def keys(self) -> Keys:
        """Gather what an index may file the entry under."""
        keys = Keys()
        for condition in self.conditions:
            condition.file(keys)
        return keys

    def holds(self, facts: Facts) -> bool:
        """Tell whether the request meets all conditions."""
        for condition in self.conditions:  # noqa: SIM110 - a generator costs more
            if not condition.holds(facts):
                return False
        return True

    def match(self, facts: Facts) -> Match:
        """Make the match of a request that meets the conditions."""
        path = facts.path
        found = self.locator.locate(facts) if self.locator is not None else None
        if found is None:
            matched, captures = b"", NO_CAPTURES
        else:
            # Only what was found at the start of the path can be stripped.
            matched = path[: found.end] if found.start == 0 else b""
            captures = (found.unnamed, found.named) if found.unnamed else NO_CAPTURES
        return Match(
            self.route,
            self.service,
            upstream_path(self.service_path, path, matched, self.strip, self.version_one),
            matched if self.strip and matched != b"/" else b"",
            captures,
        )
