"""The sites that the composition root mounts on its listeners."""

from __future__ import annotations

from collections.abc import Iterable

from twisted.web.server import Site

from kongtx.admin import special
from kongtx.admin.generated import Generator
from kongtx.admin.resource import AdminRequest, AdminResource
from kongtx.admin.routing import Endpoint, Router
from kongtx.admin.settings import AdminSettings
from kongtx.db.store import Store


class AdminSite(Site):
    """A site that keeps bodies in bounds and does not log requests itself."""

    requestFactory = AdminRequest
    displayTracebacks = False

    def __init__(self, resource: AdminResource) -> None:
        super().__init__(resource)  # type: ignore[no-untyped-call]
        self.body_limit = resource.settings.body_limit

    def log(self, request: object) -> None:
        """Nothing; the node's own access log does it."""


def make_router(store: Store, settings: AdminSettings) -> Router:
    """The endpoints of entities."""
    generator = Generator(store, special.SPECIAL)
    router = Router(generator.endpoints())
    for endpoint in special.endpoints(generator):
        router.add(endpoint)
    for path in special.DISABLED:
        router.remove(path)
    return router


def make_admin_site(store: Store, settings: AdminSettings, extra: Iterable[Endpoint] = ()) -> Site:
    """The Admin API.

    @param extra: endpoints of plugins; they win over those of the same path.
    """
    router = make_router(store, settings)
    for endpoint in extra:
        router.add(endpoint)
    return AdminSite(AdminResource(router, settings))
