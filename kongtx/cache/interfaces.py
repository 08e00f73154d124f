"""What the rest of kongtx asks of a cache."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from zope.interface import Attribute, Interface

from kongtx.cache.derived import Derived
from kongtx.cache.values import Found, Options, Peeked

#: A key, what loads its value, and the loader's arguments.
Wanted = tuple[str, Callable[..., Any] | None, tuple[Any, ...]]


class ICache(Interface):
    """A cache that computes what it lacks, once for the whole node."""

    derived: Derived = Attribute("The L{Derived}: what this worker has made of its values.")

    def get(
        key: str, load: Callable[..., Any], *args: Any, options: Options | None = None
    ) -> Any | Deferred[Any]:
        """The value of a key.

        @param load: called as C{load(*args)} when no level has the key; returns a value, L{None}
            (cached as a miss), a L{kongtx.cache.values.Loaded}, or a Deferred or coroutine of
            these.
        @param options: how long the value is held, instead of the cache's own.
        @return: the value at once when the first level has it, else a Deferred of it.
        """

    def get_bulk(
        wanted: Sequence[Wanted], concurrency: int = 3, options: Options | None = None
    ) -> Deferred[list[Found]]:
        """Many keys at once.

        @param wanted: key, C{load} and its arguments of each.
        @param concurrency: how many loaders may run at a time.
        @return: a Deferred of a L{Found} for each, in order; with an C{error} where its loader
            failed.
        """

    def probe(key: str) -> Peeked | None:
        """What the node has of a key, and for how long; L{None} if nothing. Loads nothing."""

    def safe_set(key: str, value: Any, options: Options | None = None) -> Deferred[None]:
        """Hold a value in every worker of this node; a Deferred that fires when they are told."""

    def renew(
        key: str, load: Callable[..., Any], *args: Any, options: Options | None = None
    ) -> Deferred[Any]:
        """Load a value, whatever there is, and hold it in every worker of this node.

        @return: a Deferred of the value. It fails with the loader's error; what there was stays.
        """

    def invalidate(key: str) -> Deferred[None]:
        """Drop a key in every worker of every node; a Deferred that fires when it is published."""

    def invalidate_local(key: str) -> Deferred[None]:
        """Drop a key in every worker of this node."""

    def purge() -> Deferred[None]:
        """Drop everything in every worker of this node."""
