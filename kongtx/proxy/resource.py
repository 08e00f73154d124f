"""A gateway as a resource of twisted.web: mount it in any C{Site}.

The request's way is the one of the fast channel; only the channel is another. twisted.web has read
the whole body before it renders, and does the framing. Upgrades cannot pass through it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import count
from typing import Any, Final

from twisted.internet.interfaces import IPushProducer
from twisted.python.failure import Failure
from twisted.web.http import Request
from twisted.web.http_headers import Headers
from twisted.web.resource import IResource
from twisted.web.server import NOT_DONE_YET
from zope.interface import implementer

from kongtx.http.heads import REFUSED_METHODS
from kongtx.http.interfaces import IExchange, IServerChannel
from kongtx.http.targets import parse_authority, split_absolute
from kongtx.proxy.gateway import Gateway
from kongtx.proxy.request.bodies import PIECE_BYTES
from kongtx.proxy.request.exchange import Exchange, Refusal

Header = tuple[bytes, bytes]

_MINORS: Final = {b"HTTP/1.0": 0, b"HTTP/1.1": 1, b"HTTP/2": 2}
_serials = count(1)


@implementer(IResource)
class GatewayResource:
    """Passes every request on to a gateway."""

    isLeaf = True
    server = None

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    def getChildWithDefault(self, name: bytes, request: Request) -> GatewayResource:
        return self

    def putChild(self, path: bytes, child: IResource) -> None:
        raise NotImplementedError("a gateway has routes, not children")

    def render(self, request: Request) -> int:
        """Start a request's way; it ends when it ends."""
        WebChannel(self._gateway, request).begin()
        return NOT_DONE_YET


@implementer(IServerChannel, IPushProducer)
class WebChannel:
    """One request of twisted.web, as an exchange sees its connection."""

    can_tunnel = False
    takes_raw = False
    keep_alive = True
    requests = 1
    memo: Any = None
    proxied_peer: tuple[str, int] | None = None

    def __init__(self, gateway: Gateway, request: Request) -> None:
        self._gateway = gateway
        self._request = request
        self._content: Any = request.content
        self._exchange: IExchange | None = None
        self._body_wanted: Callable[[], None] | None = None
        self._body_paused = False
        self.serial = next(_serials)
        self.transport: Any = request.transport
        self.peer = _address(request.getClientAddress())
        self.local = _address(request.getHost())
        self.is_tls = bool(request.isSecure())
        self.sni = b""
        self.write_paused = False
        self.head_received = self.body_received = self.head_sent = self.body_sent = 0

    def begin(self) -> None:
        """Make the exchange and give it the request."""
        request = self._request
        request.notifyFinish().addErrback(self._lost)
        exchange = self._exchange = self._make_exchange()
        content = self._content
        content.seek(0, 2)
        self.body_received = size = content.tell()
        content.seek(0)
        request.registerProducer(self, True)
        if size <= PIECE_BYTES:
            exchange.start(content.read(), True)
            return
        exchange.start(b"", False)
        self._body_wanted = self._send_body
        self._send_body()

    def _make_exchange(self) -> Exchange:
        request = self._request
        gateway = self._gateway
        headers: list[Header] = []
        names: list[bytes] = []
        for name, values in request.requestHeaders.getAllRawHeaders():
            for value in values:
                headers.append((name.lower(), value))
                names.append(name)
        # For sizes in logs: what the line and the fields take.
        self.head_received = sum(len(name) + len(value) + 4 for name, value in headers) + (
            len(request.method) + len(request.uri) + len(request.clientproto) + 6
        )
        table = dict(reversed(headers))
        target, host = request.uri, table.get(b"host")
        if target[:1] != b"/":
            absolute = split_absolute(target)
            if absolute is not None:
                host, target = absolute
        head = b"%b %b HTTP/1.1\r\n" % (request.method, target)
        if request.method in REFUSED_METHODS:
            return Refusal(gateway, self, 405, head)
        authority = (b"", 0) if host is None else parse_authority(host)
        minor = _MINORS.get(request.clientproto, 1)
        hosts = sum(name == b"host" for name, _ in headers)
        if authority is None or hosts > 1 or (host is None and minor):
            return Refusal(gateway, self, 400, head)
        return Exchange(
            gateway, self, request.method, target, minor, headers, names, table, *authority
        )

    # -- the request's body ------------------------------------------------------------------
    def _send_body(self) -> None:
        content = self._content
        exchange = self._exchange
        while exchange is not None and self._exchange is exchange and not self._body_paused:
            piece = content.read(PIECE_BYTES)
            if not piece:
                self._body_wanted = None
                exchange.body_end(())
                return
            exchange.body_part(piece)

    def send_continue(self) -> None:
        pass

    def pause_body(self) -> None:
        self._body_paused = True

    def resume_body(self) -> None:
        if self._body_paused:
            self._body_paused = False
            if self._body_wanted is not None:
                self._body_wanted()

    # -- the answer --------------------------------------------------------------------------
    def respond(
        self,
        status: int,
        reason: bytes | None,
        headers: Sequence[Header],
        body: bytes,
        length: int,
        ended: bool,
    ) -> None:
        request = self._request
        request.setResponseCode(status, reason)
        request.responseHeaders = fields = Headers()
        for name, value in headers:
            fields.addRawHeader(name, value)
        head_only = request.method == b"HEAD"
        if ended and length < 0 and not head_only and status != 304:
            length = len(body)
        if length >= 0 and status >= 200 and status != 204:
            fields.setRawHeaders(b"Content-Length", [b"%d" % length])
        self.head_sent = sum(len(name) + len(value) + 4 for name, value in headers) + 17
        self.body_sent = 0
        request.write(b"")
        self.write(body)
        if ended:
            self.end()

    def respond_raw(
        self, head: bytes, headers: bytes, body: bytes, length: int, ended: bool
    ) -> None:
        raise NotImplementedError("takes_raw is false")

    def write(self, data: bytes) -> None:
        if data and self._request.method != b"HEAD":
            self.body_sent += len(data)
            self._request.write(data)

    def end(self, trailers: Sequence[Header] = ()) -> None:
        exchange, self._exchange = self._exchange, None
        self._request.unregisterProducer()
        self._request.finish()
        if exchange is not None:
            exchange.finished()

    def abort(self) -> None:
        self._exchange = None
        self._request.unregisterProducer()
        self.transport.abortConnection()

    def cut_off(self) -> None:
        self.abort()

    def hang_up(self) -> None:
        raise NotImplementedError("can_tunnel is false")

    def tunnel(
        self, status: int, reason: bytes | None, headers: Sequence[Header], receiver: Any
    ) -> bytes:
        raise NotImplementedError("can_tunnel is false")

    def _lost(self, failure: Failure) -> None:
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.client_lost()

    # -- IPushProducer ---------------------------------------------------------------------
    def pauseProducing(self) -> None:
        if not self.write_paused:
            self.write_paused = True
            if self._exchange is not None:
                self._exchange.client_paused()

    def resumeProducing(self) -> None:
        self.write_paused = False
        if self._exchange is not None:
            self._exchange.client_resumed()

    def stopProducing(self) -> None:
        self.write_paused = True


def _address(address: Any) -> tuple[str, int]:
    return getattr(address, "host", "unix:"), getattr(address, "port", 0)
