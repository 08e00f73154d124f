"""The health of targets. Kong: C{kong/api/routes/upstreams.lua}."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from kongtx.admin.answers import NO_CONTENT, NOT_FOUND, AbortError, Answer, abort
from kongtx.admin.call import Call
from kongtx.admin.context import AdminContext
from kongtx.admin.generated import Generator, collection
from kongtx.admin.routing import Endpoint, Handler
from kongtx.db.tables import Entity
from kongtx.schema.formats import parse_address


class UpstreamHealth:
    """Shows and sets what balancers think of targets."""

    def __init__(self, context: AdminContext, generator: Generator) -> None:
        self._upstreams = generator.resources("upstreams")
        self._targets = generator.resources("targets")
        self._node = context.node
        self._settings = context.settings

    def endpoints(self) -> Iterator[Endpoint]:
        """C{/upstreams/{upstreams}/health}, and those below targets."""
        yield Endpoint("/upstreams/{upstreams}/health", {"GET": self.show})
        if self._settings.role == "control_plane":
            return
        target = "/upstreams/{upstreams}/targets/{targets}"
        for name, healthy in (("healthy", True), ("unhealthy", False)):
            yield Endpoint(f"{target}/{name}", {"PUT": self._setter(healthy)})
            yield Endpoint(f"{target}/{{address}}/{name}", {"PUT": self._setter(healthy)})

    async def show(self, call: Call) -> Answer:
        """C{GET /upstreams/{upstreams}/health}."""
        upstream = await self._upstreams.get(call)
        if call.first("balancer_health") == "1":
            whole = self._node.balancer_health(upstream["id"])
            return Answer(200, {"data": whole, "next": None, "node_id": self._node.node_id})
        page = await self._targets.page_for(call, "upstream", upstream)
        known = self._node.upstream_health(upstream["id"])
        if known is not None:
            for target in page.rows:
                _add_health(target, known.get(target["target"]))
        answer = collection(page, f"/upstreams/{call.raw['upstreams']}/health")
        return Answer(200, {**answer.body, "node_id": self._node.node_id})

    def _setter(self, healthy: bool) -> Handler:
        async def post(call: Call) -> Answer:
            upstream = await self._upstreams.get(call)
            target = await self._targets.get(call)
            if target["upstream"]["id"] != upstream["id"]:
                raise AbortError(NOT_FOUND)
            address = call.parameter("address") if "address" in call.raw else None
            if address is not None and isinstance(parse_address(address), str):
                raise abort(400, f"invalid address '{address}'")
            try:
                await self._node.post_health(upstream, target["target"], address, healthy)
            except ValueError as error:
                raise abort(400, str(error)) from None
            return NO_CONTENT

        return post


def _add_health(target: Entity, known: Mapping[str, Any] | None) -> None:
    """A target is as healthy as the best of its addresses; without any, its name is unknown."""
    addresses = known["addresses"] if known is not None else ()
    states = [address["health"] for address in addresses]
    if not states:
        target["health"] = "DNS_ERROR"
    elif "HEALTHY" in states:
        target["health"] = "HEALTHY"
    else:
        target["health"] = "UNHEALTHY" if "UNHEALTHY" in states else "HEALTHCHECKS_OFF"
    target["data"] = known
