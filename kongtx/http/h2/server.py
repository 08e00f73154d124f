"""The server side of an HTTP/2 connection on a Twisted transport. Hot path."""

from __future__ import annotations

from typing import Any, Final

from twisted.internet.interfaces import IDelayedCall
from twisted.python.failure import Failure

from kongtx.http.answering import ChannelSettings
from kongtx.http.h2 import frames
from kongtx.http.h2.connection import BY_PEER
from kongtx.http.h2.errors import (
    ENHANCE_YOUR_CALM,
    NO_ERROR,
    PROTOCOL_ERROR,
    REFUSED_STREAM,
    STREAM_CLOSED,
    ConnectionFault,
    StreamFault,
)
from kongtx.http.h2.fields import RequestFields, parse_request
from kongtx.http.h2.floods import Allowance
from kongtx.http.h2.hpacking import Header
from kongtx.http.h2.serverstream import ServerStream
from kongtx.http.h2.streams import STREAM_WINDOW
from kongtx.http.h2.wire import Wire
from kongtx.http.limits import Limits
from kongtx.http.timers import NEVER

#: A client that goes on opening streams has had time to see our GOAWAY after so many seconds.
DRAIN_SECONDS: Final = 1.0
# Requests beyond the most, while others are under way.
_GRACE: Final = 100
_KEPT: Final = 32
_DRAINING: Final = b"kongtx\0\0"


class ServerConnection(Wire):
    """One client's connection; each stream has its exchange."""

    __slots__ = (
        "_client_goes",
        "_final_call",
        "_goes",
        "_idle_deadline",
        "_known",
        "_resets",
        "_settings",
        "_starting",
        "is_tls",
        "limits",
        "local",
        "peer",
        "proxied_peer",
        "requests",
        "serial",
        "sni",
    )

    def __init__(self, settings: ChannelSettings, channel: Any, sni: bytes) -> None:
        """Take over a connection whose client speaks HTTP/2.

        @param channel: the HTTP/1.1 channel that has found it out.
        @param sni: the TLS server name, in lower case.
        """
        self.limits: Limits = settings.limits
        super().__init__(settings.clock, self.limits.header_bytes, client=False)
        self._settings = settings
        self.transport = channel.transport
        self.peer = channel.peer
        self.local = channel.local
        self.proxied_peer = channel.proxied_peer
        self.is_tls = channel.is_tls
        self.serial = channel.serial
        self.sni = sni
        self.requests = 0
        self._starting: list[ServerStream] = []
        self._known: dict[int, tuple[list[Header], RequestFields]] = {}
        self._resets = Allowance(self.limits.resets, self.limits.resets_a_second, settings.seconds)
        #: GOAWAY has been sent: 1 for the time being, 2 with the last stream's id.
        self._goes = 0
        self._final_call: IDelayedCall | None = None
        self._client_goes = False
        self._idle_deadline = NEVER

    # -- the transport -----------------------------------------------------------------------
    def begin(self, data: bytes) -> None:
        """Replace the channel that has found out, and take what it has received."""
        transport = self.transport
        self._settings.channels.add(self)
        wrapped = hasattr(transport, "wrappedProtocol")
        setattr(transport, "wrappedProtocol" if wrapped else "protocol", self)
        self._register()
        self._idle_deadline = self._seconds() + self.limits.header_timeout
        self._wake_idle()
        self._out = []
        self.send(
            frames.settings_frame(
                (
                    (frames.MAX_CONCURRENT_STREAMS, self.limits.streams),
                    (frames.INITIAL_WINDOW_SIZE, STREAM_WINDOW),
                    (frames.MAX_HEADER_LIST_SIZE, self.limits.header_bytes),
                )
            )
        )
        self.widen()
        self._flush_out()
        if self._settings.draining:
            self.drain()
        self.receive(data)

    def _lost(self, reason: Failure) -> None:
        self._cancel_final()
        self._settings.forget(self)

    # -- requests ----------------------------------------------------------------------------
    def is_idle(self, stream_id: int) -> bool:
        return stream_id > self.last_id or stream_id % 2 == 0

    @property
    def exchange(self) -> Any:
        """Something if the connection is not idle."""
        return self.streams or None

    def _got_headers(self, stream_id: int, fields: list[Header], ended: bool) -> None:
        stream: ServerStream | None = self.streams.get(stream_id)
        if stream is not None:
            if stream.remote_ended:
                raise StreamFault(stream_id, STREAM_CLOSED, "HEADERS after the end")
            stream.got_trailers(fields, ended)
            return
        if stream_id <= self.last_id or stream_id % 2 == 0:
            self._late_headers(stream_id)
            return
        if self._goes == 2:
            return
        self.last_id = stream_id
        if len(self.streams) >= self.limits.streams:
            self.reset(stream_id, REFUSED_STREAM)
            self.charge_reset()
            return
        parsed = self._parse(fields)
        if parsed is None or (ended and isinstance(parsed, RequestFields) and parsed.length > 0):
            raise StreamFault(stream_id, PROTOCOL_ERROR, "malformed request")
        self._open(stream_id, ended, parsed, fields)

    def _late_headers(self, stream_id: int) -> None:
        how = self.has_ended(stream_id)
        if how == 0 or stream_id % 2 == 0:
            raise ConnectionFault(PROTOCOL_ERROR, "a stream's id is not a new one")
        if how == BY_PEER:
            raise ConnectionFault(STREAM_CLOSED, "HEADERS on a closed stream")
        self._charge("frames on closed streams")

    def _parse(self, fields: list[Header]) -> RequestFields | int | None:
        """Read fields, or remember what they were: equal blocks come as one list."""
        known = self._known.get(id(fields))
        if known is not None and known[0] is fields:
            return known[1]
        parsed = parse_request(fields, self.limits)
        if isinstance(parsed, RequestFields):
            if len(self._known) >= _KEPT:
                self._known.clear()
            self._known[id(fields)] = (fields, parsed)
        return parsed

    def _open(
        self, stream_id: int, ended: bool, parsed: RequestFields | int, fields: list[Header]
    ) -> None:
        self.requests += 1
        self.credit += 1
        self._idle_deadline = NEVER
        if isinstance(parsed, int):
            stream = ServerStream(self, stream_id, ended, None)
            self.streams[stream_id] = stream
            table = dict(fields)
            line = b"%b %b HTTP/2.0" % (table.get(b":method", b""), table.get(b":path", b""))
            self.refuse(stream, parsed, line)
        else:
            stream = ServerStream(self, stream_id, ended, parsed)
            self.streams[stream_id] = stream
            stream.head_received = parsed.size
            stream.exchange = self._settings.begin(
                stream,
                parsed.method,
                parsed.target,
                2,
                parsed.headers,
                parsed.names,
                parsed.table,
                parsed.host,
                parsed.port,
            )
            self._starting.append(stream)
        if self.requests >= self._settings.most_requests + _GRACE:
            self.drain()

    def refuse(self, stream: ServerStream, status: int, line: bytes = b"") -> None:
        """Answer a request that cannot be served."""
        stream._pending = None
        exchange = stream.exchange = self._settings.refuse(stream, status, line)
        exchange.start(b"", True)

    def _batch_done(self) -> None:
        """Start what has come, with as much of the bodies as has come with it."""
        starting = self._starting
        if starting:
            self._starting = []
            for stream in starting:
                stream.start()

    # -- floods ------------------------------------------------------------------------------
    def _peer_reset(self) -> None:
        self.charge_reset()

    def charge_reset(self) -> None:
        """The client has opened a stream in vain."""
        if not self._resets.take():
            raise ConnectionFault(ENHANCE_YOUR_CALM, "too many streams reset")

    # -- time --------------------------------------------------------------------------------
    def _idle_since(self) -> float:
        return self._idle_deadline

    def _idle_expired(self) -> None:
        self._go(self.last_id)

    # -- endings -----------------------------------------------------------------------------
    def stream_gone(self) -> None:
        """A stream has ended."""
        if self.streams or self.dead:
            return
        if self._goes == 2:
            self._close()
            return
        if self.requests >= self._settings.most_requests and not self._goes:
            # With nothing under way: some clients drop what is when they see GOAWAY.
            self._go(self.last_id)
            return
        if self._client_goes:
            self._await_close()
            return
        self._idle_deadline = self._seconds() + self._settings.idle_timeout
        self._wake_idle()

    def drain(self) -> None:
        """Take no new streams, and close when those there are have ended (RFC 9113 §6.8)."""
        if self._goes or self.dead:
            return
        self._goes = 1
        # PING first: the h2 library refuses it after GOAWAY.
        self.send(
            frames.ping_frame(_DRAINING, False)
            + frames.goaway_frame(frames.LARGEST_WINDOW, NO_ERROR)
        )
        clock = self._settings.clock
        self._final_call = clock.callLater(DRAIN_SECONDS, self._go_finally)

    def _got_pong(self, payload: bytes) -> None:
        if payload == _DRAINING and self._goes == 1:
            self._go_finally()

    def _go_finally(self) -> None:
        self._cancel_final()
        if self._goes == 1 and not self.dead:
            self._go(self.last_id)

    def _go(self, last_id: int) -> None:
        self._goes = 2
        self.send(frames.goaway_frame(last_id, NO_ERROR))
        if not self.streams:
            self._close()

    def _cancel_final(self) -> None:
        call, self._final_call = self._final_call, None
        if call is not None and call.active():
            call.cancel()

    def _got_goaway(self, last_id: int, code: int) -> None:
        """The client means to close; it may do so, and ask whether we live, until then."""
        self._client_goes = True
        if not self.streams:
            self._await_close()

    def _await_close(self) -> None:
        self._idle_deadline = self._seconds() + self.limits.linger_timeout
        self._wake_idle()

    def _shut(self) -> None:
        """Say that nothing more comes, and read on until the client has closed too.

        A closed socket with unread data resets the connection, and the client may lose our GOAWAY.
        """
        half_close = getattr(self.transport, "loseWriteConnection", None)
        if half_close is not None and not self.is_tls:
            half_close()
        else:
            super()._shut()


def speak_http2(channel: Any, data: bytes) -> None:
    """Go on with a connection in HTTP/2; what C{ChannelSettings.http2} may be set to.

    @param channel: the L{kongtx.http.server.ServerChannel}.
    @param data: what it has received.
    """
    ServerConnection(channel.settings, channel, channel.sni).begin(data)
