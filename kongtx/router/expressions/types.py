"""Which fields there are, of which types, and which operators go with them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from kongtx.router.errors import RegexError
from kongtx.router.expressions.parser import error_at, parse
from kongtx.router.expressions.tree import All, Either, Node, Not, Operator, Predicate, Type
from kongtx.router.regexes import Regex

_STREAM_FIELDS: Mapping[str, Type] = {
    "net.protocol": Type.STRING,
    "tls.sni": Type.STRING,
    "net.src.port": Type.INTEGER,
    "net.dst.port": Type.INTEGER,
    "net.src.ip": Type.ADDRESS,
    "net.dst.ip": Type.ADDRESS,
}
_HTTP_FIELDS: Mapping[str, Type] = {
    **_STREAM_FIELDS,
    "http.method": Type.STRING,
    "http.host": Type.STRING,
    "http.path": Type.STRING,
    "http.path.segments.*": Type.STRING,
    "http.path.segments.len": Type.INTEGER,
    "http.headers.*": Type.STRING,
    "http.queries.*": Type.STRING,
}
FIELDS: Mapping[str, Mapping[str, Type]] = {
    **dict.fromkeys(("http", "https", "grpc", "grpcs"), _HTTP_FIELDS),
    **dict.fromkeys(("tcp", "udp", "tls", "tls_passthrough"), _STREAM_FIELDS),
}
"""The fields that routes of a protocol can use."""

SEGMENTS = "http.path.segments."
_SEGMENT = re.compile(r"len|(0|[1-9][0-9]*)(?:_([1-9][0-9]*))?")

# Each level is a call within a call, on every request.
_DEEPEST = 100

_BY_OPERATOR: Mapping[Operator, tuple[Type, Type]] = {
    Operator.MATCHES: (Type.STRING, Type.STRING),
    Operator.STARTS: (Type.STRING, Type.STRING),
    Operator.ENDS: (Type.STRING, Type.STRING),
    Operator.CONTAINS: (Type.STRING, Type.STRING),
    Operator.GREATER: (Type.INTEGER, Type.INTEGER),
    Operator.GREATER_OR_EQUAL: (Type.INTEGER, Type.INTEGER),
    Operator.LESS: (Type.INTEGER, Type.INTEGER),
    Operator.LESS_OR_EQUAL: (Type.INTEGER, Type.INTEGER),
    Operator.IN: (Type.ADDRESS, Type.RANGE),
    Operator.NOT_IN: (Type.ADDRESS, Type.RANGE),
}


def parse_checked(text: str, protocols: Sequence[str] = ("http",)) -> Node:
    """Parse an expression and check the types in it.

    @param protocols: the route's protocols; they say which fields there are.
    @raise ExpressionError: with the place of what is wrong.
    """
    node = parse(text)
    _check(text, node, FIELDS.get(protocols[0] if protocols else "http", _HTTP_FIELDS))
    return node


def type_of(name: str, fields: Mapping[str, Type]) -> Type | None:
    """Find a field's type; C{a.*} stands for one more name after C{a}."""
    known = fields.get(name)
    if known is None:
        family, dot, last = name.rpartition(".")
        known = fields.get(f"{family}.*") if dot and last else None
    return known


def _check(text: str, node: Node, fields: Mapping[str, Type], depth: int = 0) -> None:
    if depth > _DEEPEST:
        raise error_at(text, f"nested more than {_DEEPEST} deep", node.span.start)
    if isinstance(node, Predicate):
        _check_predicate(text, node, fields)
    elif isinstance(node, Not):
        _check(text, node.term, fields, depth + 1)
    elif isinstance(node, All | Either):
        for term in node.terms:
            _check(text, term, fields, depth + 1)


def _check_predicate(text: str, predicate: Predicate, fields: Mapping[str, Type]) -> None:
    field, operator, value = predicate.field, predicate.operator, predicate.value
    type_ = type_of(field.name, fields)
    if type_ is None:
        known = ", ".join(sorted(fields))
        raise error_at(
            text, f"unknown field '{field.name}': the fields are {known}", field.span.start
        )
    if field.name.startswith(SEGMENTS):
        _check_segment(text, predicate)
    if field.lower and type_ is not Type.STRING:
        raise error_at(
            text,
            f"lower() takes a string, but {field.name} is {type_.value}",
            predicate.span.start,
        )
    wanted = _BY_OPERATOR.get(operator, (type_, type_))
    if type_ is not wanted[0]:
        raise error_at(
            text,
            f"'{operator.value}' compares {wanted[0].value}, but {field.name} is {type_.value}",
            predicate.operator_span.start,
        )
    if value.type is not wanted[1]:
        raise error_at(
            text,
            f"expected {wanted[1].value} after '{field.name} {operator.value}', "
            f"but this is {value.type.value}",
            value.span.start,
        )
    if operator is Operator.MATCHES and isinstance(value.data, bytes):
        try:
            Regex(value.data.decode())
        except RegexError as error:
            raise error_at(text, f"invalid regex: {error.reason}", value.span.start) from None


def _check_segment(text: str, predicate: Predicate) -> None:
    suffix = predicate.field.name.removeprefix(SEGMENTS)
    found = _SEGMENT.fullmatch(suffix)
    if found is None or (found[2] is not None and int(found[1]) >= int(found[2])):
        raise error_at(
            text,
            f"'{suffix}' is no path segment: expected 'len', a number, or 'N_M' with N below M",
            predicate.field.span.start + len(SEGMENTS),
        )
