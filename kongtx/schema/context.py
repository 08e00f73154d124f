"""What processing an entity needs of the outside world, given as values."""

from __future__ import annotations

from collections.abc import Callable

import attrs


@attrs.frozen
class Context:
    """The moment and the makers of fresh values for one write.

    @ivar now: seconds since 1970, as C{time.time()} gives; kept to the millisecond.
    @ivar new_id: makes a UUID version 4 as text.
    @ivar new_secret: makes a string of 32 random letters and digits.
    """

    now: float
    new_id: Callable[[], str]
    new_secret: Callable[[], str]
