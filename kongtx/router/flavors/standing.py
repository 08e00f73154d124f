"""A route's place in the order: named components, packed into one comparable number."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs


@attrs.frozen
class Component:
    """One thing that is compared, in its turn, to rank two routes.

    @ivar name: the rule, in words: the higher value goes first.
    @ivar bits: how many bits the value takes; it is cut to fit.
    @ivar base: what to take off a value to show it; L{None} for values that mean nothing alone.
    @ivar is_tie_break: whether the rule decides between routes that are equal otherwise.
    """

    name: str
    bits: int
    base: int | None = None
    is_tie_break: bool = False


@attrs.frozen
class Scale:
    """The components of an order, the first compared first."""

    components: Sequence[Component]

    def pack(self, values: Sequence[int]) -> int:
        """Make one number of the components' values, such that higher goes first."""
        rank = 0
        for component, value in zip(self.components, values, strict=True):
            limit = (1 << component.bits) - 1
            rank = rank << component.bits | min(max(value, 0), limit)
        return rank

    def unpack(self, rank: int) -> tuple[int, ...]:
        """Take a number apart again."""
        values = []
        for component in reversed(self.components):
            values.append(rank & ((1 << component.bits) - 1))
            rank >>= component.bits
        return tuple(reversed(values))

    def describe(self, winner: int, loser: int) -> str:
        """Say by which rule one rank goes before another."""
        for component, one, other in self._differences(winner, loser):
            if one != other:
                if component.base is None:
                    return component.name
                return f"{component.name} ({one - component.base} over {other - component.base})"
        return "nothing"

    def without_tie_breaks(self, rank: int) -> int:
        """Cut off a rank what only decides between equals."""
        return rank >> sum(each.bits for each in self.components if each.is_tie_break)

    def _differences(self, winner: int, loser: int) -> Iterator[tuple[Component, int, int]]:
        return zip(self.components, self.unpack(winner), self.unpack(loser), strict=True)


SIGNED_OFFSET = 1 << 62
"""Added to numbers that may be negative."""


def identity(text: str) -> int:
    """Make a number of 128 bits from a route's id, ordered as ids are ordered."""
    digits = text.replace("-", "")
    try:
        if len(digits) == 32:
            return int(digits, 16)
    except ValueError:
        pass
    return int.from_bytes(text.encode()[:16].ljust(16, b"\0"))


def age(route: Mapping[str, Any]) -> int:
    """Make a number of a route's creation time that is higher the earlier it was."""
    created = route.get("created_at") or 0
    return (1 << 63) - int(created * 1000)
