"""The HTTP/1.1 server channel (RFC 9112). Hot path: one llhttp call a request, one write an answer.

Heads are found by their empty line, and only complete ones are looked at (L{parse_head}). Bodies
with a length are counted, chunked ones decoded by L{ChunkedBody}. One request is answered at a
time; pipelined ones wait as bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import count
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IHalfCloseableProtocol,
    IProtocol,
    IPushProducer,
    IReactorTime,
    ISSLTransport,
)
from twisted.python.failure import Failure
from zope.interface import implementer

from kongtx.http.body import ChunkedBody
from kongtx.http.heads import REQUEST_LINE, judge_partial, known_methods, parse_head
from kongtx.http.interfaces import IExchange, IServerChannel
from kongtx.http.limits import Limits
from kongtx.http.responses import (
    CHUNKED,
    CONNECTION,
    LENGTH,
    NO_BODY,
    UNTIL_CLOSE,
    frame,
    response_head,
    trailer_section,
)
from kongtx.http.status import status_line
from kongtx.http.timers import NEVER, LazyTimer

Header = tuple[bytes, bytes]

_PREFACE: Final = b"PRI * HTTP/2.0\r\n"
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_serials = count(1)


class ChannelSettings:
    """What the channels of one listener share."""

    __slots__ = (
        "_drained",
        "begin",
        "channels",
        "clock",
        "draining",
        "http2",
        "idle_timeout",
        "limits",
        "most_requests",
        "refuse",
        "seconds",
    )

    def __init__(
        self,
        clock: IReactorTime,
        limits: Limits,
        begin: Callable[..., IExchange],
        refuse: Callable[..., IExchange],
        http2: Callable[[ServerChannel, bytes], None] | None = None,
    ) -> None:
        """Settings for channels.

        @param begin: called as C{begin(channel, method, target, minor, headers, names, fields,
            host, host_port)} for each good head; returns its exchange.
        @param refuse: called as C{refuse(channel, status, head)} for each bad one.
        @param http2: called with the channel and its bytes when a client speaks HTTP/2 (prior
            knowledge, RFC 9113 §3.3).
        """
        self.clock = clock
        self.seconds = clock.seconds
        self.limits = limits
        self.idle_timeout = limits.idle_timeout
        self.most_requests = limits.keepalive_requests or NEVER
        self.begin = begin
        self.refuse = refuse
        self.http2 = http2
        #: Close connections as they become idle, and answer C{Connection: close}.
        self.draining = False
        self.channels: set[ServerChannel] = set()
        self._drained: Deferred[None] | None = None

    def drain(self) -> Deferred[None]:
        """Close idle connections now and others after their answer; fires when all have gone."""
        self.draining = True
        if self._drained is None:
            self._drained = Deferred()
            for channel in list(self.channels):
                channel.drain()
            if not self.channels:
                self._drained.callback(None)
        return self._drained

    def forget(self, channel: ServerChannel) -> None:
        """A connection has ended, or is no longer an HTTP/1.1 one."""
        self.channels.discard(channel)
        if self._drained is not None and not self.channels and not self._drained.called:
            self._drained.callback(None)


@implementer(IProtocol, IPushProducer, IServerChannel, IHalfCloseableProtocol)
class ServerChannel:
    """One client's connection."""

    __slots__ = (
        "__weakref__",
        "_block",
        "_body_paused",
        "_buffer",
        "_chunked",
        "_closing",
        "_expects",
        "_framing",
        "_head_only",
        "_left_out",
        "_looping",
        "_minor",
        "_parsed",
        "_reading",
        "_registered",
        "_remaining",
        "_settings",
        "_timer",
        "_tunnel",
        "_version",
        "body_received",
        "body_sent",
        "can_tunnel",
        "exchange",
        "factory",
        "head_received",
        "head_sent",
        "is_tls",
        "keep_alive",
        "local",
        "memo",
        "peer",
        "proxied_peer",
        "requests",
        "serial",
        "sni",
        "transport",
        "write_paused",
    )

    factory: Any
    transport: Any

    def __init__(self, settings: ChannelSettings) -> None:
        self._settings = settings
        self._buffer = b""
        self._chunked: ChunkedBody | None = None
        #: Bytes of the request's body still to come; -1: chunked.
        self._remaining = 0
        self.body_received = 0
        self._expects = False
        self._reading = True
        self._body_paused = False
        self._looping = False
        self._closing = False
        self._minor = 1
        self._head_only = False
        self._framing = NO_BODY
        #: Bytes of the response's body that its Content-Length still promises.
        self._left_out = 0
        self._tunnel: Callable[[bytes], object] | None = None
        self.exchange: IExchange | None = None
        self.keep_alive = True
        # The last head's fields, as received and as understood.
        self._block = self._version = b""
        self._parsed: Any = None
        #: For the exchange's use: what is the same for all requests with the same header fields.
        self.memo: Any = None
        self.write_paused = False
        self.can_tunnel = True
        self.requests = 0
        self.head_received = self.head_sent = self.body_sent = 0
        self.serial = next(_serials)
        self.sni = b""

    # -- IProtocol ---------------------------------------------------------------------------
    def connectionMade(self) -> None:
        pass

    def makeConnection(self, transport: Any) -> None:
        self.transport = transport
        self.is_tls = ISSLTransport.providedBy(transport)
        peer, local = transport.getPeer(), transport.getHost()
        self.peer = (getattr(peer, "host", "unix:"), getattr(peer, "port", 0))
        self.proxied_peer = _proxied_peer(transport)
        self.local = (getattr(local, "host", "unix:"), getattr(local, "port", 0))
        settings = self._settings
        self._timer = LazyTimer(settings.clock, self._expired)
        self._timer.set(settings.seconds() + settings.limits.header_timeout)
        settings.channels.add(self)
        transport.registerProducer(self, True)
        self._registered = True

    def dataReceived(self, data: bytes) -> None:
        if self._tunnel is not None:
            self._tunnel(data)
            return
        if self.exchange is None:
            if self._closing:
                return
            if self._remaining:
                self._receive_body(data)
            else:
                if self._buffer:
                    data = self._buffer + data
                    self._buffer = b""
                self._take(data)
        elif self._remaining:
            self._receive_body(data)
        elif not self._closing:
            self._buffer += data
            if len(self._buffer) > self._settings.limits.pipeline_bytes:
                self._read(False)

    def readConnectionLost(self) -> None:
        # A client that has closed its side is not waited for (nginx: the same).
        self._closing = True
        self._unregister()
        if self.exchange is not None and self._tunnel is None:
            self.transport.abortConnection()
        else:
            self.transport.loseConnection()

    def writeConnectionLost(self) -> None:
        pass

    def connectionLost(self, reason: Failure) -> None:
        self._timer.stop()
        self._closing = True
        self._settings.forget(self)
        exchange, self.exchange = self.exchange, None
        self._tunnel = None
        if exchange is not None:
            exchange.client_lost()

    # -- IPushProducer: the transport's buffer of what is to be sent ------------------------------
    def pauseProducing(self) -> None:
        # Twisted's transports say it at each write above their mark.
        if self.write_paused:
            return
        self.write_paused = True
        self._timer.set(self._settings.seconds() + self._settings.limits.send_timeout)
        if self.exchange is not None:
            self.exchange.client_paused()

    def resumeProducing(self) -> None:
        self.write_paused = False
        if self._closing:
            return
        self._rearm()
        if self.exchange is not None:
            self.exchange.client_resumed()
        elif not self._looping and self._buffer:
            data, self._buffer = self._buffer, b""
            self._take(data)

    def stopProducing(self) -> None:
        self.write_paused = True

    # -- heads -------------------------------------------------------------------------------
    def _take(self, data: bytes) -> None:
        """Answer the requests in C{data}, one after the other, until one has to be waited for."""
        self._looping = True
        while True:
            rest = self._take_one(data)
            if self.exchange is not None or self._closing or self._tunnel is not None:
                if rest and not self._closing:
                    self._buffer = rest
                    if len(rest) > self._settings.limits.pipeline_bytes:
                        self._read(False)
                break
            if self.write_paused or self._remaining:
                self._buffer = rest
                break
            if not self._reading:
                self._read(True)
            if not rest:
                break
            data = rest
            if b"\r\n\r\n" not in data:
                self._keep_partial(data)
                break
        self._looping = False

    def _take_one(self, data: bytes) -> bytes:
        """Start the request at the beginning of C{data}; return what follows it."""
        end = data.find(b"\r\n\r\n") + 4
        if end == 3 or data[0] == 13 or data[0] == 10:
            while data[:2] == b"\r\n":
                data = data[2:]
            end = data.find(b"\r\n\r\n") + 4
            if end == 3:
                self._keep_partial(data)
                return b""
        settings = self._settings
        cut = data.find(b"\r\n") + 2
        # Clients repeat themselves: mostly only the request line differs from the last head.
        block = data[cut:end]
        line = REQUEST_LINE.match(data) if block == self._block else None
        if line is None:
            known = False
        else:
            method, target, version = line.groups()
            known = (
                version == self._version
                and target[0] == 47
                and method in known_methods
                and cut <= settings.limits.request_line
            )
        if known:
            headers, names, table, host, port, keep, remaining = self._parsed
        else:
            head = data[:end]
            parsed = parse_head(head, settings.limits)
            if isinstance(parsed, int):
                if head.startswith(_PREFACE) and settings.http2 is not None:
                    self._speak_http2(data)
                else:
                    self._refuse(parsed, head)
                return b""
            method, target, self._minor, headers, names, table, host, port, keep, remaining = parsed
            self.memo = None
            # Only a target in origin form leaves the host to the fields.
            self._block = block if data[len(method) + 1] == 47 else b""
            self._version = b"1" if self._minor else b"0"
            self._parsed = parsed[3:]
        rest = b"" if end == len(data) else data[end:]
        minor = self._minor
        self._head_only = method == b"HEAD"
        self.requests = requests = self.requests + 1
        self.head_received = end
        self.keep_alive = keep and not settings.draining and requests < settings.most_requests
        self._timer.deadline = NEVER
        self.head_sent = self.body_sent = self.body_received = 0
        if requests == 1 and self.is_tls:
            self.sni = _server_name(self.transport)
        exchange = self.exchange = settings.begin(
            self, method, target, minor, headers, names, table, host, port
        )
        if remaining == 0:
            exchange.start(b"", True)
            return rest
        self._expects = minor == 1 and table.get(b"expect", b"").lower() == b"100-continue"
        return self._start_with_body(exchange, remaining, rest)

    def _start_with_body(self, exchange: IExchange, remaining: int, rest: bytes) -> bytes:
        self.body_received = 0
        if remaining > 0:
            have = len(rest)
            if have >= remaining:
                self._expects = False
                self._remaining = 0
                self.body_received = remaining
                exchange.start(rest[:remaining] if have > remaining else rest, True)
                return rest[remaining:]
            self._remaining = remaining - have
            self.body_received = have
            body, rest = rest, b""
            if body:
                self._expects = False
            self._arm_body()
            exchange.start(body, False)
            return b""
        self._remaining = -1
        self._chunked = ChunkedBody()
        self._arm_body()
        exchange.start(b"", False)
        if rest and self._remaining:
            self._receive_body(rest)
            rest, self._buffer = self._buffer, b""
        return rest

    def _keep_partial(self, data: bytes) -> None:
        """Keep the beginning of a head until more comes, unless it can never be right."""
        status = judge_partial(data, self._settings.limits)
        if status:
            self._refuse(status, data)
            return
        if data and not self._buffer and self.requests:
            settings = self._settings
            self._timer.set(settings.seconds() + settings.limits.header_timeout)
        self._buffer = data

    def _speak_http2(self, data: bytes) -> None:
        http2 = self._settings.http2
        assert http2 is not None
        self._timer.stop()
        self._settings.forget(self)
        self._unregister()
        http2(self, data)

    def _refuse(self, status: int, head: bytes) -> None:
        """Answer a request that cannot be understood, and close."""
        self._buffer = b""
        self._remaining = 0
        self._timer.deadline = NEVER
        self.keep_alive = False
        self.head_received = len(head)
        self.head_sent = self.body_sent = self.body_received = 0
        self._head_only = head.startswith(b"HEAD ")
        exchange = self.exchange = self._settings.refuse(self, status, head)
        exchange.start(b"", True)

    # -- bodies ------------------------------------------------------------------------------
    def _arm_body(self) -> None:
        self._timer.set(self._settings.seconds() + self._settings.limits.body_timeout)

    def _receive_body(self, data: bytes) -> None:
        self._expects = False
        exchange = self.exchange
        if self._remaining > 0:
            if len(data) > self._remaining:
                self._buffer = data[self._remaining :]
                data = data[: self._remaining]
            self._remaining -= len(data)
            self.body_received += len(data)
        else:
            assert self._chunked is not None
            data, used = self._chunk(data)
            if used < 0:
                return
        if self._remaining:
            self._arm_body()
            if data and exchange is not None:
                exchange.body_part(data)
            return
        self._timer.deadline = NEVER
        chunked, self._chunked = self._chunked, None
        if exchange is not None:
            if data:
                exchange.body_part(data)
            if self.exchange is exchange:
                exchange.body_end(chunked.trailers if chunked is not None else ())
        elif not self._looping:
            self._next()

    def _chunk(self, data: bytes) -> tuple[bytes, int]:
        chunked = self._chunked
        assert chunked is not None
        payload, used = chunked.feed(data)
        self.body_received += len(payload)
        limit = self._settings.limits.body_bytes
        if used < 0 or (limit and self.body_received > limit):
            self._body_failed(400 if used < 0 else 413)
            return b"", -1
        if chunked.ended:
            self._remaining = 0
            self._buffer = data[used:]
        return payload, used

    def _body_failed(self, status: int) -> None:
        self._remaining = 0
        self._chunked = None
        self._buffer = b""
        self.keep_alive = False
        self._timer.deadline = NEVER
        if self.exchange is None:
            self._close(True)
        else:
            self._closing = True
            self.exchange.body_failed(status)

    def send_continue(self) -> None:
        if self._expects:
            self._expects = False
            self.transport.write(_CONTINUE)

    def pause_body(self) -> None:
        self._body_paused = True
        self._timer.deadline = NEVER
        self._read(False)

    def resume_body(self) -> None:
        if self._body_paused:
            self._body_paused = False
            if self._remaining:
                self._arm_body()
            self._read(True)

    def _read(self, wanted: bool) -> None:
        if wanted is not self._reading:
            self._reading = wanted
            if wanted:
                self.transport.resumeProducing()
            else:
                self.transport.pauseProducing()

    # -- answers -----------------------------------------------------------------------------
    def respond(
        self,
        status: int,
        reason: bytes | None,
        headers: Sequence[Header],
        body: bytes,
        length: int,
        ended: bool,
    ) -> None:
        if self._remaining:
            self._give_up_body()
        if ended and length < 0 and status != 304 and not self._head_only:
            length = len(body)
        self._framing, line = frame(status, self._head_only, self._minor, length)
        if self._framing == UNTIL_CLOSE:
            self.keep_alive = False
        elif self._framing == NO_BODY:
            body = b""
        head = response_head(status, reason, headers, line, self.keep_alive)
        self.head_sent = len(head)
        self.body_sent = len(body)
        self._left_out = length - len(body)
        if not body:
            self.transport.write(head)
        elif self._framing == CHUNKED:
            self.transport.write(b"%b%x\r\n%b\r\n" % (head, len(body), body))
        else:
            self.transport.write(head + body)
        if ended:
            self.end()

    def _give_up_body(self) -> None:
        """Close after the answer if the rest of the request's body is not worth waiting for."""
        if (
            self._expects
            or self._remaining < 0
            or self._remaining > self._settings.limits.discard_bytes
        ):
            self.keep_alive = False

    @property
    def takes_raw(self) -> bool:
        return not self._head_only

    def respond_raw(
        self, head: bytes, headers: bytes, body: bytes, length: int, ended: bool
    ) -> None:
        self._framing = LENGTH
        self._left_out = length - len(body)
        if self._remaining:
            self._give_up_body()
        head = b"%b%bContent-Length: %d\r\n%b" % (
            head,
            headers,
            length,
            CONNECTION[self.keep_alive],
        )
        self.head_sent = len(head)
        self.body_sent = len(body)
        self.transport.write(head + body)
        if ended:
            self.end()

    def write(self, data: bytes) -> None:
        framing = self._framing
        if not data or framing == NO_BODY:
            return
        if framing == LENGTH:
            if len(data) > self._left_out:
                data = data[: self._left_out]
            self._left_out -= len(data)
        self.body_sent += len(data)
        if framing == CHUNKED:
            data = b"%x\r\n%b\r\n" % (len(data), data)
        self.transport.write(data)

    def end(self, trailers: Sequence[Header] = ()) -> None:
        if self._framing == CHUNKED:
            self.transport.write(trailer_section(trailers))
        elif self._framing == LENGTH and self._left_out > 0:
            # Content-Length promised more than there was.
            self.abort()
            return
        exchange, self.exchange = self.exchange, None
        if exchange is not None:
            exchange.finished()
        if not self.keep_alive:
            self._close(self._remaining != 0 or self._closing)
            return
        if self._body_paused:
            self.resume_body()
        settings = self._settings
        if self._remaining:
            self._timer.set(settings.seconds() + settings.limits.body_timeout)
        elif not self.write_paused:
            self._timer.set(settings.seconds() + settings.idle_timeout)
        if self._buffer or not self._reading:
            self._next()

    def _next(self) -> None:
        """Go on with what has come meanwhile."""
        if self._looping or self._closing or self._remaining or self.write_paused:
            return
        if self.exchange is not None:
            return
        data, self._buffer = self._buffer, b""
        if data:
            self._take(data)
        elif not self._reading:
            self._read(True)

    def abort(self) -> None:
        self.exchange = None
        self._closing = True
        self._timer.stop()
        self._unregister()
        self.transport.abortConnection()

    def tunnel(
        self,
        status: int,
        reason: bytes | None,
        headers: Sequence[Header],
        receiver: Callable[[bytes], object],
    ) -> bytes:
        # Connection and Upgrade are among the headers.
        head = status_line(status, reason) + b"".join(b"%b: %b\r\n" % h for h in headers) + b"\r\n"
        self.head_sent = len(head)
        self.body_sent = 0
        self.keep_alive = False
        self._tunnel = receiver
        self._timer.stop()
        self._read(True)
        self.transport.write(head)
        data, self._buffer = self._buffer, b""
        return data

    # -- endings -----------------------------------------------------------------------------
    def _close(self, linger: bool) -> None:
        """Close after what is being sent; read on for a while if the client may still send.

        A closed socket with unread data resets the connection, and the client may lose the answer.
        """
        self._closing = True
        self._remaining = 0
        self._chunked = None
        self._buffer = b""
        self._unregister()
        half_close = getattr(self.transport, "loseWriteConnection", None)
        if linger and half_close is not None and not self.is_tls:
            self._read(True)
            self._timer.set(self._settings.seconds() + self._settings.limits.linger_timeout)
            half_close()
        else:
            # A client that takes nothing would keep the connection for ever.
            self._timer.set(self._settings.seconds() + self._settings.limits.send_timeout)
            self.transport.loseConnection()

    def drain(self) -> None:
        """Close when the current request has been answered; at once when there is none."""
        if self.exchange is None:
            if not self._closing and not self._buffer:
                self._close(False)
        elif self.head_sent == 0:
            self.keep_alive = False

    def _unregister(self) -> None:
        if self._registered:
            self._registered = False
            self.transport.unregisterProducer()

    def _rearm(self) -> None:
        seconds, limits = self._settings.seconds, self._settings.limits
        if self._remaining and not self._body_paused:
            self._timer.set(seconds() + limits.body_timeout)
        elif self.exchange is None:
            self._timer.set(seconds() + limits.idle_timeout)
        else:
            self._timer.deadline = NEVER

    def _expired(self) -> None:
        if self.exchange is not None and self._remaining and not self.write_paused:
            self._body_failed(408)
        elif self.exchange is not None or self._closing or self.write_paused:
            exchange = self.exchange
            self.abort()
            if exchange is not None:
                exchange.client_lost()
        else:
            self._close(False)


def _server_name(transport: Any) -> bytes:
    """The name a TLS client asked for, of either kind of transport."""
    told = getattr(transport, "get_server_name", None)
    if told is not None:
        return (told() or "").encode("ascii", "replace")
    handle = getattr(transport, "getHandle", None)
    name = getattr(handle() if handle is not None else None, "get_servername", None)
    return (name() or b"").lower() if name is not None else b""


def _proxied_peer(transport: Any) -> tuple[str, int] | None:
    """Whom the PROXY protocol calls the client, if it was spoken and knows one."""
    header: Any = getattr(transport, "proxy_header", None)
    source = getattr(header, "source", None)
    host = getattr(source, "host", None)
    if source is None or host is None or header.local:
        return None
    return host.decode("ascii"), source.port
