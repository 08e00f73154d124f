"""The HTTP/1.1 server channel (RFC 9112). Hot path: one llhttp call a request, one write an answer.

Heads are found by their empty line, and only complete ones are looked at (L{parse_head}). Bodies
with a length are counted, chunked ones decoded by L{ChunkedBody}. One request is answered at a
time; pipelined ones wait as bytes.
"""

from __future__ import annotations

from typing import Any, Final

from twisted.internet.interfaces import (
    IHalfCloseableProtocol,
    IProtocol,
    IPushProducer,
    ISSLTransport,
)
from twisted.python.failure import Failure
from zope.interface import implementer

from kongtx.http.answering import AnsweringChannel
from kongtx.http.body import ChunkedBody
from kongtx.http.heads import REQUEST_LINE, judge_partial, known_methods, parse_head
from kongtx.http.interfaces import IExchange, IServerChannel
from kongtx.http.timers import NEVER, LazyTimer

Header = tuple[bytes, bytes]

_PREFACE: Final = b"PRI * HTTP/2.0\r\n"
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


@implementer(IProtocol, IPushProducer, IServerChannel, IHalfCloseableProtocol)
class ServerChannel(AnsweringChannel):
    """One client's connection."""

    __slots__ = ()

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
        limits = settings.limits
        wait = limits.drain_timeout if settings.draining else limits.header_timeout
        self._timer.set(settings.seconds() + wait)
        settings.channels.add(self)
        transport.registerProducer(self, True)
        self._registered = True

    def dataReceived(self, data: bytes) -> None:
        if self._tunnel is not None:
            self._tunnel(data)
            return
        if self.exchange is None and not self.write_paused and not self._remaining:
            if self._closing:
                return
            if self._buffer:
                self._judged = len(self._buffer)
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
        self._timer.end()
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
        self._await_taking(True)
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
        self._looping = False

    def _take_one(self, data: bytes) -> bytes:
        """Start the request at the beginning of C{data}; return what follows it."""
        end = data.find(b"\r\n\r\n") + 4
        if end == 3 or data[0] == 13 or data[0] == 10:
            size = len(data)
            data, end = _past_empty_lines(data)
            if end == 3:
                self._keep_partial(data, size - len(data))
                return b""
        self._judged = 0
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
        if not known:
            start = self._learn_head(data, end, block)
            if start is None:
                return b""
            method, target = start
        headers, names, table, host, port, keep, remaining = self._parsed
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

    def _learn_head(self, data: bytes, end: int, block: bytes) -> tuple[bytes, bytes] | None:
        """Parse the head at the beginning of C{data}, and keep what its fields say.

        @param block: the head without its first line.
        @return: the method and the target; L{None} if there is no request.
        """
        head = data[:end]
        parsed = parse_head(head, self._settings.limits)
        if isinstance(parsed, int):
            if head.startswith(_PREFACE) and self._settings.http2 is not None:
                self._speak_http2(data)
            else:
                self._refuse(parsed, head)
            return None
        method, target, self._minor, headers, names, *rest = parsed
        # Requests with the same fields share them: whoever changes them must copy them first.
        self._parsed = (tuple(headers), tuple(names), *rest)
        self.memo = None
        # Only a target in origin form leaves the host to the fields.
        self._block = block if data[len(method) + 1] == 47 else b""
        self._version = b"1" if self._minor else b"0"
        return method, target

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
            self._await_body()
            exchange.start(body, False)
            return b""
        self._remaining = -1
        self._chunked = ChunkedBody()
        self._await_body()
        exchange.start(b"", False)
        if rest and self._remaining:
            self._receive_body(rest)
            rest, self._buffer = self._buffer, b""
        return rest

    def _await_body(self) -> None:
        # Reading may have been stopped by what came before its turn.
        self._read(True)
        self._arm_body()

    def _keep_partial(self, data: bytes, skipped: int) -> None:
        """Keep the beginning of a head until more comes, unless it can never be right.

        @param skipped: the octets of empty lines before it.
        """
        judged = max(self._judged - skipped, 0)
        # The last octet may have been half of a line's end.
        status = judge_partial(data, self._settings.limits, max(judged - 1, 0))
        self._judged = 0
        if status:
            self._refuse(status, data)
            return
        if not judged and self.requests and data not in (b"", b"\r"):
            # Its first octets; however it drips, there is no more time than this. Half the end
            # of an empty line begins nothing.
            settings = self._settings
            self._timer.set(settings.seconds() + settings.limits.header_timeout)
        self._buffer = data

    def _speak_http2(self, data: bytes) -> None:
        http2 = self._settings.http2
        assert http2 is not None
        self._timer.stop()
        self._unregister()
        if self.is_tls:
            self.sni = _server_name(self.transport)
        http2(self, data)
        self._settings.forget(self)

    def _refuse(self, status: int, head: bytes) -> None:
        """Answer a request that cannot be understood, and close: what follows is not read."""
        self._closing = True
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
        if exchange is None or self.write_paused:
            self._rearm()
        else:
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
        if not self.write_paused:
            self._timer.deadline = NEVER
        self._read(False)

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

    def _expired(self) -> None:
        if self.exchange is not None and self._remaining and not self.write_paused:
            self._body_failed(408)
        elif (self._closing or self.write_paused) and self._has_taken():
            self._await_taking(self.write_paused)
        elif self.exchange is not None or self._closing or self.write_paused:
            exchange = self.exchange
            self.abort()
            if exchange is not None:
                exchange.client_lost()
        else:
            self._close(False)


def _past_empty_lines(data: bytes) -> tuple[bytes, int]:
    """What follows empty lines (RFC 9112 §2.2), and where a head ends in it; 3: not yet."""
    start = 0
    while data.startswith(b"\r\n", start):
        start += 2
    data = data[start:]
    return data, data.find(b"\r\n\r\n") + 4


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
