"""The expressions flavor: a route becomes one entry with its expression's terms as conditions.

Routes without an expression are taken as in L{kongtx.router.flavors.compatible}, below all
routes with one. Unlike there, a route wants one of its own protocols, unless the only one is
C{https}, C{tls} or C{tls_passthrough}. Source: Kong C{router_flavor = expressions}.
"""

from __future__ import annotations

from collections.abc import Sequence

from kongtx.router.conditions import Condition, SchemeCondition
from kongtx.router.errors import ExpressionError, RouterError
from kongtx.router.expressions.compiler import ExpressionCondition, Test, Trace, compile_test
from kongtx.router.expressions.tree import All, Node
from kongtx.router.expressions.types import parse_checked
from kongtx.router.facts import Facts
from kongtx.router.flavors import compatible
from kongtx.router.flavors.standing import identity
from kongtx.router.flavors.traditional import is_stream
from kongtx.router.model import Entry, Route, Service
from kongtx.router.regexes import Found

_SCHEMES = {"tls_passthrough": "tcp", "grpc": "http", "grpcs": "https"}
_PLAIN_AS_WELL = (["https"], ["tls"], ["tls_passthrough"])


class ExpressionLocator:
    """Runs an expression again, to see what of the path it matched."""

    __slots__ = ("_node", "_test", "_trace")

    def __init__(self, node: Node) -> None:
        self._node = node
        self._trace = Trace()
        self._test: Test | None = None

    def locate(self, facts: Facts) -> Found | None:
        """Find what of the path is matched, and the groups."""
        trace = self._trace
        if self._test is None:
            # Most routes of a large set never win.
            self._test = compile_test(self._node, trace)
        trace.clear()
        self._test(facts)
        if not trace.matched and not trace.captures:
            return None
        last = max(trace.captures, default=0)
        unnamed = tuple(trace.captures.get(number, b"") for number in range(1, last + 1))
        return Found(0, len(trace.matched), unnamed, dict(trace.names))


def compile_route(route: Route, service: Service | None) -> list[Entry]:
    """Make the entries of a route.

    @raise RouterError: when the route has neither expression nor other conditions, or bad ones.
    """
    protocols: Sequence[str] = route.get("protocols") or ()
    extra = _protocol_conditions(protocols)
    text = route.get("expression")
    if text is None:
        return compatible.compile_route(route, service, extra)
    try:
        node = parse_checked(text, protocols)
    except ExpressionError as error:
        raise RouterError(f"route {route.get('id')} has a wrong expression: {error}") from error
    conditions = tuple(ExpressionCondition.of(text, term) for term in terms_of(node))
    locator = ExpressionLocator(node) if "http.path" in text or "~" in text else None
    return [Entry(_rank(route), route, service, (*conditions, *extra), locator=locator)]


def terms_of(node: Node) -> list[Node]:
    """Take an expression apart into terms that must all hold."""
    if not isinstance(node, All):
        return [node]
    return [inner for term in node.terms for inner in terms_of(term)]


def _protocol_conditions(protocols: Sequence[str]) -> tuple[Condition, ...]:
    if not protocols or list(protocols) in _PLAIN_AS_WELL:
        return ()
    schemes = {_SCHEMES.get(protocol, protocol) for protocol in protocols}
    if schemes == {"http", "https"}:
        return ()
    return (SchemeCondition(frozenset(scheme.encode() for scheme in schemes)),)


def _rank(route: Route) -> int:
    scale = compatible.STREAM_SCALE if is_stream(route) else compatible.HTTP_SCALE
    others = len(scale.components) - 3
    priority = int(route.get("priority") or 0)
    return scale.pack((1, priority, *[0] * others, identity(str(route.get("id")))))
