"""The Admin API's view of what is kept: C{/proxy-cache}."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

from twisted.logger import Logger

from kongtx.lib.ids import is_uuid
from kongtx.pdk.node import Node
from kongtx.plugins.proxy_cache.memory import MemoryStrategy

Reply = tuple[int, Any, Mapping[str, str]]
Handler = Callable[[Any], Awaitable[Reply]]

#: The cluster's channel on which nodes tell each other what to forget: C{plugin id:key}, with
#: C{nil} for every key. Kong: the same.
PURGE_CHANNEL = "proxy-cache:purge"
_EVERYTHING = "nil"

log = Logger()

_GONE: Reply = (204, None, {})
_NOT_FOUND: Reply = (404, None, {})


def admin_endpoints(node: Node, now: Callable[[], float]) -> Mapping[str, Mapping[str, Handler]]:
    """The endpoints, by path and method."""
    view = _View(node, now)
    return {
        "/proxy-cache": {"DELETE": view.flush},
        "/proxy-cache/{cache_key}": {"GET": view.show, "DELETE": view.purge},
        "/proxy-cache/{plugin_id}/caches/{cache_key}": {
            "GET": view.show_of_plugin,
            "DELETE": view.purge_of_plugin,
        },
    }


def follow(node: Node) -> None:
    """Forget what other nodes were asked to forget; the memory is that of all workers."""
    view = _View(node, lambda: 0.0)
    node.cluster_events.subscribe(PURGE_CHANNEL, view.purged_elsewhere, "node")


class _View:
    def __init__(self, node: Node, now: Callable[[], float]) -> None:
        self._node = node
        self._now = now

    async def flush(self, call: Any) -> Reply:
        async for plugin_id, strategy in self._strategies():
            strategy.flush()
            self._tell(plugin_id, _EVERYTHING)
        return _GONE

    async def show(self, call: Any) -> Reply:
        async for _, strategy in self._strategies():
            kept = strategy.fetch(call.raw["cache_key"], self._now())
            if kept is not None:
                return 200, kept.shown(), {}
        return _NOT_FOUND

    async def purge(self, call: Any) -> Reply:
        key = call.raw["cache_key"]
        async for plugin_id, strategy in self._strategies():
            if strategy.fetch(key, self._now()) is not None:
                strategy.purge(key)
                self._tell(plugin_id, key)
                return _GONE
        return _NOT_FOUND

    async def show_of_plugin(self, call: Any) -> Reply:
        strategy = await self._strategy_of(call.raw["plugin_id"])
        kept = strategy and strategy.fetch(call.raw["cache_key"], self._now())
        return (200, kept.shown(), {}) if kept else _NOT_FOUND

    async def purge_of_plugin(self, call: Any) -> Reply:
        strategy = await self._strategy_of(call.raw["plugin_id"])
        if strategy is None or strategy.fetch(call.raw["cache_key"], self._now()) is None:
            return _NOT_FOUND
        strategy.purge(call.raw["cache_key"])
        self._tell(call.raw["plugin_id"], call.raw["cache_key"])
        return _GONE

    async def purged_elsewhere(self, data: str) -> None:
        """Another node tells what it was asked to forget."""
        plugin_id, _, key = data.partition(":")
        strategy = await self._strategy_of(plugin_id)
        if strategy is None:
            return
        if key == _EVERYTHING:
            strategy.flush()
        else:
            strategy.purge(key)

    def _tell(self, plugin_id: str, key: str) -> None:
        told = self._node.cluster_events.broadcast(PURGE_CHANNEL, f"{plugin_id}:{key}")
        told.addErrback(
            lambda failure: log.warn(
                "other nodes could not be told to forget responses: {reason}",
                reason=failure.getErrorMessage(),
            )
        )

    async def _strategies(self) -> AsyncIterator[tuple[str, MemoryStrategy]]:
        """One for each name that configurations give, with the id of a plugin that gives it."""
        seen: set[str] = set()
        async for row in self._node.store["plugins"].each():
            if row["name"] == "proxy-cache":
                name = row["config"]["memory"]["dictionary_name"]
                if name not in seen:
                    seen.add(name)
                    yield row["id"], MemoryStrategy(self._node.memory, name)

    async def _strategy_of(self, plugin_id: str) -> MemoryStrategy | None:
        if not is_uuid(plugin_id):
            return None
        row = await self._node.store["plugins"].select(plugin_id)
        if row is None or row["name"] != "proxy-cache":
            return None
        return MemoryStrategy(self._node.memory, row["config"]["memory"]["dictionary_name"])
