"""Which configuration of each plugin a request meets; compiled when the snapshot is built.

Of one plugin name a request meets one configuration at most, the most specific; they are never
merged. By scope, first to last: route+service+consumer, route+consumer, service+consumer,
route+service, consumer, route, service, none (Kong: C{runloop/plugins_iterator}).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs
from twisted.logger import Logger
from zope.interface import implementer

from kongtx.pdk.node import Node
from kongtx.plugins.bound import BoundPlugin
from kongtx.plugins.errors import PluginError
from kongtx.plugins.interfaces import IPlugin
from kongtx.proxy.interfaces import IPhaseHandler, IPlanStep, IPluginIterator, IPluginPlan

Row = Mapping[str, Any]
Scope = tuple[str | None, str | None, str | None]  # route, service, consumer

_NOBODY: Mapping[str, IPhaseHandler] = {}


@implementer(IPlanStep)
@attrs.frozen
class Step:
    """One plugin name's place in a plan."""

    handler: IPhaseHandler | None
    by_consumer: Mapping[str, IPhaseHandler]


@implementer(IPluginPlan)
@attrs.frozen
class Plan:
    """The chain of one route."""

    steps: Sequence[Step]


class _Configurations:
    """All rows of one plugin name, by scope."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._by_scope: dict[Scope, BoundPlugin] = {}
        self._consumer_alone: dict[str, IPhaseHandler] = {}
        self._consumers_of: dict[Scope, list[str]] = {}  # (route, service, None) -> consumers

    def add(self, bound: BoundPlugin) -> None:
        route, service, consumer = scope = _scope(bound.row)
        self._by_scope[scope] = bound
        if consumer is not None:
            if route is service is None:
                self._consumer_alone[consumer] = bound
            else:
                self._consumers_of.setdefault((route, service, None), []).append(consumer)

    @property
    def everywhere(self) -> BoundPlugin | None:
        """The global row."""
        return self._by_scope.get((None, None, None))

    def step(self, route: str, service: str | None) -> Step | None:
        """The place of this name in the plan of a route; L{None} if it never runs there."""
        both = self._by_scope.get((route, service, None)) if service else None
        handler = both or self._first((route, None), (None, service), (None, None))
        by_consumer = _NOBODY if both else self._consumer_alone
        scopes: list[tuple[str | None, str | None]] = [(route, None)]
        if service:
            scopes = [(None, service), (route, None), (route, service)]
        special: dict[str, IPhaseHandler] = {}
        for each in scopes:  # least specific first, so that the most specific stays
            for consumer in self._consumers_of.get((*each, None), ()):
                special[consumer] = self._by_scope[(*each, consumer)]
        if special:
            by_consumer = {**by_consumer, **special}
        if handler is None and not by_consumer:
            return None
        return Step(handler, by_consumer)

    def _first(self, *scopes: tuple[str | None, str | None]) -> BoundPlugin | None:
        for route, service in scopes:
            bound = self._by_scope.get((route, service, None))
            if bound is not None:
                return bound
        return None


@implementer(IPluginIterator)
class PluginIterator:
    """All plugin rows of one snapshot.

    @param rows: plugin entities; those that are not enabled neither run nor shadow others.
    @param plugins: the loaded plugins by name.
    @param before: the iterator of the snapshot before; what it has of an unchanged row is kept.
    @param secrets_changed: what refers to a vault is not kept.
    @raise PluginError: if a row is of a plugin that is not loaded.
    """

    _log = Logger()

    def __init__(
        self,
        rows: Iterable[Row],
        plugins: Mapping[str, IPlugin],
        node: Node,
        before: PluginIterator | None = None,
        secrets_changed: bool = False,
    ) -> None:
        self._plugins = plugins
        kept = before._bound if before is not None else {}
        self._bound: dict[str, BoundPlugin] = {}
        names: dict[str, _Configurations] = {}
        for row in rows:
            if not row["enabled"]:
                continue
            bound = kept.get(row["id"])
            if bound is None or bound.row != row or (secrets_changed and bound.has_references):
                bound = self._bind(row, node)
            self._bound[row["id"]] = bound
            names.setdefault(row["name"], _Configurations(row["name"])).add(bound)
        self._names = [names[name] for name in in_order(plugins) if name in names]
        self.global_handlers: Sequence[IPhaseHandler] = [
            each.everywhere for each in self._names if each.everywhere is not None
        ]

    def plan_for(self, route: Row, service: Row | None) -> Plan:
        """The chain of a route with its service."""
        service_id = service["id"] if service else None
        steps = [each.step(route["id"], service_id) for each in self._names]
        return Plan([step for step in steps if step is not None])

    def configure(self) -> None:
        """Tell each loaded plugin that wants to know which configurations are in force now."""
        configs: dict[str, list[Any]] = {}
        for bound in self._bound.values():
            configs.setdefault(bound.name, []).append(bound.config)
        for name, plugin in self._plugins.items():
            tell = getattr(plugin, "configure", None)
            if tell is None:
                continue
            try:
                tell(configs.get(name, []))
            except Exception:
                self._log.failure("plugin {plugin}: configure failed", plugin=name)

    def _bind(self, row: Row, node: Node) -> BoundPlugin:
        plugin = self._plugins.get(row["name"])
        if plugin is None:
            raise PluginError(
                f"{row['name']} plugin is in use but not enabled (plugin entity {row['id']}); "
                "add it to the 'plugins' configuration property"
            )
        return BoundPlugin(plugin, row, node)


def in_order(plugins: Mapping[str, IPlugin]) -> list[str]:
    """Names by priority, the greatest first; of equal ones the alphabetically last first."""
    return sorted(plugins, key=lambda name: (plugins[name].priority, name), reverse=True)


def _scope(row: Row) -> Scope:
    route, service, consumer = (
        row[field]["id"] if row[field] else None for field in ("route", "service", "consumer")
    )
    return route, service, consumer
