"""A gateway in the test's own process and reactor, on ephemeral ports, configured by a mapping."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from itertools import count
from typing import Any

from kongtx.conf import Configuration, from_values
from kongtx.db.declarative import DeclarativeFormat, transformed
from kongtx.db.store import Store
from kongtx.events.local import LocalEventBus, LocalLeases
from kongtx.plugins.interfaces import IPlugin
from kongtx.runtime.host import NodeHost
from kongtx.runtime.listeners import Listener, ListenerSet, wanted
from kongtx.runtime.logs import Logs
from kongtx.runtime.logs.fromconf import log_settings
from kongtx.runtime.node.composition import GatewayNode
from kongtx.runtime.prefix import prepare
from kongtx.testing.client import Client

#: Properties of a gateway under test; a test may set others.
PROPERTIES: Mapping[str, Any] = {
    "proxy_listen": "127.0.0.1:0",
    "admin_listen": "127.0.0.1:0",
    "status_listen": "127.0.0.1:0",
    "admin_gui_listen": "off",
    "nginx_worker_processes": "0",
    "mem_cache_size": "4m",
    "proxy_access_log": "off",
    "admin_access_log": "off",
    "dns_resolver": "127.0.0.1:1",
}

#: Each is a new start, whatever process it is in.
_generations = count(1)


def _bus(reactor: Any) -> LocalEventBus:
    bus = LocalEventBus(reactor, pid=os.getpid())
    pids = {"master": os.getpid(), "workers": [os.getpid()]}
    bus.serve("runtime.pids", lambda data, peer: pids)
    return bus


def _own_plugins(properties: dict[str, Any]) -> list[IPlugin]:
    """Take the plugins that are objects, or classes of such, out of the properties."""
    given = properties.get("plugins")
    if given is None or isinstance(given, str):
        return []
    names = [each for each in given if isinstance(each, str)]
    properties["plugins"] = ",".join(["bundled", *names])
    others = [each for each in given if not isinstance(each, str)]
    return [each() if isinstance(each, type) else each for each in others]


class GatewayUnderTest:
    """A whole gateway: proxy, Admin API, status, on loopback ports of its own.

    ::

        gateway = await GatewayUnderTest.start(
            reactor,
            {"services": [{"name": "s", "url": upstream.url, "routes": [{"paths": ["/"]}]}]},
        )
        response = await gateway.client.get("/")
        await gateway.stop()

    @ivar url: where it proxies, without a slash at the end.
    @ivar admin_url: its Admin API.
    @ivar status_url: its Status API.
    @ivar client: makes requests to the proxy.
    @ivar admin: makes requests to the Admin API.
    @ivar store: its entities.
    @ivar node: everything that it is made of.
    """

    def __init__(self, conf: Configuration, host: NodeHost, listeners: ListenerSet) -> None:
        self.conf = conf
        self._host = host
        self._listeners = listeners
        self.node: GatewayNode
        urls: dict[str, str] = {}
        for bound in listeners.bound:
            scheme = "https" if bound.listen.ssl else "http"
            port = bound.sockets[0].getsockname()[1]
            urls.setdefault(bound.kind, f"{scheme}://127.0.0.1:{port}")
        self.url = urls.get("proxy", "")
        self.admin_url = urls.get("admin", "")
        self.status_url = urls.get("status", "")
        self.client = Client(self.url)
        self.admin = Client(self.admin_url)

    @property
    def store(self) -> Store:
        """The gateway's entities."""
        return self.node.store

    @classmethod
    async def start(
        cls,
        reactor: Any,
        declared: Mapping[str, Any] | None = None,
        **properties: Any,
    ) -> GatewayUnderTest:
        """Start one.

        @param declared: entities as in a declarative file, without its C{_format_version}.
        @param properties: configuration properties by their names. C{plugins} may also be a list
            of plugins, names or objects, that are loaded besides the bundled ones.
        """
        own = _own_plugins(properties)
        prefix = properties.pop("prefix", None) or tempfile.mkdtemp(prefix="kongtx-test-")
        conf = from_values({**PROPERTIES, "prefix": prefix, **properties})
        os.makedirs(prefix, exist_ok=True)
        prepare(conf)
        listeners = ListenerSet().changed(wanted(conf), 1)
        host = NodeHost(
            conf,
            reactor,
            bus=_bus(reactor),
            leases=LocalLeases(),
            logs=Logs(log_settings(conf), reactor),
            listeners=[Listener(b.kind, b.listen, b.sockets) for b in listeners.bound],
            worker_id=0,
            worker_count=1,
            generation=next(_generations),
        )
        gateway = cls(conf, host, listeners)

        def build(context: Any) -> GatewayNode:
            gateway.node = GatewayNode(context, own)
            return gateway.node

        try:
            await host.start(build)
            if declared:
                await gateway.add(declared)
        except BaseException:
            await gateway.stop()
            raise
        return gateway

    async def add(self, declared: Mapping[str, Any]) -> None:
        """Add entities, as in a declarative file; they are in force when this returns."""
        document = {"_format_version": "3.0", **declared}
        parsed = DeclarativeFormat(self.store.registry).parse(
            document, self.store.context(), default_workspace=False
        )
        await self.store.restore(transformed(parsed, self.store.registry))

    async def stop(self, keep_prefix: bool = False) -> None:
        """Stop it, and remove its files."""
        await self._host.stop()
        self._listeners.close()
        if not keep_prefix:
            shutil.rmtree(self.conf.prefix, ignore_errors=True)
