"""What the rest of kongtx asks of a cache."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from zope.interface import Attribute, Interface

from kongtx.cache.derived import Derived


class ICache(Interface):
    """A cache that computes what it lacks, once for the whole node."""

    derived: Derived = Attribute("The L{Derived}: what this worker has made of its values.")

    def get(key: str, load: Callable[..., Any], *args: Any) -> Any | Deferred[Any]:
        """The value of a key.

        @param load: called as C{load(*args)} when no level has the key; returns a value, L{None}
            (cached as a miss), or a Deferred or coroutine of either.
        @return: the value at once when the first level has it, else a Deferred of it.
        """

    def invalidate(key: str) -> Deferred[None]:
        """Drop a key in every worker of every node; a Deferred that fires when it is published."""

    def invalidate_local(key: str) -> Deferred[None]:
        """Drop a key in every worker of this node."""

    def purge() -> Deferred[None]:
        """Drop everything in every worker of this node."""
