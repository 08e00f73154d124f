"""The router expression language: parsing, checking, compiling."""

from __future__ import annotations

from collections.abc import Sequence

from kongtx.router.errors import ExpressionError
from kongtx.router.expressions.types import parse_checked

__all__ = ["validate_expression"]


def validate_expression(text: str, protocols: Sequence[str] = ("http",)) -> str | None:
    """Say what is wrong with an expression.

    @param text: the expression.
    @param protocols: the route's protocols; the first says which fields there are.
    @return: a message of several lines that points at the column, or L{None}.
    """
    try:
        parse_checked(text, protocols)
    except ExpressionError as error:
        return str(error)
    return None
