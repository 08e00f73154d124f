"""The sites that the composition root mounts on its listeners."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from typing import Any

import attrs
from twisted.logger import Logger
from twisted.web.server import Site

from kongtx.admin import special
from kongtx.admin.answers import Answer
from kongtx.admin.call import Call
from kongtx.admin.clustering import Clustering, refuse_filter_chains
from kongtx.admin.config import ConfigEndpoint
from kongtx.admin.context import AdminContext
from kongtx.admin.generated import Generator
from kongtx.admin.information import Information, Readiness
from kongtx.admin.openapi import OpenAPI
from kongtx.admin.resource import AdminRequest, AdminResource
from kongtx.admin.routes import RouteTools
from kongtx.admin.routing import Endpoint, Handler, Router
from kongtx.admin.schemas import Schemas
from kongtx.admin.upstreams import UpstreamHealth

#: What plugins give: by path, by method, a handler that returns status, body and headers.
PluginHandler = Callable[[Call], Awaitable[tuple[int, Any, Mapping[str, str]]]]
PluginEndpoints = Mapping[str, Mapping[str, PluginHandler]]

#: The log of status listeners, which C{status_error_log} can take elsewhere.
_STATUS_LOG = Logger("kongtx.status")


class AdminSite(Site):
    """A site that keeps bodies in bounds and does not log requests itself."""

    requestFactory = AdminRequest
    displayTracebacks = False

    def __init__(self, resource: AdminResource) -> None:
        super().__init__(resource)  # type: ignore[no-untyped-call]
        self.body_limit = resource.settings.body_limit

    def log(self, request: object) -> None:
        """Nothing; the node's own access log does it."""


def make_admin_site(context: AdminContext, plugins: Iterable[PluginEndpoints] = ()) -> AdminSite:
    """The Admin API.

    @param plugins: endpoints of plugins; they win over those of the same path and method.
    """
    return AdminSite(AdminResource(_admin_router(context, plugins), context.settings))


def endpoints_of(plugins: Iterable[object], kind: str, node: object) -> list[PluginEndpoints]:
    """What plugins add.

    @param plugins: the loaded ones.
    @param kind: C{admin_endpoints} or C{status_endpoints}.
    @param node: what plugins see of the node.
    """
    found = (getattr(plugin, kind, None) for plugin in plugins)
    return [make(node) for make in found if make is not None]


def _admin_router(context: AdminContext, plugins: Iterable[PluginEndpoints]) -> Router:
    generator = Generator(context.store, special.SPECIAL)
    router = Router(generator.endpoints())
    for path in special.DISABLED:
        router.remove(path)
    for group in (
        special.endpoints(generator),
        Information(context, router).endpoints(),
        Schemas(context).endpoints(),
        UpstreamHealth(context, generator).endpoints(),
        RouteTools(context.node).endpoints(),
        ConfigEndpoint(context.loader).endpoints(),
        Clustering(context).endpoints(),
        OpenAPI(context, router).endpoints(),
        *(_adapted(endpoints) for endpoints in plugins),
    ):
        for endpoint in group:
            router.add(endpoint)
    if not context.settings.wasm:
        refuse_filter_chains(router)
    return router


def make_status_site(context: AdminContext, plugins: Iterable[PluginEndpoints] = ()) -> AdminSite:
    """What status listeners answer: for load balancers and monitoring, without credentials.

    @param plugins: endpoints that plugins want there, such as C{/metrics}.
    """
    router = Router()
    groups: list[Iterable[Endpoint]] = [
        Information(context, router).shared(),
        Readiness(context).endpoints(),
        *(_adapted(endpoints) for endpoints in plugins),
    ]
    if context.settings.database == "off":
        groups.append(_targets(context))
    for group in groups:
        for endpoint in group:
            router.add(endpoint)
    settings = attrs.evolve(context.settings, auth="off")
    return AdminSite(AdminResource(router, settings, cors=False, log=_STATUS_LOG))


def _targets(context: AdminContext) -> Iterator[Endpoint]:
    """Targets and their health, which can only be read here."""
    generator = Generator(context.store, special.SPECIAL)
    shown = (
        "/upstreams/{upstreams}/health",
        "/upstreams/{upstreams}/targets",
        "/upstreams/{upstreams}/targets/all",
        "/upstreams/{upstreams}/targets/{targets}",
    )
    for group in (
        generator.endpoints(),
        special.endpoints(generator),
        UpstreamHealth(context, generator).endpoints(),
    ):
        for endpoint in group:
            if endpoint.path in shown:
                yield Endpoint(endpoint.path, {"GET": endpoint.methods["GET"]})


def _adapted(endpoints: PluginEndpoints) -> Iterator[Endpoint]:
    for path, methods in endpoints.items():
        yield Endpoint(path, {name: _answering(handler) for name, handler in methods.items()})


def _answering(handler: PluginHandler) -> Handler:
    async def answer(call: Call) -> Answer:
        status, body, headers = await handler(call)
        return Answer(status, body, headers)

    return answer
