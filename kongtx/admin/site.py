"""The sites that the composition root mounts on its listeners."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from typing import Any

import attrs
from twisted.web.server import Site

from kongtx.admin import special
from kongtx.admin.answers import Answer
from kongtx.admin.call import Call
from kongtx.admin.clustering import Clustering, refuse_filter_chains
from kongtx.admin.config import ConfigEndpoint
from kongtx.admin.generated import Generator
from kongtx.admin.information import Information, Readiness
from kongtx.admin.interfaces import IDeclarativeLoader, INodeInfo
from kongtx.admin.openapi import OpenAPI
from kongtx.admin.resource import AdminRequest, AdminResource
from kongtx.admin.routes import RouteTools
from kongtx.admin.routing import Endpoint, Handler, Router
from kongtx.admin.schemas import Schemas
from kongtx.admin.settings import AdminSettings
from kongtx.admin.upstreams import UpstreamHealth
from kongtx.db.store import Store

#: What plugins give: by path, by method, a handler that returns status, body and headers.
PluginHandler = Callable[[Call], Awaitable[tuple[int, Any, Mapping[str, str]]]]
PluginEndpoints = Mapping[str, Mapping[str, PluginHandler]]


class AdminSite(Site):
    """A site that keeps bodies in bounds and does not log requests itself."""

    requestFactory = AdminRequest
    displayTracebacks = False

    def __init__(self, resource: AdminResource) -> None:
        super().__init__(resource)  # type: ignore[no-untyped-call]
        self.body_limit = resource.settings.body_limit

    def log(self, request: object) -> None:
        """Nothing; the node's own access log does it."""


def make_admin_site(
    store: Store,
    settings: AdminSettings,
    node: INodeInfo,
    loader: IDeclarativeLoader | None = None,
    plugins: Iterable[PluginEndpoints] = (),
) -> AdminSite:
    """The Admin API.

    @param loader: the declarative configuration of a node without database.
    @param plugins: endpoints of plugins; they win over those of the same path and method.
    """
    router = make_admin_router(store, settings, node, loader, plugins)
    return AdminSite(AdminResource(router, settings))


def endpoints_of(plugins: Iterable[object], kind: str, node: object) -> list[PluginEndpoints]:
    """What plugins add.

    @param plugins: the loaded ones.
    @param kind: C{admin_endpoints} or C{status_endpoints}.
    @param node: what plugins see of the node.
    """
    found = (getattr(plugin, kind, None) for plugin in plugins)
    return [make(node) for make in found if make is not None]


def make_admin_router(
    store: Store,
    settings: AdminSettings,
    node: INodeInfo,
    loader: IDeclarativeLoader | None = None,
    plugins: Iterable[PluginEndpoints] = (),
) -> Router:
    """All endpoints of the Admin API."""
    generator = Generator(store, special.SPECIAL)
    router = Router(generator.endpoints())
    for path in special.DISABLED:
        router.remove(path)
    for group in (
        special.endpoints(generator),
        Information(store, settings, node, loader, router).endpoints(),
        Schemas(store, node).endpoints(),
        UpstreamHealth(generator, node, settings).endpoints(),
        RouteTools(node).endpoints(),
        ConfigEndpoint(loader).endpoints(),
        Clustering(store, settings).endpoints(),
        OpenAPI(store, router, settings.auth).endpoints(),
        *(_adapted(endpoints) for endpoints in plugins),
    ):
        for endpoint in group:
            router.add(endpoint)
    if not settings.wasm:
        refuse_filter_chains(router)
    return router


def make_status_site(
    store: Store,
    settings: AdminSettings,
    node: INodeInfo,
    loader: IDeclarativeLoader | None = None,
    plugins: Iterable[PluginEndpoints] = (),
) -> AdminSite:
    """What status listeners answer: for load balancers and monitoring, without credentials.

    @param plugins: endpoints that plugins want there, such as C{/metrics}.
    """
    router = Router()
    groups: list[Iterable[Endpoint]] = [
        Information(store, settings, node, loader, router).shared(),
        Readiness(store, settings, node, loader).endpoints(),
        *(_adapted(endpoints) for endpoints in plugins),
    ]
    if settings.database == "off":
        groups.append(_targets(store, settings, node))
    for group in groups:
        for endpoint in group:
            router.add(endpoint)
    open_settings = attrs.evolve(settings, auth="off")
    return AdminSite(AdminResource(router, open_settings, cors=False))


def _targets(store: Store, settings: AdminSettings, node: INodeInfo) -> Iterator[Endpoint]:
    """Targets and their health, which can only be read here."""
    generator = Generator(store, special.SPECIAL)
    shown = (
        "/upstreams/{upstreams}/health",
        "/upstreams/{upstreams}/targets",
        "/upstreams/{upstreams}/targets/all",
        "/upstreams/{upstreams}/targets/{targets}",
    )
    for group in (
        generator.endpoints(),
        special.endpoints(generator),
        UpstreamHealth(generator, node, settings).endpoints(),
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
