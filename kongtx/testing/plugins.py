"""Running a plugin against a request without sockets: a request in, a decision out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs
from twisted.internet.defer import Deferred, ensureDeferred, succeed

from kongtx.lib import ids
from kongtx.pdk.kong import Kong, kong_of
from kongtx.pdk.node import Node
from kongtx.plugins.bound import BoundPlugin
from kongtx.plugins.interfaces import IPlugin
from kongtx.plugins.schemas import full_registry
from kongtx.proxy.interfaces import ShortCircuit
from kongtx.schema import Context, SchemaRegistry
from kongtx.testing.node import make_node
from kongtx.testing.request import Answer, FakeRequest

NOW = 1_700_000_000.0


def make_registry(plugin: IPlugin) -> SchemaRegistry:
    """The core entities, the bundled plugins' and this plugin's."""
    registry = full_registry()
    if plugin.name not in registry["plugins"].subschemas:
        registry.register_plugin(plugin.name, plugin.subschema, plugin.entities)
    return registry


def make_entity(registry: SchemaRegistry, schema: str, **data: Any) -> dict[str, Any]:
    """An entity as the store would hold it: validated, with its defaults."""
    context = Context(now=NOW, new_id=ids.uuid4, new_secret=ids.new_secret)
    entity = registry[schema].process_insert(data, context)
    if registry[schema].ttl:
        entity.setdefault("ttl", None)
    return entity


def make_kong(phase: str = "access", node: Node | None = None, **request: Any) -> Kong:
    """The C{kong} that a plugin's phase method gets.

    @param phase: the phase that it believes to be in.
    @param node: made by L{make_node} by default.
    @param request: attributes of the L{FakeRequest}, which is C{kong.raw}.
    """
    return kong_of(FakeRequest(phase=phase, **request), node or make_node())


@attrs.define
class PluginRunner:
    """One plugin with one configuration, run phase by phase.

    @param plugin: the plugin.
    @param config: its configuration, as in C{POST /plugins}; validated, defaults filled in.
    @param node: the worker that it runs in.
    @param scope: C{route}, C{service} or C{consumer} ids of the plugin entity.
    """

    plugin: IPlugin
    config: Mapping[str, Any] = attrs.Factory(dict)
    node: Node = attrs.Factory(make_node)
    scope: Mapping[str, str] = attrs.Factory(dict)
    bound: BoundPlugin = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        references = {name: {"id": value} for name, value in self.scope.items()}
        row = make_entity(
            make_registry(self.plugin),
            "plugins",
            name=self.plugin.name,
            config=dict(self.config),
            **references,
        )
        self.bound = BoundPlugin(self.plugin, row, self.node)

    def start(self, phase: str, request: FakeRequest) -> Deferred[Answer | None]:
        """Run a phase.

        @return: a Deferred of the plugin's L{Answer}, or L{None} if the request goes on.
        """
        request.phase = phase
        handler = getattr(self.bound, phase)
        if handler is None and hasattr(self.plugin, phase):
            return succeed(None)  # one of its idle phases

        async def run() -> Answer | None:
            try:
                waiting = handler(request)
                if waiting is not None:
                    await waiting
            except ShortCircuit:
                return request.answer
            return None

        return ensureDeferred(run())

    def run(self, phase: str, request: FakeRequest) -> Answer | None:
        """Run a phase that has nothing to wait for; its exception is raised here."""
        results: list[Any] = []
        self.start(phase, request).addBoth(results.append)
        if not results:
            raise AssertionError(f"the {phase} phase of {self.plugin.name} is still waiting")
        if hasattr(results[0], "raiseException"):
            results[0].raiseException()
        answer: Answer | None = results[0]
        return answer

    def access(self, request: FakeRequest) -> Answer | None:
        """L{run} the access phase."""
        return self.run("access", request)
