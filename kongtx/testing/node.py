"""A worker's L{Node} without a worker, for tests of plugins."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from functools import cache
from types import SimpleNamespace
from typing import Any, cast

from twisted.internet.defer import Deferred, ensureDeferred, maybeDeferred, succeed
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface import implementer

from kongtx.cache.derived import Derived
from kongtx.cache.interfaces import ICache, Wanted
from kongtx.cache.lru import LRU
from kongtx.cache.shared import SharedMemory
from kongtx.cache.values import L1, LOADER, MISS, Found, Loaded, Options, Peeked
from kongtx.events.local import LocalEventBus
from kongtx.lib.deferred import then
from kongtx.pdk.node import Node
from kongtx.plugins.schemas import full_registry
from kongtx.schema import SchemaRegistry

LIMITS = {
    "lua_max_req_headers": 100,
    "lua_max_resp_headers": 100,
    "lua_max_uri_args": 100,
    "lua_max_post_args": 100,
    "host_ports": {},
    "untrusted_lua": "sandbox",
    "worker_count": 1,
}


@implementer(ICache)
class DictCache:
    """A cache that is a dict; C{values} may be looked at and filled."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        #: Holds nothing, as nothing is at the first level.
        self.derived = Derived(LRU(1), lambda: 0.0)

    def get(
        self, key: str, load: Callable[..., Any] | None, *args: Any, options: Options | None = None
    ) -> Any | Deferred[Any]:
        """The value of a key, loaded at most once."""
        if key in self.values or load is None:
            return self.values.get(key)
        loaded = load(*args)
        return then(loaded, self._hold, key)

    def _hold(self, loaded: Any, key: str) -> Any:
        return self.values.setdefault(key, _value_of(loaded))

    async def _found(self, wanted: Sequence[Wanted]) -> list[Found]:
        results = []
        for key, load, args in wanted:
            level = L1 if key in self.values else MISS if load is None else LOADER
            try:
                value = self.get(key, load, *args)
                results.append(Found(await value if isinstance(value, Deferred) else value, level))
            except Exception:
                results.append(Found(None, MISS, Failure()))
        return results

    def get_bulk(
        self, wanted: Sequence[Wanted], concurrency: int = 3, options: Options | None = None
    ) -> Deferred[list[Found]]:
        """The values of several keys, one after the other."""
        return ensureDeferred(self._found(wanted))

    def probe(self, key: str) -> Peeked | None:
        """What is held, which is for ever."""
        return Peeked(self.values[key], math.inf, False) if key in self.values else None

    def safe_set(self, key: str, value: Any, options: Options | None = None) -> Deferred[None]:
        """Hold a value."""
        self.values[key] = value
        return succeed(None)

    def renew(
        self, key: str, load: Callable[..., Any], *args: Any, options: Options | None = None
    ) -> Deferred[Any]:
        """Load a value, and hold it."""

        def hold(loaded: Any) -> Any:
            value = self.values[key] = _value_of(loaded)
            return value

        return maybeDeferred(load, *args).addCallback(hold)

    def invalidate(self, key: str) -> Deferred[None]:
        """Drop a key."""
        self.values.pop(key, None)
        return succeed(None)

    invalidate_local = invalidate

    def purge(self) -> Deferred[None]:
        """Drop everything."""
        self.values.clear()
        return succeed(None)


def _value_of(loaded: Any) -> Any:
    return loaded.value if isinstance(loaded, Loaded) else loaded


class FakeTable:
    """The rows of one entity, as the store shows them to plugins.

    @ivar rows: may be changed; readers see it at once.
    """

    def __init__(self, name: str, rows: list[dict[str, Any]]) -> None:
        self.schema = _registry()[name]
        self.rows = rows

    async def select(self, key: str) -> dict[str, Any] | None:
        """The row with an id."""
        return await self.select_by("id", key)

    async def select_by(self, field: str, value: Any) -> dict[str, Any] | None:
        """The row with a value in a field."""
        return next((row for row in self.rows if row[field] == value), None)

    async def each_for(self, field: str, parent: str) -> AsyncIterator[dict[str, Any]]:
        """The rows that refer to a parent."""
        for row in self.rows:
            if row[field]["id"] == parent:
                yield row


@cache
def _registry() -> SchemaRegistry:
    return full_registry()


def make_node(
    entities: Mapping[str, list[dict[str, Any]]] | None = None,
    memory: SharedMemory | None = None,
    clock: Clock | None = None,
    configuration: Mapping[str, Any] | None = None,
    **attributes: Any,
) -> Node:
    """A node whose store is a mapping of rows and whose time is a L{Clock}.

    @param entities: rows by schema name.
    @param configuration: properties besides the limits that the PDK needs.
    @param attributes: instead of the other attributes of L{Node}.
    """
    clock = clock or Clock()
    defaults: dict[str, Any] = {
        "node_id": "4b1b701d-de2b-4588-9aa2-3b97061d9f52",
        "worker_id": 0,
        "configuration": SimpleNamespace(**{**LIMITS, **(configuration or {})}),
        "cache": DictCache(),
        "store": {name: FakeTable(name, rows) for name, rows in (entities or {}).items()},
        "memory": cast(SharedMemory, memory),
        "bus": LocalEventBus(clock),
        "clock": clock,
        "reactor": clock,
        "is_trusted": lambda address: False,
        "has_upstream": lambda name: False,
        "resolve_vault": lambda reference: reference,
        "statistics": dict,
    }
    return Node(**{**defaults, **attributes})
