"""From an expression to closures over a request's facts, and to keys for the index. Hot path.

Where a field has several values, a predicate wants all of them to fit, or with C{any()} one. A
field without value fits nothing, not even C{!=}. Source: the interpreter of Kong's atc-router.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias, cast

import attrs

from kongtx.router.conditions import HostPattern, Keys, in_network
from kongtx.router.expressions.tree import (
    All,
    Node,
    Not,
    Operator,
    Predicate,
)
from kongtx.router.expressions.types import SEGMENTS
from kongtx.router.facts import Facts, lower_text
from kongtx.router.regexes import Found, Regex, literal_prefix

Test: TypeAlias = Callable[[Facts], bool]

_HEADERS, _QUERIES = "http.headers.", "http.queries."
_COMPARISONS: dict[Operator, Callable[[Any, Any], bool]] = {
    Operator.GREATER: operator.gt,
    Operator.GREATER_OR_EQUAL: operator.ge,
    Operator.LESS: operator.lt,
    Operator.LESS_OR_EQUAL: operator.le,
}


class Trace:
    """What the predicates of the winning expression found, for stripping and captures."""

    __slots__ = ("captures", "matched", "names")

    def __init__(self) -> None:
        self.matched = b""
        self.captures: dict[int, bytes] = {}
        self.names: dict[str, bytes] = {}

    def clear(self) -> None:
        """Forget everything."""
        self.matched = b""
        self.captures.clear()
        self.names.clear()

    def note(self, found: Found) -> None:
        """Add the groups of a regex; later ones replace earlier ones."""
        for number, group in enumerate(found.unnamed, 1):
            if group or number not in self.captures:
                self.captures[number] = group
        self.names.update(found.named)


def compile_test(node: Node, trace: Trace | None = None) -> Test:
    """Make the test of an expression.

    @param trace: where predicates note what they found; L{None} is faster.
    """
    if isinstance(node, Predicate):
        return _compile_predicate(node, trace)
    if isinstance(node, Not):
        negated = compile_test(node.term, trace)
        return lambda facts: not negated(facts)
    tests = tuple(compile_test(term, trace) for term in node.terms)
    if isinstance(node, All):
        return _all(tests)
    return _either(tests)


def _all(tests: tuple[Test, ...]) -> Test:
    def test(facts: Facts) -> bool:
        for each in tests:  # noqa: SIM110 - a generator costs more
            if not each(facts):
                return False
        return True

    return test


def _either(tests: tuple[Test, ...]) -> Test:
    def test(facts: Facts) -> bool:
        for each in tests:  # noqa: SIM110 - a generator costs more
            if each(facts):
                return True
        return False

    return test


def _compile_predicate(predicate: Predicate, trace: Trace | None) -> Test:
    fits = _compile_operator(predicate, trace)
    field = predicate.field
    several = _several_values(field.name)
    if several is not None:
        return _any_value(several, fits) if field.any else _every_value(several, fits)
    read = _single_value(field.name)

    def test(facts: Facts) -> bool:
        value = read(facts)
        return value is not None and fits(value)

    return test


def _any_value(several: Callable[[Facts], Sequence[bytes]], fits: Callable[[Any], bool]) -> Test:
    def test(facts: Facts) -> bool:
        for value in several(facts):  # noqa: SIM110 - a generator costs more
            if fits(value):
                return True
        return False

    return test


def _every_value(several: Callable[[Facts], Sequence[bytes]], fits: Callable[[Any], bool]) -> Test:
    def test(facts: Facts) -> bool:
        values = several(facts)
        for value in values:
            if not fits(value):
                return False
        return bool(values)

    return test


def _several_values(name: str) -> Callable[[Facts], Sequence[bytes]] | None:
    if name.startswith(_HEADERS):
        header = name.removeprefix(_HEADERS).encode().lower()
        dashed = header.replace(b"_", b"-")
        return lambda facts: facts.header(header, dashed)
    if name.startswith(_QUERIES):
        query = name.removeprefix(_QUERIES).encode()
        return lambda facts: facts.query(query)
    return None


_SINGLE: dict[str, Callable[[Facts], Any]] = {
    "http.method": lambda facts: facts.method,
    "http.host": lambda facts: facts.host or None,
    "http.path": lambda facts: facts.path,
    "http.path.segments.len": lambda facts: len(facts.segments),
    "tls.sni": lambda facts: facts.sni or None,
    "net.protocol": lambda facts: facts.scheme,
    "net.src.ip": lambda facts: facts.source_ip,
    "net.src.port": lambda facts: facts.source_port,
    "net.dst.ip": lambda facts: facts.destination_ip,
    "net.dst.port": lambda facts: facts.destination_port,
}


def _single_value(name: str) -> Callable[[Facts], Any]:
    known = _SINGLE.get(name)
    if known is not None:
        return known
    first, _, last = name.removeprefix(SEGMENTS).partition("_")
    start = int(first)
    end = int(last) + 1 if last else start + 1

    def segments(facts: Facts) -> bytes | None:
        pieces = facts.segments
        return b"/".join(pieces[start:end]) if end <= len(pieces) else None

    return segments


def _compile_operator(predicate: Predicate, trace: Trace | None) -> Callable[[Any], bool]:
    fits = compile_value_test(predicate)
    if trace is not None and predicate.operator is Operator.MATCHES:
        fits = _tracing_regex(predicate, trace)
    elif (
        trace is not None
        and predicate.field.name == "http.path"
        and predicate.operator in {Operator.EQUALS, Operator.STARTS}
    ):
        fits = _tracing(fits, cast(bytes, predicate.value.data), trace)
    if not predicate.field.lower:
        return fits
    return lambda value: fits(lower_text(value))


def _tracing(fits: Callable[[Any], bool], text: bytes, trace: Trace) -> Callable[[Any], bool]:
    def test(value: bytes) -> bool:
        if not fits(value):
            return False
        trace.matched = value[: len(text)]
        return True

    return test


def _tracing_regex(predicate: Predicate, trace: Trace) -> Callable[[Any], bool]:
    regex = Regex(cast(bytes, predicate.value.data).decode())
    is_path = predicate.field.name == "http.path"

    def test(value: bytes) -> bool:
        found = regex.find(value)
        if found is None:
            return False
        if is_path:
            # What was found further on cannot be stripped from the start.
            trace.matched = value[: found.end] if found.start == 0 else b""
        trace.note(found)
        return True

    return test


def compile_value_test(predicate: Predicate) -> Callable[[Any], bool]:
    """Make the test of a predicate's operator on one value of its field."""
    kind, data = predicate.operator, _literal(predicate)
    if kind is Operator.MATCHES:
        return Regex(cast(bytes, data).decode()).test
    if kind in _COMPARISONS:
        compare = _COMPARISONS[kind]
        return lambda value: compare(value, data)
    if kind is Operator.STARTS:
        return lambda value: cast(bytes, value).startswith(cast(bytes, data))
    if kind is Operator.ENDS:
        return lambda value: cast(bytes, value).endswith(cast(bytes, data))
    if kind is Operator.CONTAINS:
        return lambda value: data in value
    if kind is Operator.IN:
        return lambda value: in_network(value, cast(Any, data))
    if kind is Operator.NOT_IN:
        return lambda value: not in_network(value, cast(Any, data))
    expected: object = data[:2] if isinstance(data, tuple) else data
    if kind is Operator.EQUALS:
        return lambda value: bool(value == expected)
    return lambda value: bool(value != expected)


def _literal(predicate: Predicate) -> bytes | int | tuple[int, int, int]:
    # These come in lower case from the request, whatever the client wrote.
    data = predicate.value.data
    if isinstance(data, bytes) and predicate.field.name in {"http.host", "tls.sni"}:
        return data if predicate.operator is Operator.MATCHES else data.lower()
    return data


def fields_of(node: Node) -> frozenset[str]:
    """Name the fields that an expression depends on."""
    if isinstance(node, Predicate):
        return frozenset({node.field.name})
    if isinstance(node, Not):
        return fields_of(node.term)
    return frozenset().union(*(fields_of(term) for term in node.terms))


Known: TypeAlias = dict[str, frozenset[Any]]


def known_values(node: Node) -> Known:
    """Name, for some fields, values one of which every fitting request has.

    @return: hosts as L{HostPattern}, paths as prefixes, the rest as they are compared.
    """
    if isinstance(node, Predicate):
        return _known_by_predicate(node)
    if isinstance(node, Not):
        return {}
    found = [known_values(term) for term in node.terms]
    merged: Known = {}
    if isinstance(node, All):
        for each in found:
            for name, values in each.items():
                # Of two true statements the narrower serves better.
                if name not in merged or len(values) < len(merged[name]):
                    merged[name] = values
        return merged
    for name in found[0]:
        if all(name in each for each in found):
            merged[name] = frozenset().union(*(each[name] for each in found))
    return merged


def _known_by_predicate(predicate: Predicate) -> Known:
    name, kind, data = predicate.field.name, predicate.operator, _literal(predicate)
    if name == "http.path":
        return _known_path(predicate)
    if name == "http.host":
        return _known_host(kind, cast(bytes, data))
    if kind is not Operator.EQUALS:
        return {}
    if name.startswith(_HEADERS):
        dashed = name.replace("_", "-").lower()
        return {dashed: frozenset({lower_text(cast(bytes, data))})}
    if name in {"http.method", "tls.sni", "net.dst.port"} and not predicate.field.lower:
        return {name: frozenset({data})}
    if name == "net.src.ip":
        return {name: frozenset({cast(Any, data)[:2]})}
    return {}


def _known_path(predicate: Predicate) -> Known:
    data = cast(bytes, predicate.value.data)
    prefix = b""
    if predicate.operator in {Operator.EQUALS, Operator.STARTS}:
        prefix = data
    elif predicate.operator is Operator.MATCHES and data.startswith(b"^"):
        prefix = literal_prefix(data.decode())
    return {} if predicate.field.lower or not prefix else {"http.path": frozenset({prefix})}


def _finds_in_path(predicate: Predicate) -> bool:
    return (
        predicate.operator is Operator.MATCHES
        and predicate.field.name == "http.path"
        and not predicate.field.lower
    )


def _known_host(kind: Operator, data: bytes) -> Known:
    pattern = None
    if kind is Operator.EQUALS:
        pattern = HostPattern("exact", data, None)
    elif kind is Operator.ENDS and data.startswith(b"."):
        pattern = HostPattern("suffix", data, None)
    elif kind is Operator.STARTS and data.endswith(b"."):
        pattern = HostPattern("prefix", data, None)
    return {} if pattern is None else {"http.host": frozenset({pattern})}


@attrs.frozen
class ExpressionCondition:
    """One term of an expression, as a condition of a route.

    @ivar text: the term as written.
    @ivar node: the term.
    """

    text: str
    node: Node
    holds: Test
    fields: frozenset[str]

    @classmethod
    def of(cls, text: str, node: Node) -> ExpressionCondition:
        """Compile a term of an expression.

        @param text: the whole expression.
        """
        return cls(text[node.span.start : node.span.end], node, compile_test(node), fields_of(node))

    def file(self, keys: Keys) -> None:
        """See L{Condition}."""
        known = known_values(self.node)
        if "http.host" in known:
            keys.hosts = tuple(known["http.host"])
        if "http.path" in known:
            keys.paths = tuple(known["http.path"])
        if isinstance(self.node, Predicate) and _finds_in_path(self.node):
            keys.patterns = (Regex(cast(bytes, self.node.value.data).decode()),)
        keys.methods = known.get("http.method", keys.methods)
        keys.snis = known.get("tls.sni", keys.snis)
        keys.ports = known.get("net.dst.port", keys.ports)
        keys.sources = known.get("net.src.ip", keys.sources)
        for name, values in known.items():
            if name.startswith(_HEADERS):
                keys.header = (name.removeprefix(_HEADERS).encode(), values)

    def describe(self) -> str:
        """See L{Condition}."""
        return self.text
