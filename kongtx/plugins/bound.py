"""A plugin bound to one configuration: what the gateway calls in each phase; on the hot path."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from inspect import iscoroutinefunction
from typing import Any

from zope.interface import implementer

from kongtx.pdk.kong import Kong
from kongtx.pdk.node import Node
from kongtx.plugins.errors import PluginError
from kongtx.plugins.interfaces import IPlugin
from kongtx.proxy.interfaces import IPhaseHandler, IRequestContext

Handler = Callable[[IRequestContext], Any] | None

#: Request phases in which a plugin may wait, and those in which it may not.
WAITING = ("rewrite", "access", "response", "log")
IMMEDIATE = ("header_filter", "body_filter")


@implementer(IPhaseHandler)
class BoundPlugin:
    """One plugin with one configuration.

    @param row: the plugin entity.
    @ivar config: what the plugin's C{prepare} made of it.
    """

    __slots__ = (
        "access", "body_filter", "config", "header_filter", "log", "name", "priority", "response",
        "rewrite", "row",
    )  # fmt: skip

    rewrite: Handler
    access: Handler
    response: Handler
    header_filter: Handler
    body_filter: Handler
    log: Handler

    def __init__(self, plugin: IPlugin, row: Mapping[str, Any], node: Node) -> None:
        self.row = row
        self.name = plugin.name
        self.priority = plugin.priority
        self.config = plugin.prepare(resolve_references(row["config"], node))
        for phase in (*WAITING, *IMMEDIATE):
            method = getattr(plugin, phase, None)
            bound = None if method is None else _bind(method, self.config, row, node)
            setattr(self, phase, bound)


def check_phases(plugin: IPlugin) -> None:
    """Refuse a plugin whose phase methods cannot work.

    @raise PluginError: naming the plugin and the method.
    """
    for phase in IMMEDIATE:
        if iscoroutinefunction(getattr(plugin, phase, None)):
            raise PluginError(f"plugin {plugin.name}: {phase} must not be a coroutine function")
    if getattr(plugin, "response", None) and any(getattr(plugin, p, None) for p in IMMEDIATE):
        raise PluginError(
            f"plugin {plugin.name}: response cannot be used together with "
            "header_filter or body_filter"
        )


def resolve_references(config: Any, node: Node) -> Any:
    """A configuration with each vault reference replaced by what it stands for."""
    if isinstance(config, str):
        return node.resolve_vault(config) if config.startswith("{vault://") else config
    if isinstance(config, Mapping):
        return {key: resolve_references(value, node) for key, value in config.items()}
    if isinstance(config, list):
        return [resolve_references(value, node) for value in config]
    return config


def _bind(
    method: Callable[[Any, Kong], Any], config: Any, row: Mapping[str, Any], node: Node
) -> Callable[[IRequestContext], Any]:
    def run(request: IRequestContext) -> Any:
        kong = request.pdk
        if kong is None:
            kong = request.pdk = Kong(request, node)
        kong.row = row
        return method(config, kong)

    return run
