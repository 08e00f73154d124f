"""A gateway in this process, on real sockets, with a scripted upstream beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs
from twisted.internet import reactor
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.protocol import ClientCreator, Factory, Protocol
from twisted.web.server import Site
from zope.interface import implementer

from kongtx.balancer.interfaces import IBalancer, IPeer
from kongtx.proxy.gateway import Gateway, GatewaySettings
from kongtx.proxy.interfaces import (
    IPhaseHandler,
    IPlanStep,
    IPluginIterator,
    IPluginPlan,
    ISnapshot,
)
from kongtx.proxy.pools.pool import UpstreamPool
from kongtx.proxy.resource import GatewayResource
from kongtx.router.interfaces import IMatch, IRouter


@implementer(IPeer)
@attrs.frozen
class Peer:
    address: str
    port: int
    host: bytes


@implementer(IBalancer)
class FixedBalancer:
    """Gives its peers in turn, the first not among the failed ones."""

    client_certificate = None

    def __init__(self, *peers: Any) -> None:
        self.peers = peers
        self.events: list[tuple[Any, ...]] = []

    def pick(self, request: Any, failed: Sequence[Any]) -> Any:
        peer = self.peers[len(failed) % len(self.peers)]
        if isinstance(peer, Exception):
            raise peer
        return peer

    def started(self, peer: Any) -> None:
        self.events.append(("started", peer.port))

    def finished(self, peer: Any, outcome: Any, seconds: float) -> None:
        self.events.append(("finished", peer.port, outcome))


@implementer(IMatch)
@attrs.frozen
class Match:
    route: Mapping[str, Any]
    service: Mapping[str, Any] | None
    upstream_path: bytes
    prefix: bytes
    captures: tuple[Sequence[bytes], Mapping[str, bytes]] = ((), {})


@implementer(IRouter)
class PrefixRouter:
    """The first route with a path that the request's begins with."""

    def __init__(self, routes: Sequence[tuple[Mapping[str, Any], Mapping[str, Any] | None]]):
        self.routes = routes

    def match(self, request: Any) -> Match | None:
        for route, service in self.routes:
            for path in route["paths"]:
                prefix = path.encode()
                if request.path.startswith(prefix):
                    if not route.get("strip_path", True):
                        return Match(route, service, request.path, b"")
                    rest = request.path[len(prefix) :]
                    rest = rest if rest.startswith(b"/") else b"/" + rest
                    return Match(route, service, rest, prefix)
        return None


@implementer(IPhaseHandler)
class Handler:
    """A plugin made of the functions it is given."""

    rewrite = access = response = header_filter = body_filter = log = None

    def __init__(self, name: str, **phases: Any) -> None:
        self.name = name
        for phase, function in phases.items():
            setattr(self, phase, function)


@implementer(IPlanStep)
@attrs.frozen
class Step:
    handler: Any = None
    by_consumer: Mapping[str, Any] = attrs.Factory(dict)


@implementer(IPluginPlan)
@attrs.frozen
class Plan:
    steps: Sequence[Any]


@implementer(IPluginIterator)
class Plugins:
    def __init__(self, steps: Sequence[Any] = (), global_handlers: Sequence[Any] = ()) -> None:
        self.steps = steps
        self.global_handlers = global_handlers

    def plan_for(self, route: Any, service: Any) -> Plan:
        return Plan(self.steps)


@implementer(ISnapshot)
class Snapshot:
    def __init__(self, router: Any, plugins: Any, balancer: Any) -> None:
        self.router = router
        self.plugins = plugins
        self.balancer = balancer

    def balancer_for(self, service: Any) -> Any:
        return self.balancer


class LogSink:
    """Keeps what was logged."""

    def __init__(self) -> None:
        self.requests: list[Any] = []
        self._waiters: list[tuple[int, Deferred[None]]] = []

    def log(self, request: Any) -> None:
        self.requests.append(request)
        for count, waiter in self._waiters:
            if len(self.requests) >= count and not waiter.called:
                waiter.callback(None)

    def wait(self, count: int = 1) -> Deferred[None]:
        waiter: Deferred[None] = Deferred()
        if len(self.requests) >= count:
            waiter.callback(None)
        else:
            self._waiters.append((count, waiter))
        return waiter


class Recorder(Protocol):
    """A connection whose bytes are kept, with Deferreds for what is waited for."""

    def __init__(self) -> None:
        self.data = b""
        self.closed: Deferred[str] = Deferred()
        self.is_closed = False
        self._waiters: list[tuple[Callable[[bytes], bool], Deferred[bytes]]] = []

    def dataReceived(self, data: bytes) -> None:
        self.data += data
        for done, waiter in list(self._waiters):
            if done(self.data):
                self._waiters.remove((done, waiter))
                waiter.callback(self.data)

    def connectionLost(self, reason: Any = None) -> None:
        self.is_closed = True
        self.closed.callback(type(reason.value).__name__)

    def until(self, done: Callable[[bytes], bool] | bytes) -> Deferred[bytes]:
        """Fires with all data once it is enough."""
        if isinstance(done, bytes):
            mark = done
            return self.until(lambda data: mark in data)
        waiter: Deferred[bytes] = Deferred()
        if done(self.data):
            waiter.callback(self.data)
        else:
            self._waiters.append((done, waiter))
        return waiter


OK = b"HTTP/1.1 200 OK\r\nDate: then\r\nContent-Length: 2\r\n\r\nok"


class UpstreamConnection(Recorder):
    """Answers each request as its factory's script says."""

    def connectionMade(self) -> None:
        self.factory.connections.append(self)
        self.factory.arrived()

    def dataReceived(self, data: bytes) -> None:
        super().dataReceived(data)
        self.factory.script(self, data)


class Upstream(Factory):
    """A server on a free port that calls C{script(connection, data)} for what it receives."""

    noisy = False
    protocol = UpstreamConnection

    def __init__(self, script: Any = None) -> None:
        self.connections: list[UpstreamConnection] = []
        self.script = script if script is not None else answering(OK)
        self._waiters: list[tuple[int, Deferred[Any]]] = []
        self.port = reactor.listenTCP(0, self, interface="127.0.0.1")
        self.number = self.port.getHost().port

    def arrived(self) -> None:
        for count, waiter in self._waiters:
            if len(self.connections) >= count and not waiter.called:
                waiter.callback(self.connections[count - 1])

    def connection(self, number: int = 1) -> Deferred[UpstreamConnection]:
        waiter: Deferred[Any] = Deferred()
        if len(self.connections) >= number:
            waiter.callback(self.connections[number - 1])
        else:
            self._waiters.append((number, waiter))
        return waiter

    @property
    def received(self) -> bytes:
        return b"".join(connection.data for connection in self.connections)

    async def stop(self) -> None:
        for connection in self.connections:
            if not connection.is_closed:
                connection.transport.abortConnection()
                await connection.closed
        await self.port.stopListening()


def answering(*answers: bytes) -> Any:
    """A script that answers each complete bodyless request with the next of C{answers}; the last
    one again and again."""

    def script(connection: Any, data: bytes) -> None:
        seen = getattr(connection, "answered", 0)
        for _ in range(connection.data.count(b"\r\n\r\n") - seen):
            connection.transport.write(answers[min(connection.answered_total(), len(answers) - 1)])

    UpstreamConnection.answered_total = _answered_total  # type: ignore[attr-defined]
    return script


def _answered_total(self: Any) -> int:
    self.answered = getattr(self, "answered", 0) + 1
    return self.answered - 1


def free_port() -> int:
    """A port nobody listens on."""
    port = reactor.listenTCP(0, Factory(), interface="127.0.0.1")
    number = port.getHost().port
    port.stopListening()
    return int(number)


SERVICE: dict[str, Any] = {
    "id": "5e000000-0000-4000-8000-000000000001",
    "name": "example",
    "protocol": "http",
    "host": "upstream.test",
    "port": 80,
    "path": None,
    "retries": 5,
    "connect_timeout": 1000,
    "write_timeout": 1000,
    "read_timeout": 1000,
}
ROUTE: dict[str, Any] = {
    "id": "60000000-0000-4000-8000-000000000001",
    "name": "example-route",
    "protocols": ["http", "https"],
    "paths": ["/api"],
    "strip_path": True,
    "preserve_host": False,
    "https_redirect_status_code": 426,
    "request_buffering": True,
    "response_buffering": True,
}


class Kit:
    """One gateway with one route, and what it takes to use it."""

    def __init__(
        self,
        *peers: Any,
        route: Mapping[str, Any] | None = None,
        service: Mapping[str, Any] | None = None,
        routes: Any = None,
        plugins: Any = None,
        settings: Any = None,
        pool: Mapping[str, Any] | None = None,
        tls: Any = None,
        resource: bool = False,
        listen: Any = None,
    ) -> None:
        self.balancer = FixedBalancer(*peers)
        self.log = LogSink()
        self.pool = UpstreamPool(reactor, tls=tls, **(pool or {}))
        if routes is None:
            routes = [({**ROUTE, **(route or {})}, {**SERVICE, **(service or {})})]
        self.snapshot = Snapshot(PrefixRouter(routes), plugins or Plugins(), self.balancer)
        self.gateway = Gateway(
            settings or GatewaySettings(), self.snapshot, self.pool, reactor, self.log, tls
        )
        self.factory: Any = self.gateway.listener_factory(listen)
        if resource:
            self.factory = Site(GatewayResource(self.gateway))
        self.port = reactor.listenTCP(0, self.factory, interface="127.0.0.1")
        self.number = self.port.getHost().port
        self.clients: list[Recorder] = []

    async def connect(self) -> Recorder:
        client = await ClientCreator(reactor, Recorder).connectTCP("127.0.0.1", self.number)
        self.clients.append(client)
        return client

    async def ask(self, request: bytes, done: Any = None) -> bytes:
        """Send bytes on a new connection; the answer, complete with its body."""
        client = await self.connect()
        client.transport.write(request)
        data: bytes = await client.until(done if done is not None else is_whole)
        return data

    async def stop(self) -> None:
        await self.port.stopListening()
        for client in self.clients:
            if not client.is_closed:
                client.transport.abortConnection()
                await client.closed
        await DeferredList([self.gateway.drain(), self.pool.close()])
        # Each attempt's end has been told to the balancer, once.
        told = [event[0] for event in self.balancer.events]
        assert told.count("started") == told.count("finished"), self.balancer.events


def is_whole(data: bytes) -> bool:
    """Whether the bytes hold one whole final response."""
    while data.startswith(b"HTTP/1.1 1") and b"\r\n\r\n" in data:
        data = data.partition(b"\r\n\r\n")[2]
    head, mark, body = data.partition(b"\r\n\r\n")
    if not mark:
        return False
    fields = parse_fields(head)
    if fields.get(b"transfer-encoding") == [b"chunked"]:
        return body.endswith(b"0\r\n\r\n")
    if b"content-length" in fields:
        return len(body) >= int(fields[b"content-length"][0])
    return True


def parse_fields(head: bytes) -> dict[bytes, list[bytes]]:
    fields: dict[bytes, list[bytes]] = {}
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b": ")
        fields.setdefault(name.lower(), []).append(value)
    return fields


def parse(data: bytes) -> tuple[int, dict[bytes, list[bytes]], bytes]:
    """A response's status, its fields by lower-case name, and its body as framed."""
    head, _, body = data.partition(b"\r\n\r\n")
    return int(head[9:12]), parse_fields(head), body


def settings(**values: Any) -> GatewaySettings:
    return GatewaySettings(**values)
