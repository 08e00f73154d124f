"""The parts of a parsed expression."""

from __future__ import annotations

import enum
from typing import TypeAlias

import attrs


class Type(enum.Enum):
    """The type of a field or of a value; the value is its name in messages."""

    STRING = "a string"
    INTEGER = "an integer"
    ADDRESS = "an IP address"
    RANGE = "an IP address range"


class Operator(enum.Enum):
    """An operator; the value is how it is written."""

    EQUALS = "=="
    DIFFERS = "!="
    MATCHES = "~"
    STARTS = "^="
    ENDS = "=^"
    GREATER = ">"
    GREATER_OR_EQUAL = ">="
    LESS = "<"
    LESS_OR_EQUAL = "<="
    IN = "in"
    NOT_IN = "not in"
    CONTAINS = "contains"


@attrs.frozen
class Span:
    """A part of the text, by the offsets of its start and of what follows it."""

    start: int
    end: int


@attrs.frozen
class Field:
    """The left side of a predicate.

    @ivar name: the field, as C{http.path}.
    @ivar lower: whether values are put in lower case first.
    @ivar any: whether one value is enough, where there are several.
    @ivar span: where the name stands.
    """

    name: str
    lower: bool
    any: bool
    span: Span


@attrs.frozen
class Value:
    """The right side of a predicate.

    @ivar data: bytes for a string, a number for an integer, (version, number, free bits) for an
        address or a range.
    """

    type: Type
    data: bytes | int | tuple[int, int, int]
    span: Span


@attrs.frozen
class Predicate:
    """A comparison of a field with a value."""

    field: Field
    operator: Operator
    value: Value
    span: Span
    operator_span: Span


@attrs.frozen
class All:
    """Holds when every term does."""

    terms: tuple[Node, ...]
    span: Span


@attrs.frozen
class Either:
    """Holds when some term does."""

    terms: tuple[Node, ...]
    span: Span


@attrs.frozen
class Not:
    """Holds when its term does not."""

    term: Node
    span: Span


Node: TypeAlias = Predicate | All | Either | Not
