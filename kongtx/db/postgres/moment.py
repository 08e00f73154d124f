"""What the time is, in statements."""

from __future__ import annotations

from collections.abc import Callable

#: The database's own clock. As a subquery it is read once a statement, and indexes can be used.
_DATABASE = "(SELECT extract(epoch FROM clock_timestamp())::double precision)"


class Moment:
    """Seconds since the epoch, by the database's clock, which all nodes share.

    @param now: another clock, for tests.
    """

    def __init__(self, now: Callable[[], float] | None = None) -> None:
        self._now = now

    @property
    def is_database(self) -> bool:
        """Whether the time is the database's."""
        return self._now is None

    def __str__(self) -> str:
        """An SQL expression for now."""
        return _DATABASE if self._now is None else f"{self._now()!r}::double precision"
