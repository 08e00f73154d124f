"""What the Admin API shows and steers of a worker and its node."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.logger import Logger
from zope.interface import implementer

from kongtx.admin.interfaces import INodeInfo
from kongtx.conf.view import public_view
from kongtx.dns.flight import Flights
from kongtx.health.errors import HealthError
from kongtx.lib.memory import resident_bytes
from kongtx.router.inspection.explain import explain_url
from kongtx.router.inspection.lint import lint_json
from kongtx.runtime.host import DRAINING, RUNTIME_CHANNEL, change_log_level

if TYPE_CHECKING:
    from kongtx.runtime.node.composition import GatewayNode

#: Seconds after which the workers' process ids are asked for again.
_PIDS_EVERY = 5.0
#: The cluster's channel by which one node changes the log level of the others.
_LOG_LEVEL = "log_level"
#: The question what a worker says of itself.
_WORKER = "node.worker"


@implementer(INodeInfo)
class NodeInfo:
    """See L{INodeInfo}."""

    _log = Logger()

    def __init__(self, node: GatewayNode) -> None:
        self._node = node
        self._context = node.context
        self.node_id = node.plugin_node.node_id
        self.hostname = socket.gethostname()
        self._pids: dict[str, Any] = {"master": os.getppid(), "workers": [os.getpid()]}
        self._draining = False
        self._lints: Flights[dict[str, Any]] = Flights()
        self._end = self._context.bus.subscribe(RUNTIME_CHANNEL, DRAINING, self._on_draining)
        node.cluster_events.subscribe(_LOG_LEVEL, self._level_elsewhere, "node")
        self._context.bus.serve(_WORKER, self._worker)  # type: ignore[attr-defined]
        self._context.timers.every("admin.pids", _PIDS_EVERY, self._ask_pids)

    async def start(self) -> None:
        """Learn what has to be asked for."""
        await self._ask_pids()

    def stop(self) -> None:
        """Ask for nothing any more."""
        self._end()

    # -- facts -----------------------------------------------------------------------------------
    def configuration(self) -> dict[str, Any]:
        """See L{INodeInfo.configuration}."""
        view = public_view(self._node.conf)
        view["log_level"] = self.log_level()
        view["loaded_plugins"] = dict.fromkeys(sorted(self._node.plugins), True)
        return view

    def plugins(self) -> Mapping[str, tuple[str, int]]:
        """See L{INodeInfo.plugins}."""
        return {name: (each.version, each.priority) for name, each in self._node.plugins.items()}

    def pids(self) -> dict[str, Any]:
        """See L{INodeInfo.pids}."""
        return self._pids

    def worker(self) -> dict[str, int]:
        """See L{INodeInfo.worker}."""
        return {"id": self._context.worker_id, "count": self._context.worker_count}

    def timers(self) -> dict[str, int]:
        """See L{INodeInfo.timers}."""
        counts = self._context.timers.statistics()["stats"]["sys"]
        return {"running": counts["running"], "pending": counts["pending"]}

    def timer_statistics(self) -> dict[str, Any]:
        """See L{INodeInfo.timer_statistics}."""
        statistics: dict[str, Any] = self._context.timers.statistics()["stats"]
        return statistics

    async def workers(self) -> list[dict[str, Any]]:
        """See L{INodeInfo.workers}."""
        answers = await self._context.bus.gather(_WORKER)  # type: ignore[attr-defined]
        return [{"pid": each["pid"], **each["answer"]} for each in answers]

    def _worker(self, _data: Any, _peer: Any) -> dict[str, Any]:
        return {
            "ready": self._node.is_serving,
            "bytes": resident_bytes(),
            "server": self._node.gateway.statistics(),
        }

    def shared_stores(self) -> dict[str, tuple[int, int]]:
        """See L{INodeInfo.shared_stores}."""
        shared = self._node.memory.statistics()
        return {"kong_db_cache": (shared["used"], shared["capacity"])}

    def dns_statistics(self) -> dict[str, Any] | None:
        """See L{INodeInfo.dns_statistics}."""
        if not self._node.conf.new_dns_client:
            return None  # Kong: the older client tells nothing
        statistics: dict[str, Any] = self._node.resolver.statistics()
        return statistics

    # -- logs and caches -------------------------------------------------------------------------
    def log_level(self) -> str:
        """See L{INodeInfo.log_level}."""
        return self._context.logs.control.level.label

    def set_log_level(self, level: str, seconds: int, cluster: bool) -> Deferred[None]:
        """See L{INodeInfo.set_log_level}."""
        changed = change_log_level(self._context.bus, level, seconds)
        if not cluster:
            return changed
        data = json.dumps({"log_level": level, "timeout": seconds})
        return changed.addCallback(lambda _: self._node.cluster_events.broadcast(_LOG_LEVEL, data))

    def _level_elsewhere(self, text: str) -> Deferred[None]:
        data = json.loads(text)
        return change_log_level(self._context.bus, data["log_level"], data["timeout"])

    async def cache_get(self, key: str) -> Any:
        """See L{INodeInfo.cache_get}."""
        peeked = self._node.cache.peek(key)
        return None if peeked is None else peeked.value

    def cache_delete(self, key: str) -> Deferred[None]:
        """See L{INodeInfo.cache_delete}."""
        return self._node.cache.invalidate_local(key)

    def cache_purge(self) -> Deferred[None]:
        """See L{INodeInfo.cache_purge}."""
        return self._node.cache.purge()

    # -- health ----------------------------------------------------------------------------------
    def upstream_health(self, upstream_id: str) -> Mapping[str, Mapping[str, Any]] | None:
        """See L{INodeInfo.upstream_health}."""
        try:
            rows = self._node.health.upstream_health(
                upstream_id, self._node.keeper.targets_of(upstream_id)
            )
        except HealthError:
            return None
        return {row["target"]: row["data"] for row in rows if "data" in row}

    def balancer_health(self, upstream_id: str) -> Mapping[str, Any] | None:
        """See L{INodeInfo.balancer_health}."""
        try:
            return self._node.health.balancer_health(upstream_id)
        except HealthError:
            return None

    async def post_health(
        self, upstream: Mapping[str, Any], target: str, address: str | None, healthy: bool
    ) -> None:
        """See L{INodeInfo.post_health}."""
        try:
            self._node.health.set_health(upstream["id"], {"target": target}, address, healthy)
        except HealthError as error:
            raise ValueError(str(error)) from error

    def not_ready(self) -> str | None:
        """See L{INodeInfo.not_ready}."""
        if self._draining:
            return "draining"
        return None if self._node.is_serving else "router builds not yet complete"

    def drain(self) -> Deferred[None]:
        """See L{INodeInfo.drain}."""
        self._draining = True
        return self._context.bus.publish(RUNTIME_CHANNEL, DRAINING)

    # -- routes ----------------------------------------------------------------------------------
    def explain(
        self, method: str, url: str, headers: Iterable[tuple[str, str]], source: str
    ) -> Deferred[dict[str, Any]]:
        """See L{INodeInfo.explain}: in a thread, as every route is looked at."""
        router = self._node.keeper.current.router
        return deferToThread(explain_url, router, method, url, headers, source)

    def lint(self) -> Deferred[dict[str, Any]]:
        """See L{INodeInfo.lint}: in a thread, as it takes seconds where there are many routes.

        Who asks while it is under way gets the same outcome.
        """
        return self._lints.join("lint", self._lint)

    async def _lint(self) -> dict[str, Any]:
        # Entities are replaced when they change, never changed, so another thread may read them.
        routes, services = self._node.keeper.routes_and_services()
        flavor = self._node.conf.router_flavor
        return {"data": await deferToThread(lint_json, flavor, routes, services)}

    async def _ask_pids(self) -> None:
        self._pids = await self._context.bus.call("runtime.pids")  # type: ignore[attr-defined]

    def _on_draining(self, _data: Any, _channel: str, _event: str, _worker: int) -> None:
        self._draining = True
