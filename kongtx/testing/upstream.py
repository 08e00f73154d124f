"""An HTTP upstream for tests, which tells what it was asked and answers as it is told."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import attrs
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.interfaces import IListeningPort
from twisted.protocols.policies import WrappingFactory
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site


@attrs.frozen
class Received:
    """One request that reached the upstream; header names in lower case."""

    method: str
    target: str
    headers: dict[str, list[str]]
    body: bytes

    def header(self, name: str) -> str | None:
        """The first value of a header."""
        values = self.headers.get(name.lower())
        return values[0] if values else None


@attrs.frozen
class Reply:
    """What an upstream answers; headers are C{(name, value)}."""

    status: int = 200
    body: bytes = b""
    headers: list[tuple[str, str]] = attrs.Factory(list)


Answering = Callable[[Received], "Reply | Deferred[Reply]"]


def echo(received: Received) -> Reply:
    """Answer with the request, as JSON."""
    told = {
        "method": received.method,
        "target": received.target,
        "headers": received.headers,
        "body": received.body.decode("latin-1"),
    }
    return Reply(200, json.dumps(told).encode(), [("Content-Type", "application/json")])


class _Leaf(Resource):
    isLeaf = True

    def __init__(self, upstream: Upstream) -> None:
        super().__init__()
        self._upstream = upstream

    def render(self, request: Request) -> int:
        headers: dict[str, list[str]] = {}
        for name, values in request.requestHeaders.getAllRawHeaders():
            headers[name.decode("latin-1").lower()] = [v.decode("latin-1") for v in values]
        body = request.content.read() if request.content else b""
        received = Received(request.method.decode(), request.uri.decode("latin-1"), headers, body)
        self._upstream.received.append(received)
        answered: Deferred[Any] = maybeDeferred(self._upstream.answer, received)
        answered.addCallback(self._send, request)
        answered.addErrback(request.processingFailed)
        return NOT_DONE_YET

    def _send(self, reply: Reply, request: Request) -> None:
        request.setResponseCode(reply.status)
        for name, value in reply.headers:
            request.responseHeaders.addRawHeader(name, value)
        request.responseHeaders.setRawHeaders("Content-Length", [str(len(reply.body))])
        request.write(reply.body)
        request.finish()


class Upstream:
    """An upstream on a loopback port.

    @ivar received: the requests that reached it, oldest first.
    @ivar answer: makes the reply to a request; L{echo} at first. Set it to change what it does.
    """

    def __init__(self, reactor: Any, answer: Answering = echo) -> None:
        self._reactor = reactor
        self._port: IListeningPort | None = None
        self._connections: WrappingFactory | None = None
        self.answer = answer
        self.received: list[Received] = []
        self.url = ""

    async def start(self, address: str = "127.0.0.1", port: int = 0) -> Upstream:
        """Listen; C{url} is known then."""
        endpoint = TCP4ServerEndpoint(self._reactor, port, interface=address)
        self._connections = WrappingFactory(Site(_Leaf(self)))
        self._port = await endpoint.listen(self._connections)
        host: Any = self._port.getHost()
        self.url = f"http://{host.host}:{host.port}"
        return self

    @property
    def host_port(self) -> str:
        """C{address:port}, as a target has it."""
        return self.url.removeprefix("http://")

    async def stop(self) -> None:
        """Listen no more, and drop the connections there are."""
        if self._port is not None:
            stopping = self._port.stopListening()
            if stopping is not None:
                await stopping
            self._port = None
        if self._connections is not None:
            for connection in list(self._connections.protocols):
                connection.abortConnection()
            self._connections = None
