"""What the core entities depend on beyond themselves."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import attrs

from kongtx.schema import formats


def accept_expression(route: Mapping[str, Any]) -> str | None:
    """Stands for the router's check where no router is at hand: accepts every route."""
    return None


@attrs.frozen
class EntityOptions:
    """Settings that change the core schemas.

    @ivar router_flavor: C{traditional_compatible}, C{traditional} or C{expressions}; the last
        adds C{expression} and C{priority} to routes.
    @ivar vaults: names of the installed vaults, which prefixes may not be.
    @ivar check_regex: says what is wrong with a route's regular expression.
    @ivar check_expression: says why the router could not build a route (given as an entity).
    @ivar clock: seconds since 1970, to know expired certificates.
    """

    router_flavor: str = "traditional_compatible"
    vaults: tuple[str, ...] = ("env",)
    check_regex: Callable[[str], str | None] = formats.check_regex
    check_expression: Callable[[Mapping[str, Any]], str | None] = accept_expression
    clock: Callable[[], float] = time.time
