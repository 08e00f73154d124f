"""What a server channel sends: answers and their framing, tunnels, endings. Hot path."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from kongtx.http.body import ChunkedBody
from kongtx.http.interfaces import IExchange
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
from kongtx.net.consumer import unsent_bytes

Header = tuple[bytes, bytes]

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
        http2: Callable[[AnsweringChannel, bytes], None] | None = None,
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
        #: Connections of either version: they have C{exchange} and C{drain()}.
        self.channels: set[Any] = set()
        self._drained: Deferred[None] | None = None

    def drain(self) -> Deferred[None]:
        """Close idle connections soon and others after their answer; fires when all have gone."""
        self.draining = True
        self.idle_timeout = min(self.idle_timeout, self.limits.drain_timeout)
        if self._drained is None:
            self._drained = Deferred()
            for channel in list(self.channels):
                channel.drain()
            if not self.channels:
                self._drained.callback(None)
        return self._drained

    def forget(self, channel: Any) -> None:
        """A connection has ended, or is no longer an HTTP/1.1 one."""
        self.channels.discard(channel)
        if self._drained is not None and not self.channels and not self._drained.called:
            self._drained.callback(None)


class AnsweringChannel:
    """One client's connection, as far as it is written to."""

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
        "_judged",
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
        "_untaken",
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
    is_tls: bool
    transport: Any
    _registered: bool
    _timer: LazyTimer

    def __init__(self, settings: ChannelSettings) -> None:
        self._settings = settings
        self._buffer = b""
        #: How much of a head's beginning has been found to be possible.
        self._judged = 0
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
        #: Bytes that waited for the client when the timer was set, and what was written since.
        self._untaken = 0
        self.can_tunnel = True
        self.requests = 0
        self.head_received = self.head_sent = self.body_sent = 0
        self.serial = next(_serials)
        self.sni = b""

    @property
    def settings(self) -> ChannelSettings:
        """What the listener's channels share."""
        return self._settings

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
        if body and self._framing == CHUNKED:
            self.transport.write(b"%b%x\r\n%b\r\n" % (head, len(body), body))
        elif ended and not self.keep_alive and self._close_with(head + body):
            return
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
        if ended and not self.keep_alive and self._close_with(head + body):
            return
        self.transport.write(head + body)
        if ended:
            self.end()

    def _close_with(self, answer: bytes) -> bool:
        """Send a whole answer and the end of the connection together, where TLS lets us.

        @return: whether that was done.
        """
        lose = getattr(self.transport, "lose_without_waiting", None)
        unread = self._remaining or self._closing or self._buffer
        if lose is None or unread or self._framing == CHUNKED or self._left_out > 0:
            return False
        exchange, self.exchange = self.exchange, None
        self._shut()
        lose(answer)
        self._await_taking(True)
        if exchange is not None:
            exchange.finished()
        return True

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
        if self.write_paused:
            self._untaken += len(data)
        self.transport.write(data)

    def end(self, trailers: Sequence[Header] = ()) -> None:
        if self._framing == CHUNKED:
            self.transport.write(trailer_section(trailers))
        elif self._framing == LENGTH and self._left_out > 0:
            # Content-Length promised more than there was.
            exchange = self.exchange
            self.abort()
            if exchange is not None:
                exchange.finished()
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
        raise NotImplementedError

    def abort(self) -> None:
        self.exchange = None
        self._closing = True
        self._timer.stop()
        self._unregister()
        self.transport.abortConnection()

    def cut_off(self) -> None:
        if self._framing == UNTIL_CLOSE:
            # Only a reset tells it from a whole response.
            self.abort()
            return
        self.exchange = None
        self._close(self._remaining != 0)

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

    def resume_body(self) -> None:
        if self._body_paused:
            self._body_paused = False
            if self._remaining:
                self._arm_body()
            self._read(True)

    # -- endings -----------------------------------------------------------------------------
    def _shut(self) -> None:
        """Take nothing more."""
        self._closing = True
        self._remaining = 0
        self._chunked = None
        self._buffer = b""
        self._unregister()

    def _close(self, linger: bool) -> None:
        """Close after what is being sent; read on for a while if the client may still send.

        A closed socket with unread data resets the connection, and the client may lose the answer.
        """
        self._shut()
        half_close = getattr(self.transport, "loseWriteConnection", None)
        if linger and half_close is not None and not self.is_tls:
            self._read(True)
            self._await_taking()
            half_close()
        else:
            # A client that takes nothing would keep the connection for ever.
            self._await_taking(True)
            self.transport.loseConnection()

    def _await_taking(self, something: bool = False) -> None:
        """Expire unless the client takes something of what waits for it.

        @param something: it has to take something, or to close, even if nothing is known to wait.
        """
        limits = self._settings.limits
        self._untaken = unsent_bytes(self.transport)
        wait = limits.send_timeout if something or self._untaken else limits.linger_timeout
        self._timer.set(self._settings.seconds() + wait)

    def _has_taken(self) -> bool:
        """Whether the client has taken something since it was last waited for."""
        return unsent_bytes(self.transport) < self._untaken

    def hang_up(self) -> None:
        """Close a tunnel after what is still to be sent."""
        self._close(False)

    def drain(self) -> None:
        """Close when the current request has been answered; at once when there is none.

        The first request of a new connection may be on its way, and the next of one that has been
        busy a moment ago: they are waited for, but not for long.
        """
        if self.exchange is None:
            # Half an empty line begins no request.
            if self._closing or self._buffer not in (b"", b"\r"):
                return
            if self._may_ask_soon():
                settings = self._settings
                self._timer.set(settings.seconds() + settings.limits.drain_timeout)
            else:
                self._close(False)
        elif self.head_sent == 0:
            self.keep_alive = False
        # An answer that has begun says that another request may follow: it is waited for as well.

    def _may_ask_soon(self) -> bool:
        """Whether a connection without a request is new, or had one a moment ago."""
        settings = self._settings
        if not self.requests:
            return True
        if self._remaining or self.write_paused:
            return False
        limits = settings.limits
        idle_since = self._timer.deadline - limits.idle_timeout
        return settings.seconds() - idle_since < limits.drain_timeout

    def _unregister(self) -> None:
        if self._registered:
            self._registered = False
            self.transport.unregisterProducer()

    def _rearm(self) -> None:
        """Expire when the client has been too slow with what it is waited for now."""
        settings = self._settings
        seconds, limits = settings.seconds, settings.limits
        if self.write_paused:
            self._await_taking(True)
        elif self._remaining and not self._body_paused:
            self._timer.set(seconds() + limits.body_timeout)
        elif self.exchange is None:
            self._timer.set(seconds() + settings.idle_timeout)
        else:
            self._timer.deadline = NEVER

    def _arm_body(self) -> None:
        self._timer.set(self._settings.seconds() + self._settings.limits.body_timeout)

    def _read(self, wanted: bool) -> None:
        if wanted is not self._reading:
            self._reading = wanted
            if wanted:
                self.transport.resumeProducing()
            else:
                self.transport.pauseProducing()
