"""A worker's L{Node} without a worker, for tests of plugins."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any, cast

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from zope.interface import implementer

from kongtx.cache.interfaces import ICache
from kongtx.cache.shared import SharedMemory
from kongtx.events.local import LocalEventBus
from kongtx.pdk.node import Node

LIMITS = {
    "lua_max_req_headers": 100,
    "lua_max_resp_headers": 100,
    "lua_max_uri_args": 100,
    "lua_max_post_args": 100,
    "port_maps": [],
}


@implementer(ICache)
class DictCache:
    """A cache that is a dict; C{values} may be looked at and filled."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}

    def get(self, key: str, load: Callable[..., Any] | None, *args: Any) -> Any | Deferred[Any]:
        """The value of a key, loaded at most once."""
        if key in self.values or load is None:
            return self.values.get(key)
        loaded = load(*args)
        if isinstance(loaded, Deferred):
            return loaded.addCallback(lambda value: self.values.setdefault(key, value))
        return self.values.setdefault(key, loaded)

    def invalidate(self, key: str) -> Deferred[None]:
        """Drop a key."""
        self.values.pop(key, None)
        return succeed(None)

    invalidate_local = invalidate

    def purge(self) -> Deferred[None]:
        """Drop everything."""
        self.values.clear()
        return succeed(None)


class FakeTable:
    """The rows of one entity, as the store shows them to plugins."""

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        self.rows = rows

    def select(self, key: str) -> Deferred[dict[str, Any] | None]:
        """The row with an id."""
        return self.select_by("id", key)

    def select_by(self, field: str, value: Any) -> Deferred[dict[str, Any] | None]:
        """The row with a value in a field."""
        return succeed(next((row for row in self.rows if row[field] == value), None))


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
        "store": {name: FakeTable(rows) for name, rows in (entities or {}).items()},
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
