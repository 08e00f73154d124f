"""C{kong}: the object that a plugin's phase methods get, one a request; on the hot path."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kongtx.cache.interfaces import ICache
from kongtx.cluster.interfaces import IClusterEvents
from kongtx.pdk.client import Client
from kongtx.pdk.facts import IP, Cluster, Nginx, Table
from kongtx.pdk.log import Log
from kongtx.pdk.node import Node
from kongtx.pdk.phases import ROUTED, only_in
from kongtx.pdk.request import Request
from kongtx.pdk.response import Response
from kongtx.pdk.service import Service
from kongtx.pdk.telemetry import Telemetry
from kongtx.pdk.tracing import Tracing
from kongtx.pdk.vault import Vault
from kongtx.proxy.interfaces import IRequestContext

#: What stands for the running plugin where none runs.
_NONE: Mapping[str, Any] = {"id": "", "name": "kong"}


class Router:
    """C{kong.router}: what the request was routed to."""

    __slots__ = ("_request",)

    def __init__(self, request: IRequestContext) -> None:
        self._request = request

    @only_in(ROUTED, "router.get_route")
    def get_route(self) -> Mapping[str, Any] | None:
        """The route entity; L{None} if no route matched."""
        return self._request.route

    @only_in(ROUTED, "router.get_service")
    def get_service(self) -> Mapping[str, Any] | None:
        """The service entity; L{None} if there is none."""
        return self._request.service


class Context:
    """C{kong.ctx}: values that live as long as the request."""

    __slots__ = ("_kong",)

    def __init__(self, kong: Kong) -> None:
        self._kong = kong

    @property
    def shared(self) -> dict[Any, Any]:
        """For plugins among themselves."""
        return self._kong.raw.shared

    @property
    def plugin(self) -> dict[Any, Any]:
        """Of the running plugin, whatever its configuration."""
        data = self._kong.raw.plugin_data
        name = self._kong.row["name"]
        held: dict[Any, Any] | None = data.get(name)
        if held is None:
            held = data[name] = {}
        return held


class RunningPlugin:
    """C{kong.plugin}: the plugin that runs now."""

    __slots__ = ("_kong",)

    def __init__(self, kong: Kong) -> None:
        self._kong = kong

    def get_id(self) -> str:
        """The id of the plugin entity whose configuration is in use."""
        plugin_id: str = self._kong.row["id"]
        return plugin_id


class Kong:
    """What plugins see. Parts are made when first asked for.

    @ivar raw: the request itself, in bytes, for plugins that count microseconds.
    @ivar node: the worker's L{Node}.
    @ivar row: the entity of the plugin that runs, whose configuration is in use.
    """

    __slots__ = (
        "_client",
        "_log",
        "_request",
        "_response",
        "_service",
        "_tracing",
        "node",
        "raw",
        "row",
    )

    def __init__(self, request: IRequestContext, node: Node) -> None:
        self.raw = request
        self.node = node
        self.row: Mapping[str, Any] = _NONE
        self._client: Client | None = None
        self._log: Log | None = None
        self._request: Request | None = None
        self._response: Response | None = None
        self._service: Service | None = None
        self._tracing: Tracing | None = None

    @property
    def request(self) -> Request:
        """The client's request."""
        if self._request is None:
            self._request = Request(self.raw, self.node)
        return self._request

    @property
    def client(self) -> Client:
        """Who asks."""
        if self._client is None:
            self._client = Client(self.raw, self.node)
        return self._client

    @property
    def service(self) -> Service:
        """Where the request goes, with what, and what came back."""
        if self._service is None:
            self._service = Service(self.raw, self.node)
        return self._service

    @property
    def response(self) -> Response:
        """What goes to the client."""
        if self._response is None:
            self._response = Response(self.raw, self.node)
        return self._response

    @property
    def log(self) -> Log:
        """Log lines in the running plugin's name, and the log entry."""
        if self._log is None:
            self._log = Log(self.raw, self.node)
        return self._log._name_after(self.row["name"])

    @property
    def router(self) -> Router:
        """What the request was routed to."""
        return Router(self.raw)

    @property
    def ctx(self) -> Context:
        """Values that live as long as the request."""
        return Context(self)

    @property
    def plugin(self) -> RunningPlugin:
        """The plugin that runs now."""
        return RunningPlugin(self)

    @property
    def cache(self) -> ICache:
        """The node's cache."""
        return self.node.cache

    @property
    def db(self) -> Any:
        """The configuration store."""
        return self.node.store

    @property
    def configuration(self) -> Any:
        """The gateway's configuration, read only."""
        return self.node.configuration

    @property
    def cluster(self) -> Cluster:
        """The nodes that share a database."""
        return Cluster(self.node)

    @property
    def cluster_events(self) -> IClusterEvents:
        """What this node and the others tell each other."""
        return self.node.cluster_events

    @property
    def ip(self) -> IP:
        """Addresses."""
        return IP(self.node)

    @property
    def nginx(self) -> Nginx:
        """Counts of connections and requests."""
        return Nginx(self.node)

    @property
    def table(self) -> Table:
        """What Kong does with tables."""
        return Table()

    @property
    def vault(self) -> Vault:
        """Secrets by reference."""
        return Vault(self)

    @property
    def tracing(self) -> Tracing:
        """Spans of this request."""
        if self._tracing is None:
            self._tracing = Tracing(self)
        return self._tracing

    @property
    def telemetry(self) -> Telemetry:
        """Records for a telemetry backend."""
        return Telemetry(self)


def kong_of(request: IRequestContext, node: Node) -> Kong:
    """The L{Kong} of a request, made when it is first needed."""
    kong: Kong | None = request.pdk
    if kong is None:
        kong = request.pdk = Kong(request, node)
    return kong
