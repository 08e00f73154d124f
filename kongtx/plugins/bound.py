"""A plugin bound to one configuration: what the gateway calls in each phase; on the hot path."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from inspect import iscoroutinefunction
from typing import Any

import attrs
from twisted.logger import Logger
from zope.interface import implementer

from kongtx.conf.errors import VaultError
from kongtx.pdk.kong import Kong, kong_of
from kongtx.pdk.node import Node
from kongtx.plugins.errors import PluginError
from kongtx.plugins.interfaces import IPlugin
from kongtx.proxy.interfaces import IPhaseHandler, IRequestContext
from kongtx.schema.secrets import references, with_secrets

_FILTERS = ("header_filter", "body_filter")

Handler = Callable[[IRequestContext], Any] | None

#: Request phases in which a plugin may wait, and those in which it may not.
WAITING = ("rewrite", "access", "response", "log")
IMMEDIATE = ("header_filter", "body_filter", "certificate")

log = Logger()


@attrs.frozen
class BoundPhase:
    """A plugin's phase method with what it is called with; calling it runs it for a request.

    Chains of a request call the method themselves, which saves this call.
    """

    method: Callable[[Any, Kong], Any]
    config: Any
    row: Mapping[str, Any]
    node: Node

    def __call__(self, request: IRequestContext) -> Any:
        kong = kong_of(request, self.node)
        kong.row = self.row
        return self.method(self.config, kong)


@implementer(IPhaseHandler)
class BoundPlugin:
    """One plugin with one configuration.

    @param row: the plugin entity.
    @ivar config: what the plugin's C{prepare} made of it.
    @ivar has_references: whether it depends on secrets in vaults.
    """

    __slots__ = (
        "access", "body_filter", "certificate", "config", "has_references", "header_filter", "log",
        "name", "priority", "response", "rewrite", "row",
    )  # fmt: skip

    rewrite: Handler
    access: Handler
    response: Handler
    certificate: Handler
    header_filter: Handler
    body_filter: Handler
    log: Handler

    def __init__(self, plugin: IPlugin, row: Mapping[str, Any], node: Node) -> None:
        self.row = row
        self.name = plugin.name
        self.priority = plugin.priority
        self.config = plugin.prepare(resolve_references(plugin, row["config"], node))
        self.has_references = has_references(plugin, row["config"])
        tell = getattr(plugin, "idle_phases", None)
        idle = () if tell is None else tell(self.config)
        for phase in (*WAITING, *IMMEDIATE):
            method = None if phase in idle else getattr(plugin, phase, None)
            bound = None if method is None else BoundPhase(method, self.config, row, node)
            setattr(self, phase, bound)


def check_phases(plugin: IPlugin) -> None:
    """Refuse a plugin whose phase methods cannot work.

    @raise PluginError: naming the plugin and the method.
    """
    for phase in IMMEDIATE:
        if iscoroutinefunction(getattr(plugin, phase, None)):
            raise PluginError(f"plugin {plugin.name}: {phase} must not be a coroutine function")
    if getattr(plugin, "response", None) and any(getattr(plugin, p, None) for p in _FILTERS):
        raise PluginError(
            f"plugin {plugin.name}: response cannot be used together with "
            "header_filter or body_filter"
        )


def resolve_references(plugin: IPlugin, config: Mapping[str, Any], node: Node) -> dict[str, Any]:
    """A configuration with each vault reference replaced by what it stands for.

    Only fields that the schema marks as referenceable may hold references; elsewhere such text is
    just text. A secret that cannot be had is empty and is warned of (Kong: C{kong/db/schema}).
    """

    def resolve(reference: str) -> str:
        try:
            return node.resolve_vault(reference)
        except VaultError as error:
            log.warn(
                "{plugin}: unable to resolve reference {reference}: {error}",
                plugin=plugin.name,
                reference=reference,
                error=str(error),
            )
            return ""

    record = plugin.subschema.fields["config"].record
    return dict(config) if record is None else with_secrets(record, config, resolve)


def has_references(plugin: IPlugin, config: Mapping[str, Any]) -> bool:
    """Whether a configuration refers to secrets."""
    record = plugin.subschema.fields["config"].record
    return record is not None and next(references(record, config), None) is not None
