"""Whether meeting one condition means meeting another, where that can be proved."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import product
from typing import cast

from kongtx.http.paths import normalise_path
from kongtx.router.conditions import (
    Condition,
    HeaderCondition,
    HostCondition,
    HostPattern,
    Keys,
    MethodCondition,
    PathCondition,
    Peer,
    PeerCondition,
    SchemeCondition,
    SniCondition,
)
from kongtx.router.expressions.compiler import ExpressionCondition, compile_value_test
from kongtx.router.expressions.tree import All, Either, Node, Operator, Predicate
from kongtx.router.regexes import Regex, literal_prefix

# A condition's text is put in lower case for these.
_IN_LOWER_CASE = frozenset({"http.host", "tls.sni"})
_SEVERAL = ("http.headers.", "http.queries.")
_ABOVE = {Operator.GREATER: 1, Operator.GREATER_OR_EQUAL: 0}
_BELOW = {Operator.LESS: 1, Operator.LESS_OR_EQUAL: 0}
# What looks at text after the match: without it, a match stays one when text is added.
_LOOKS_ON = re.compile(r"\$|\\[zZbB]")


def all_implied(given: Iterable[Condition], wanted: Iterable[Condition]) -> bool:
    """Tell whether every request that meets all given conditions surely meets all wanted ones."""
    given = tuple(given)
    return all(any(implies(one, other) for one in given) for other in wanted)


def implies(one: Condition, other: Condition) -> bool:
    """Tell whether every request that meets one condition surely meets another."""
    if isinstance(one, HostCondition) and isinstance(other, HostCondition):
        return all(
            any(_host_within(mine, theirs) for theirs in other.patterns) for mine in one.patterns
        )
    if isinstance(one, PathCondition) and isinstance(other, PathCondition):
        return _path_implies(one, other)
    if isinstance(one, MethodCondition) and isinstance(other, MethodCondition):
        return one.methods <= other.methods
    if isinstance(one, HeaderCondition) and isinstance(other, HeaderCondition):
        return _header_implies(one, other)
    if isinstance(one, SniCondition) and isinstance(other, SniCondition):
        return _sni_implies(one, other)
    if isinstance(one, PeerCondition) and isinstance(other, PeerCondition):
        return one.side == other.side and all(
            any(_peer_within(mine, theirs) for theirs in other.peers) for mine in one.peers
        )
    if isinstance(one, SchemeCondition) and isinstance(other, SchemeCondition):
        return one.schemes <= other.schemes
    if isinstance(one, ExpressionCondition) and isinstance(other, ExpressionCondition):
        return node_implies(one.node, other.node)
    return False


def _host_within(mine: HostPattern, theirs: HostPattern) -> bool:
    if theirs.port is not None and theirs.port != mine.port:
        return False
    if theirs.kind == "exact":
        return mine.kind == "exact" and mine.text == theirs.text
    if theirs.kind == "suffix":
        longer = mine.kind == "suffix" or len(mine.text) > len(theirs.text)
        return mine.kind != "prefix" and longer and mine.text.endswith(theirs.text)
    longer = mine.kind == "prefix" or len(mine.text) > len(theirs.text)
    return mine.kind != "suffix" and longer and mine.text.startswith(theirs.text)


def _path_implies(one: PathCondition, other: PathCondition) -> bool:
    return all(_prefix_within(prefix, other) for prefix in one.prefixes) and all(
        pattern in other.patterns or literal_prefix(pattern).startswith(other.prefixes)
        for pattern in one.patterns
    )


def _prefix_within(prefix: bytes, other: PathCondition) -> bool:
    if prefix.startswith(other.prefixes):
        return True
    return any(
        _LOOKS_ON.search(pattern) is None and regex.test(prefix)
        for pattern, regex in zip(other.patterns, other.regexes, strict=True)
    )


def _header_implies(one: HeaderCondition, other: HeaderCondition) -> bool:
    if one.name != other.name:
        return False
    patterns = {regex.pattern for regex in other.regexes}
    return all(
        value in other.values or any(regex.test(value) for regex in other.regexes)
        for value in one.values
    ) and all(regex.pattern in patterns for regex in one.regexes)


def _sni_implies(one: SniCondition, other: SniCondition) -> bool:
    if one.only_for != other.only_for:
        return False
    return (
        all(
            sni in other.exact or sni.startswith(other.prefixes) or sni.endswith(other.suffixes)
            for sni in one.exact
        )
        and all(prefix.startswith(other.prefixes) for prefix in one.prefixes)
        and all(suffix.endswith(other.suffixes) for suffix in one.suffixes)
    )


def _peer_within(mine: Peer, theirs: Peer) -> bool:
    if theirs.port is not None and theirs.port != mine.port:
        return False
    if theirs.network is None:
        return True
    if mine.network is None or mine.network[0] != theirs.network[0]:
        return False
    wider = theirs.network[2] - mine.network[2]
    return wider >= 0 and mine.network[1] >> wider == theirs.network[1]


def node_implies(one: Node, other: Node) -> bool:
    """Tell the same of the parts of expressions."""
    if isinstance(one, Either):
        return all(node_implies(term, other) for term in one.terms)
    if isinstance(other, All):
        return all(node_implies(one, term) for term in other.terms)
    if isinstance(other, Either):
        return any(node_implies(one, term) for term in other.terms)
    if isinstance(one, All):
        return any(node_implies(term, other) for term in one.terms)
    if isinstance(one, Predicate) and isinstance(other, Predicate):
        return _predicate_implies(one, other)
    return False


def _predicate_implies(one: Predicate, other: Predicate) -> bool:
    mine, theirs = one.field, other.field
    if (mine.name, mine.lower, mine.any) != (theirs.name, theirs.lower, theirs.any):
        return False
    if (one.operator, one.value.data) == (other.operator, other.value.data):
        return True
    # With one value or with several, with any() or without: what fits the one fits the other.
    data = one.value.data
    if isinstance(data, bytes) and mine.name in _IN_LOWER_CASE:
        data = data.lower()
    if one.operator is Operator.EQUALS:
        value = data[:2] if isinstance(data, tuple) else data
        return compile_value_test(other)(value)
    if one.operator is Operator.STARTS:
        return _start_implies(cast(bytes, data), other)
    return False


def _start_implies(start: bytes, other: Predicate) -> bool:
    wanted = other.value.data
    if not isinstance(wanted, bytes):
        return False
    if other.operator is Operator.STARTS:
        return start.startswith(wanted)
    if other.operator is Operator.CONTAINS:
        return wanted in start
    if other.operator is Operator.MATCHES:
        pattern = wanted.decode()
        return _LOOKS_ON.search(pattern) is None and Regex(pattern).test(start)
    return False


def may_meet(one: Keys, other: Keys) -> bool:
    """Tell whether one request could have the keys of two entries; quick; may say yes wrongly."""
    if one.methods is not None and other.methods is not None and not one.methods & other.methods:
        return False
    if one.paths is not None and other.paths is not None:
        pairs = product(one.paths, other.paths)
        if not any(mine.startswith(theirs) or theirs.startswith(mine) for mine, theirs in pairs):
            return False
    if one.hosts is not None and other.hosts is not None:
        return any(_hosts_may_meet(*pair) for pair in product(one.hosts, other.hosts))
    return True


def _hosts_may_meet(one: HostPattern, other: HostPattern) -> bool:
    if None not in (one.port, other.port) and one.port != other.port:
        return False
    kinds = {one.kind, other.kind}
    if kinds == {"exact"}:
        return one.text == other.text
    if "prefix" not in kinds:
        return one.text.endswith(other.text) or other.text.endswith(one.text)
    if "suffix" not in kinds:
        return one.text.startswith(other.text) or other.text.startswith(one.text)
    return True


def excludes(one: Node, other: Node) -> bool:
    """Tell whether surely no request meets both."""
    if isinstance(one, Either):
        return all(excludes(term, other) for term in one.terms)
    if isinstance(other, Either):
        return all(excludes(one, term) for term in other.terms)
    if isinstance(one, All):
        return any(excludes(term, other) for term in one.terms)
    if isinstance(other, All):
        return any(excludes(one, term) for term in other.terms)
    if isinstance(one, Predicate) and isinstance(other, Predicate):
        return _predicates_exclude(one, other) or _predicates_exclude(other, one)
    return False


def _predicates_exclude(one: Predicate, other: Predicate) -> bool:
    mine, theirs = one.field, other.field
    if (mine.name, mine.lower) != (theirs.name, theirs.lower):
        return False
    # With any(), one value can meet the one and another value the other.
    if mine.name.startswith(_SEVERAL) and mine.any and theirs.any:
        return False
    data, wanted = one.value.data, other.value.data
    if isinstance(data, bytes) and mine.name in _IN_LOWER_CASE:
        data = data.lower()
    if one.operator is Operator.EQUALS:
        value = data[:2] if isinstance(data, tuple) else data
        return not compile_value_test(other)(value)
    if one.operator is Operator.STARTS is other.operator:
        first, second = cast(bytes, data), cast(bytes, wanted)
        return not (first.startswith(second) or second.startswith(first))
    if isinstance(data, int) and isinstance(wanted, int) and one.operator in _ABOVE:
        least = data + _ABOVE[one.operator]
        most = wanted - _BELOW[other.operator] if other.operator in _BELOW else least
        return least > most
    return False


def is_impossible(node: Node) -> bool:
    """Tell whether surely no request meets it."""
    if isinstance(node, Either):
        return all(is_impossible(term) for term in node.terms)
    if isinstance(node, All):
        return any(is_impossible(term) for term in node.terms)
    if not isinstance(node, Predicate) or not isinstance(node.value.data, bytes):
        return False
    text, operator = node.value.data, node.operator
    if operator in {Operator.MATCHES, Operator.DIFFERS}:
        return False
    if node.field.lower and text != text.lower() and node.field.name not in _IN_LOWER_CASE:
        return True
    starts = operator in {Operator.EQUALS, Operator.STARTS}
    if node.field.name != "http.path" or not starts or not text:
        return False
    return not text.startswith(b"/") or not can_begin_a_path(text)


def can_begin_a_path(prefix: bytes) -> bool:
    """Tell whether a normalised path can begin so."""
    return normalise_path(prefix + b"x").startswith(prefix)
