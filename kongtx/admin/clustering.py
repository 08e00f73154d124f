"""Data planes, as a control plane knows them; and what WebAssembly would bring."""

from __future__ import annotations

from collections.abc import Iterator

from kongtx.admin.answers import Answer, message
from kongtx.admin.call import Call
from kongtx.admin.context import AdminContext
from kongtx.admin.generated import collection
from kongtx.admin.routing import Endpoint, Router


class Clustering:
    """C{/clustering/*}. Kong: C{kong/api/routes/clustering.lua}."""

    def __init__(self, context: AdminContext) -> None:
        self._store = context.store
        self._settings = context.settings

    def endpoints(self) -> Iterator[Endpoint]:
        """All."""
        yield Endpoint("/clustering/data-planes", {"GET": self.data_planes})
        yield Endpoint("/clustering/status", {"GET": self.status})

    async def data_planes(self, call: Call) -> Answer:
        """C{GET /clustering/data-planes}."""
        if self._settings.role != "control_plane":
            return self._refused()
        planes = self._store["clustering_data_planes"]
        page = await planes.page(call.size(), call.first("offset"))
        return collection(page, "/clustering/data-planes")

    async def status(self, call: Call) -> Answer:
        """C{GET /clustering/status}, the older form of the same."""
        if self._settings.role != "control_plane":
            return self._refused()
        shown = ("config_hash", "hostname", "ip", "last_seen")
        planes = {
            plane["id"]: {name: plane[name] for name in shown}
            async for plane in self._store["clustering_data_planes"].each()
        }
        return Answer(200, planes, {"Deprecation": "true"})

    @staticmethod
    def _refused() -> Answer:
        return message(
            400,
            "this endpoint is only available when Kong is configured to run as Control Plane for "
            "the cluster",
        )


def refuse_filter_chains(router: Router) -> None:
    """Answer as Kong does when WebAssembly is off; clients take it for an empty list."""

    async def refuse(call: Call) -> Answer:
        return message(400, "this endpoint is only available when wasm is enabled")

    for endpoint in list(router):
        if "filter-chains" in endpoint.path.split("/"):
            router.add(Endpoint(endpoint.path, dict.fromkeys(endpoint.methods, refuse)))
