"""Where counts are kept.

The counts of one identity are of several windows at once; a name tells counts apart that are of the
same identity and window.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from twisted.internet.defer import Deferred, ensureDeferred, gatherResults
from zope.interface import Interface, implementer

from kongtx.cache.counters import Counters, counter_key
from kongtx.db.store import Store
from kongtx.db.writes import Increment
from kongtx.lib.ids import NIL
from kongtx.plugins.counting.redis import Additions, RedisClient
from kongtx.plugins.counting.windows import PERIODS, Window

Counts = list[int]


def scope(kind: str, row: Mapping[str, Any]) -> bytes:
    """The beginning of an identity: the route and service of a plugin entity's own scope.

    Whom it counts follows, and a colon.
    """
    route, service = (row[name]["id"] if row[name] else NIL for name in ("route", "service"))
    return f"{kind}:{route}:{service}:".encode()


class ICounterStore(Interface):
    """Keeps counts; a count that was never added to is 0."""

    def read(
        identity: bytes, windows: Sequence[Window], name: str = ""
    ) -> Counts | Deferred[Counts]:
        """The counts of an identity in some windows.

        @param identity: begins as L{scope} says.
        """

    def add(
        identity: bytes, windows: Sequence[Window], amount: int, now: float, name: str = ""
    ) -> Counts | Deferred[Counts]:
        """Count some more in every window; the new counts.

        No addition is lost, whoever else adds at the same time.

        @param now: seconds since the epoch.
        """


@implementer(ICounterStore)
class LocalStore:
    """Counts in memory that the workers of the node share; never waits."""

    def __init__(self, counters: Counters) -> None:
        self._counters = counters

    def read(self, identity: bytes, windows: Sequence[Window], name: str = "") -> Counts:
        """See L{ICounterStore.read}."""
        return self._counters.read(_keys(identity, windows, name))

    def add(
        self, identity: bytes, windows: Sequence[Window], amount: int, now: float, name: str = ""
    ) -> Counts:
        """See L{ICounterStore.add}."""
        return self._counters.add(_keys(identity, windows, name), amount, now)


def _keys(identity: bytes, windows: Sequence[Window], name: str) -> list[bytes]:
    if name:
        identity = b"%b%b:" % (identity, name.encode())
    return [counter_key(each.key, identity) for each in windows]


@implementer(ICounterStore)
class DatabaseStore:
    """Counts in the database, which all nodes share.

    @param store: the node's store; counts go past it, for they are no configuration.
    @param schema: the entity whose table holds the counts.
    """

    def __init__(self, store: Store, schema: str) -> None:
        self._store = store
        self._table = store.catalogue[schema]

    def read(self, identity: bytes, windows: Sequence[Window], name: str = "") -> Deferred[Counts]:
        """See L{ICounterStore.read}."""
        rows = [self._row(identity, each, 0, name) for each in windows]
        found = gatherResults(
            [self._store.primary.select(self._table, row) for row in rows], consumeErrors=True
        )
        return found.addCallback(lambda rows: [row["value"] if row else 0 for row in rows])

    def add(
        self, identity: bytes, windows: Sequence[Window], amount: int, now: float, name: str = ""
    ) -> Deferred[Counts]:
        """See L{ICounterStore.add}."""
        writes = [
            Increment(self._table, self._row(identity, each, amount, name), "value")
            for each in windows
        ]
        done: Deferred[Any] = self._store.primary.apply(writes)
        return done.addCallback(lambda changes: [change.new["value"] for (change,) in changes])

    def _row(self, identity: bytes, window: Window, value: int, name: str) -> dict[str, Any]:
        _, route, service, whose = identity.decode("utf-8", "replace").split(":", 3)
        return {
            "identifier": whose.removesuffix(":"),
            "period": f"{name}_{window.period}" if name else window.period,
            "period_date": window.start * 1000,
            "service_id": service,
            "route_id": route,
            "value": value,
            "ttl": window.end,
        }


@implementer(ICounterStore)
class RedisStore:
    """Counts in a Redis server, which any nodes can share."""

    def __init__(self, client: RedisClient) -> None:
        self._client = client

    def read(self, identity: bytes, windows: Sequence[Window], name: str = "") -> Deferred[Counts]:
        """See L{ICounterStore.read}."""
        return ensureDeferred(self._client.read(redis_keys(identity, windows, name)))

    def add(
        self, identity: bytes, windows: Sequence[Window], amount: int, now: float, name: str = ""
    ) -> Deferred[Counts]:
        """See L{ICounterStore.add}; a count lives for its period's length from its first."""
        keys = redis_keys(identity, windows, name)
        additions: Additions = [
            (key, amount, PERIODS[each.period]) for key, each in zip(keys, windows, strict=True)
        ]
        return ensureDeferred(self._client.add(additions))


def redis_keys(identity: bytes, windows: Sequence[Window], name: str = "") -> list[bytes]:
    """The keys of counts, as Kong names them."""
    label = f"{name}:".encode() if name else b""
    return [
        b"%b%d:%b%b" % (identity, each.start * 1000, label, each.period.encode())
        for each in windows
    ]
