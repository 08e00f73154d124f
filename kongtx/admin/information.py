"""What the node says of itself. Kong: C{kong/api/routes/kong.lua}, C{health.lua}, C{cache.lua}."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from kongtx._version import KONG_VERSION, __version__
from kongtx.admin.answers import NO_CONTENT, NOT_FOUND, Answer, abort, message
from kongtx.admin.call import Call, is_text
from kongtx.admin.context import AdminContext
from kongtx.admin.routing import Endpoint, Router
from kongtx.db.errors import StoreError
from kongtx.db.interfaces import EMPTY_DIGEST
from kongtx.lib.loglevel import LEVEL_NAMES
from kongtx.lib.memory import shown_size
from kongtx.schema import number
from kongtx.schema.forms import infer_value

_NUMBER = number()


class Information:
    """Endpoints about the node.

    @param router: all endpoints, which L{paths} lists.
    """

    def __init__(self, context: AdminContext, router: Router) -> None:
        self._store = context.store
        self._settings = context.settings
        self._node = context.node
        self._loader = context.loader
        self._router = router

    def endpoints(self) -> Iterator[Endpoint]:
        """Those of the Admin API."""
        yield Endpoint("/", {"GET": self.index})
        yield from self.shared()
        yield Endpoint("/endpoints", {"GET": self.paths})
        yield Endpoint("/timers", {"GET": self.timers})
        yield Endpoint("/cache", {"DELETE": self.purge})
        yield Endpoint("/cache/{key}", {"GET": self.cached, "DELETE": self.drop})
        yield Endpoint("/debug/node/log-level", {"GET": self.log_level})
        yield Endpoint("/debug/node/log-level/{log_level}", {"PUT": self._setter(False)})
        cluster = "cluster"
        if self._settings.role == "control_plane":
            cluster = "cluster/control-planes-nodes"
        yield Endpoint(f"/debug/{cluster}/log-level/{{log_level}}", {"PUT": self._setter(True)})

    def shared(self) -> Iterator[Endpoint]:
        """Those that status listeners have too."""
        yield Endpoint("/status", {"GET": self.status})
        yield Endpoint("/status/dns", {"GET": self.dns})

    async def index(self, call: Call) -> Answer:
        """C{GET /}."""
        node = self._node
        names: dict[str, None] = {}
        async for plugin in self._store["plugins"].each_stored():
            names.setdefault(plugin["name"])
        available = {
            name: {"version": version, "priority": priority}
            for name, (version, priority) in node.plugins().items()
        }
        return Answer(
            200,
            {
                "tagline": "Welcome to kong",
                "version": KONG_VERSION,
                "kongtx_version": __version__,
                "edition": "community",
                "hostname": node.hostname,
                "node_id": node.node_id,
                # Clients show it; there is no Lua.
                "lua_version": "LuaJIT 2.1.0",
                "timers": node.timers(),
                "plugins": {
                    "available_on_server": available,
                    "enabled_in_cluster": list(names),
                },
                "pids": node.pids(),
                "configuration": node.configuration(),
            },
        )

    async def status(self, call: Call) -> Answer:
        """C{GET /status}."""
        size = _sizes(call)
        workers = await self._node.workers()
        server: Counter[str] = Counter()
        for worker in workers:
            server.update(worker["server"])
        body: dict[str, Any] = {
            "memory": {
                "workers_lua_vms": [
                    {"pid": worker["pid"], "http_allocated_gc": size(worker["bytes"])}
                    for worker in workers
                ],
                "lua_shared_dicts": {
                    name: {"allocated_slabs": size(used), "capacity": size(capacity)}
                    for name, (used, capacity) in self._node.shared_stores().items()
                },
            },
            "server": dict(server),
        }
        if self._loader is not None:
            body["configuration_hash"] = await self._loader.digest()
        else:
            body["database"] = {"reachable": await self._is_reachable()}
        return Answer(200, body)

    async def _is_reachable(self) -> bool:
        try:
            await self._store.connector.ping()
        except StoreError:
            return False
        return True

    async def dns(self, call: Call) -> Answer:
        """C{GET /status/dns}."""
        statistics = self._node.dns_statistics()
        if statistics is None:
            return message(501, "not implemented with the legacy DNS client")
        return Answer(200, {"worker": self._node.worker(), "stats": statistics})

    async def paths(self, call: Call) -> Answer:
        """C{GET /endpoints}."""
        found = [endpoint.path for endpoint in self._router]
        found.sort(key=lambda path: path.split("/"))
        return Answer(200, {"data": found})

    async def timers(self, call: Call) -> Answer:
        """C{GET /timers}."""
        node = self._node
        return Answer(200, {"worker": node.worker(), "stats": node.timer_statistics()})

    async def cached(self, call: Call) -> Answer:
        """C{GET /cache/{key}}."""
        key = call.parameter("key")
        value = await self._node.cache_get(key) if is_text(key) else None
        if value is None:
            return NOT_FOUND
        return Answer(200, value if isinstance(value, (dict, list)) else {"message": value})

    async def drop(self, call: Call) -> Answer:
        """C{DELETE /cache/{key}}."""
        key = call.parameter("key")
        if is_text(key):
            await self._node.cache_delete(key)
        return NO_CONTENT

    async def purge(self, call: Call) -> Answer:
        """C{DELETE /cache}."""
        await self._node.cache_purge()
        return NO_CONTENT

    async def log_level(self, call: Call) -> Answer:
        """C{GET /debug/node/log-level}."""
        return message(200, f"log level: {self._node.log_level()}")

    def _setter(self, cluster: bool) -> Callable[[Call], Any]:
        async def change(call: Call) -> Answer:
            if self._settings.database == "off":
                raise abort(405, "cannot change log level when not using a database")
            level = call.parameter("log_level")
            if level not in LEVEL_NAMES:
                raise abort(400, f"unknown log level: {level}")
            seconds = _timeout(call)
            if level == self._node.log_level():
                return message(200, f"log level is already {level}")
            await self._node.set_log_level(level, seconds, cluster)
            return message(200, "log level changed")

        return change


class Readiness:
    """Whether load balancers should send traffic; on status listeners."""

    def __init__(self, context: AdminContext) -> None:
        self._context = context

    def endpoints(self) -> Iterator[Endpoint]:
        """C{/status/ready}."""
        yield Endpoint("/status/ready", {"GET": self.show, "POST": self.drain})

    async def show(self, call: Call) -> Answer:
        """C{GET /status/ready}."""
        reason = self._context.node.not_ready() or await self._lacking() or await self._behind()
        return message(200, "ready") if reason is None else message(503, reason)

    async def _lacking(self) -> str | None:
        """What is wrong with where the configuration comes from."""
        if self._context.loader is not None:
            if await self._context.loader.digest() == EMPTY_DIGEST:
                return "no configuration available (empty configuration present)"
        elif self._context.settings.role != "control_plane":
            try:
                await self._context.store.connector.ping()
            except StoreError:
                return "failed to connect to database"
        return None

    async def _behind(self) -> str | None:
        """Whether workers of the node are still to come."""
        count = self._context.node.worker()["count"]
        ready = sum(worker["ready"] for worker in await self._context.node.workers())
        if ready >= count:
            return None
        return f"router builds not yet complete, router ready in {ready} of {count} workers"

    async def drain(self, call: Call) -> Answer:
        """C{POST /status/ready}."""
        if call.body.plain().get("status") != "draining":
            raise abort(400, "Bad request")
        await self._context.node.drain()
        return NO_CONTENT


def _sizes(call: Call) -> Callable[[int], Any]:
    """How a size in bytes is shown: C{unit} b, k, m, g, with C{scale} digits."""
    unit = call.first("unit")
    unit = "m" if unit is None else unit
    scale = infer_value(call.first("scale"), _NUMBER)
    digits = scale if isinstance(scale, (int, float)) else 2
    try:
        shown_size(0, unit, digits)
    except ValueError as error:
        raise abort(400, str(error)) from None
    return lambda size: shown_size(size, unit, digits)


def _timeout(call: Call) -> int:
    """The seconds for which a log level is wanted, rounded up."""
    given = call.first("timeout")
    if given is None:
        given = call.body.plain().get("timeout")
    seconds = infer_value(given, _NUMBER) if isinstance(given, str) else given
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
        return 60
    if not 0 <= seconds <= 1 << 31:
        raise abort(400, "timeout must be greater than or equal to 0")
    return int(-(-seconds // 1))
