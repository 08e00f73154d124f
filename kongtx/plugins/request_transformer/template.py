"""Templates: text with C{$(...)}, in which parts of a request are looked up. Pure.

In Kong the parentheses hold any Lua expression. Here they hold what such expressions are mostly
made of: names, fields and indexes, literals, C{or}, C{and}, C{not}, C{..}, comparisons, C{type} and
C{tostring}. Nothing can be called or changed, so a template cannot harm the gateway.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import attrs
import lark

from kongtx.plugins.errors import PluginError

#: Gives the value of a name, L{None} for one that means nothing.
Lookup = Callable[[str], Any]
Expression = Callable[[Lookup], Any]

_STEP = re.compile(r"""[()]|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|.""", re.DOTALL)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}
_ORDER = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


class TemplateError(PluginError):
    """A template that cannot be understood, or not be rendered for a request."""


@attrs.frozen
class Template:
    """A compiled template.

    @ivar dynamic: whether there is anything to look up.
    """

    source: str
    _parts: Sequence[str | Expression] = attrs.field(repr=False)

    @property
    def dynamic(self) -> bool:
        return any(not isinstance(part, str) for part in self._parts)

    def render(self, lookup: Lookup) -> str:
        """The text for one request; what is not there is empty.

        @raise TemplateError: if something is asked of a value that it does not have.
        """
        return "".join(
            part if isinstance(part, str) else _shown(part(lookup)) for part in self._parts
        )


def compile_template(source: str) -> Template:
    """Compile a template.

    @raise TemplateError: if an expression is not of the kind that is supported.
    """
    parts: list[str | Expression] = []
    for literal, expression in _split(source):
        if literal:
            parts.append(literal)
        if expression is not None:
            parts.append(_compile(expression))
    return Template(source, parts)


def _split(source: str) -> Iterator[tuple[str, str | None]]:
    """Text and the expression that follows it; without its closing parenthesis it is text too."""
    literal, at = "", 0
    while (start := source.find("$(", at)) >= 0:
        literal += source[at:start]
        end = _closing(source, start + 1)
        if end is None:
            literal, at = literal + "$(", start + 2
        else:
            yield literal, source[start + 2 : end]
            literal, at = "", end + 1
    yield literal + source[at:], None


def _closing(source: str, opening: int) -> int | None:
    depth = 0
    for step in _STEP.finditer(source, opening):
        depth += {"(": 1, ")": -1}.get(step[0], 0)
        if not depth:
            return step.start()
    return None


@cache
def _parser() -> lark.Lark:
    grammar = Path(__file__).with_name("template.lark").read_text()
    return lark.Lark(grammar, parser="lalr")


def _compile(expression: str) -> Expression:
    try:
        compiled: Expression = _Compiler().transform(_parser().parse(expression))
    except lark.UnexpectedInput as error:
        raise TemplateError(
            f"unexpected {expression[error.pos_in_stream or 0 :][:20]!r} in {expression!r}"
            if expression.strip()
            else "an expression is missing in $()"
        ) from None
    except RecursionError:
        raise TemplateError("an expression is nested too deeply") from None
    return compiled


def truthy(value: Any) -> bool:
    """Lua's idea of truth: all but nil and false."""
    return value is not None and value is not False


class _Compiler(lark.Transformer[lark.Token, Expression]):
    """Functions of L{Lookup} for the parts of an expression."""

    def either(self, sides: list[Expression]) -> Expression:
        left, right = sides

        def evaluate(lookup: Lookup) -> Any:
            value = left(lookup)
            return value if truthy(value) else right(lookup)

        return evaluate

    def both(self, sides: list[Expression]) -> Expression:
        left, right = sides

        def evaluate(lookup: Lookup) -> Any:
            value = left(lookup)
            return right(lookup) if truthy(value) else value

        return evaluate

    def relation(self, sides: list[Any]) -> Expression:
        left, sign, right = sides
        return lambda lookup: _compare(left(lookup), str(sign), right(lookup))

    def joined(self, sides: list[Expression]) -> Expression:
        left, right = sides
        return lambda lookup: _joinable(left(lookup)) + _joinable(right(lookup))

    def negation(self, sides: list[Expression]) -> Expression:
        (operand,) = sides
        return lambda lookup: not truthy(operand(lookup))

    def type_of(self, sides: list[Expression]) -> Expression:
        (operand,) = sides
        return lambda lookup: _type(operand(lookup))

    def as_text(self, sides: list[Expression]) -> Expression:
        (operand,) = sides
        return lambda lookup: _text(operand(lookup))

    def text(self, tokens: list[lark.Token]) -> Expression:
        return _constant(_unquoted(tokens[0]))

    def number(self, tokens: list[lark.Token]) -> Expression:
        return _constant(_number(tokens[0]))

    def nil(self, _: list[lark.Token]) -> Expression:
        return _constant(None)

    def true(self, _: list[lark.Token]) -> Expression:
        return _constant(True)

    def false(self, _: list[lark.Token]) -> Expression:
        return _constant(False)

    def attribute(self, tokens: list[lark.Token]) -> Any:
        return str(tokens[0])

    def text_index(self, tokens: list[lark.Token]) -> Any:
        return _unquoted(tokens[0])

    def number_index(self, tokens: list[lark.Token]) -> Any:
        return _number(tokens[0])

    def place(self, steps: list[Any]) -> Expression:
        name, *keys = steps
        name = str(name)

        def evaluate(lookup: Lookup) -> Any:
            value = lookup(name)
            for key in keys:
                value = _inside(value, key)
            return value

        return evaluate


def _constant(value: Any) -> Expression:
    return lambda _: value


def _unquoted(token: str) -> str:
    return re.sub(r"\\(.)", lambda found: _ESCAPES.get(found[1], found[1]), token[1:-1])


def _number(token: str) -> int | float:
    return float(token) if "." in token else int(token)


def _inside(value: Any, key: str | float) -> Any:
    if isinstance(value, Mapping):
        return value.get(key)
    if isinstance(value, (list, tuple)):
        there = isinstance(key, int) and 1 <= key <= len(value)
        return value[int(key) - 1] if there else None
    if isinstance(value, str):
        return None
    raise TemplateError(f"cannot look for {key!r} in {_type(value)}")


def _compare(left: Any, sign: str, right: Any) -> bool:
    same = type(left) is type(right) or (_type(left) == _type(right) == "number")
    if sign in ("==", "~="):
        return (same and left == right) == (sign == "==")
    if not same or _type(left) not in ("number", "string"):
        raise TemplateError(f"cannot compare {_type(left)} with {_type(right)}")
    return bool(_ORDER[sign](left, right))


def _joinable(value: Any) -> str:
    if _type(value) not in ("string", "number"):
        raise TemplateError(f"cannot join {_type(value)} to a text")
    return _text(value)


def _type(value: Any) -> str:
    if value is None:
        return "nil"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, (int, float)):
        return "number"
    return "string" if isinstance(value, str) else "table"


def _shown(value: Any) -> str:
    return _text(value) if truthy(value) else ""


def _text(value: Any) -> str:
    if value is None:
        return "nil"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.14g}"
    if isinstance(value, (list, tuple)):
        return ", ".join(_text(each) for each in value)
    return str(value)
