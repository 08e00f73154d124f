"""From the text of an expression to its parts, or to an error that knows its place."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Any

from lark import Lark, Token, Transformer
from lark.exceptions import UnexpectedInput, UnexpectedToken, VisitError

from kongtx.router.errors import ExpressionError
from kongtx.router.expressions.tree import (
    All,
    Either,
    Field,
    Node,
    Not,
    Operator,
    Predicate,
    Span,
    Type,
    Value,
)

_ESCAPES = {'"': '"', "\\": "\\", "n": "\n", "r": "\r", "t": "\t"}
_FUNCTIONS = ("lower", "any")
_INTEGERS = range(-(1 << 63), 1 << 63)

_ADDRESSES: dict[str, type[IPv4Address | IPv6Address]] = {"IPV4": IPv4Address, "IPV6": IPv6Address}
_NETWORKS: dict[str, type[IPv4Network | IPv6Network]] = {
    "IPV4_RANGE": IPv4Network,
    "IPV6_RANGE": IPv6Network,
}

# Kong still takes the old name of this field.
_RENAMED = {"net.port": "net.dst.port"}

_OPERATORS = frozenset(
    "EQ NE MATCHES PREFIX POSTFIX GE GT LE LT IN NEGATED CONTAINS".split()  # noqa: SIM905
)
_VALUES = frozenset(
    "STRING RAW_STRING IPV4_RANGE IPV6_RANGE IPV4 IPV6 INTEGER".split()  # noqa: SIM905
)
_WORDS = {
    "NAME": "a field",
    "AND": "'&&'",
    "OR": "'||'",
    "NOT": "'!('",
    "OPEN": "'('",
    "CLOSE": "')'",
    "$END": "the end",
}


def parse(text: str) -> Node:
    """Parse an expression.

    @raise ExpressionError: when the text is not in the language.
    """
    try:
        text.encode()
        result: Node = _parser().parse(text)  # type: ignore[assignment]
    except UnicodeEncodeError as error:
        raise error_at(text, f"not Unicode: {error.reason}", error.start) from None
    except UnexpectedInput as error:
        raise _syntax_error(text, error) from None
    except _Misplaced as error:
        raise error_at(text, error.reason, error.start) from None
    except VisitError as error:
        if isinstance(error.orig_exc, _Misplaced):
            raise error_at(text, error.orig_exc.reason, error.orig_exc.start) from None
        raise
    return result


def error_at(text: str, reason: str, start: int) -> ExpressionError:
    """Make an error that points at an offset of the text."""
    line = text.count("\n", 0, start) + 1
    return ExpressionError(text, reason, line, start - (text.rfind("\n", 0, start) + 1) + 1)


class _Misplaced(Exception):
    def __init__(self, reason: str, start: int) -> None:
        super().__init__(reason)
        self.reason = reason
        self.start = start


@cache
def _parser() -> Lark:
    grammar = files("kongtx.router.expressions").joinpath("grammar.lark").read_text("utf-8")
    return Lark(grammar, parser="lalr", transformer=_Builder())


def _span(token: Token) -> Span:
    start = token.start_pos or 0
    return Span(start, start + len(token))


def _cover(first: Span, last: Span) -> Span:
    return Span(first.start, last.end)


class _Builder(Transformer[Token, Any]):
    """Builds the parts while the parser reduces."""

    def start(self, children: list[Any]) -> Node:
        node: Node = children[0]
        return node

    def conjunction(self, children: list[Any]) -> Node:
        terms = tuple(children[::2])
        return All(terms, _cover(terms[0].span, terms[-1].span))

    def disjunction(self, children: list[Any]) -> Node:
        terms = tuple(children[::2])
        return Either(terms, _cover(terms[0].span, terms[-1].span))

    def group(self, children: list[Any]) -> Node:
        node: Node = children[1]
        return node

    def negation(self, children: list[Any]) -> Node:
        return Not(children[2], _cover(_span(children[0]), _span(children[3])))

    def predicate(self, children: list[Any]) -> Node:
        (field, whole), (operator, place), value = children
        return Predicate(field, operator, value, _cover(whole, value.span), place)

    def field(self, children: list[Any]) -> tuple[Field, Span]:
        (token,) = children
        span = _span(token)
        return Field(_RENAMED.get(token, str(token)), False, False, span), span

    def call(self, children: list[Any]) -> tuple[Field, Span]:
        function, _, (field, _inner), closing = children
        if function not in _FUNCTIONS:
            known = " and ".join(f"'{name}'" for name in _FUNCTIONS)
            raise _Misplaced(
                f"unknown function '{function}': the functions are {known}", _span(function).start
            )
        return (
            Field(
                field.name,
                field.lower or function == "lower",
                field.any or function == "any",
                field.span,
            ),
            _cover(_span(function), _span(closing)),
        )

    def operator(self, children: list[Any]) -> tuple[Operator, Span]:
        return Operator(str(children[0])), _span(children[0])

    def not_in(self, children: list[Any]) -> tuple[Operator, Span]:
        return Operator.NOT_IN, _cover(_span(children[0]), _span(children[1]))

    def value(self, children: list[Any]) -> Value:
        (token,) = children
        span = _span(token)
        if token.type == "STRING":
            return Value(Type.STRING, _unescape(token), span)
        if token.type == "RAW_STRING":
            return Value(Type.STRING, token[3:-2].encode(), span)
        if token.type == "INTEGER":
            return Value(Type.INTEGER, _integer(token), span)
        return _address(token, span)


def _unescape(token: Token) -> bytes:
    characters: list[str] = []
    pending = iter(enumerate(token[1:-1], 1))
    for offset, character in pending:
        if character != "\\":
            characters.append(character)
            continue
        _, escaped = next(pending)
        if escaped not in _ESCAPES:
            raise _Misplaced(
                f"unknown escape '\\{escaped}': write '\\\\{escaped}' or a raw string r#\"...\"#",
                (token.start_pos or 0) + offset,
            )
        characters.append(_ESCAPES[escaped])
    return "".join(characters).encode()


def _integer(token: Token) -> int:
    digits = token.lstrip("-")
    base = 16 if digits.startswith("0x") else 10
    if base == 10 and len(digits) > 1 and digits[0] == "0" and set(digits) <= set("01234567"):
        base = 8
    number = int(digits, base)
    number = -number if token.startswith("-") else number
    if number not in _INTEGERS:
        raise _Misplaced("this integer does not fit in 64 bits", token.start_pos or 0)
    return number


def _address(token: Token, span: Span) -> Value:
    try:
        if token.type.endswith("RANGE"):
            network = _NETWORKS[token.type](str(token))
            free = network.max_prefixlen - network.prefixlen
            data = (network.version, int(network.network_address) >> free, free)
            return Value(Type.RANGE, data, span)
        address = _ADDRESSES[token.type](str(token))
    except ValueError as error:
        raise _Misplaced(str(error), span.start) from None
    return Value(Type.ADDRESS, (address.version, int(address), 0), span)


def _syntax_error(text: str, error: UnexpectedInput) -> ExpressionError:
    ended = isinstance(error, UnexpectedToken) and error.token.type == "$END"
    start = len(text) if ended else error.pos_in_stream or 0
    if text.startswith(('"', 'r#"'), start):
        return error_at(text, "this string is not closed", start)
    # Asked anew: what the parser says it expected ignores what is open around it.
    state = _parser().parse_interactive(text[:start])
    state.exhaust_lexer()
    expected = _expected(state.accepts())  # type: ignore[no-untyped-call]
    if ended:
        return error_at(text, f"the expression ends here, expected {expected}", start)
    found = error.token if isinstance(error, UnexpectedToken) else text[start]
    return error_at(text, f"unexpected '{found}', expected {expected}", start)


def _expected(names: Iterable[str]) -> str:
    words = []
    wanted = set(names)
    if wanted & _OPERATORS:
        words.append("an operator" if "EQ" in wanted else "'in'")
    if wanted & _VALUES:
        words.append("a string, an integer, an IP address or a range")
    words += [word for name, word in _WORDS.items() if name in wanted]
    return " or ".join(words)
