"""The client side of an HTTP/2 connection: many exchanges with one peer. Hot path."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from kongtx.http.client import HEAD_BYTES
from kongtx.http.h2 import frames
from kongtx.http.h2.clientstream import ClientStream
from kongtx.http.h2.errors import NO_ERROR, PROTOCOL_ERROR, StreamFault
from kongtx.http.h2.hpacking import Header
from kongtx.http.h2.streams import STREAM_WINDOW
from kongtx.http.h2.wire import Wire
from kongtx.http.timers import NEVER

#: Streams at a time on one connection, if the peer allows more or has said nothing yet.
MOST_STREAMS: Final = 100
# A client's ids end here (RFC 9113 §5.1.1).
_LAST_ID: Final = frames.LARGEST_WINDOW


class ClientConnection(Wire):
    """One connection to a peer.

    @ivar leaving: it takes no new streams.
    """

    __slots__ = (
        "_answered",
        "_idle_deadline",
        "_idle_timeout",
        "_lost_to",
        "_most_requests",
        "_next_id",
        "connected",
        "ended_by",
        "key",
        "leaving",
        "requests",
        "secure",
    )

    def __init__(
        self,
        clock: IReactorTime,
        key: Any,
        lost: Callable[[ClientConnection], object],
        most_requests: float,
        idle_timeout: float,
    ) -> None:
        """A connection that is not connected yet.

        @param key: the pool's: address, port and TLS identity (L{None} without TLS).
        @param lost: called with the connection when it takes no new streams any more.
        @param most_requests: after which it is closed.
        @param idle_timeout: in seconds; 0: never.
        """
        super().__init__(clock, HEAD_BYTES, client=True)
        self.key = key
        self.secure = key[2] is not None
        self._lost_to: Callable[[ClientConnection], object] | None = lost
        self._most_requests = most_requests
        self._idle_timeout = idle_timeout
        self._idle_deadline = NEVER
        self._next_id = 1
        self._answered: list[ClientStream] = []
        #: Called with the connection once it is connected.
        self.connected: Callable[[ClientConnection], None] | None = None
        self.requests = 0
        self.leaving = False
        #: Why the connection has ended; L{None} before.
        self.ended_by: BaseException | None = None

    # -- the transport -----------------------------------------------------------------------
    def connectionMade(self) -> None:
        set_no_delay = getattr(self.transport, "setTcpNoDelay", None)
        if set_no_delay is not None:
            set_no_delay(True)
        self._register()
        self._write(
            frames.PREFACE
            + frames.settings_frame(
                (
                    # Without a table, equal blocks are equal bytes, and are read once.
                    (frames.HEADER_TABLE_SIZE, 0),
                    (frames.ENABLE_PUSH, 0),
                    (frames.INITIAL_WINDOW_SIZE, STREAM_WINDOW),
                    (frames.MAX_HEADER_LIST_SIZE, HEAD_BYTES),
                )
            )
        )
        self.widen()
        connected, self.connected = self.connected, None
        if connected is not None:
            connected(self)
        self.stream_gone()

    def _drop_streams(self, reason: Failure | None) -> None:
        if reason is not None:
            self.ended_by = reason.value
        self._leave()
        super()._drop_streams(reason)

    def _idle_since(self) -> float:
        return self._idle_deadline

    def _idle_expired(self) -> None:
        self.close()

    # -- streams -----------------------------------------------------------------------------
    def is_idle(self, stream_id: int) -> bool:
        return stream_id >= self._next_id or stream_id % 2 == 0

    @property
    def has_room(self) -> bool:
        """Whether another stream may be opened now."""
        most = min(self.peer_streams, MOST_STREAMS)
        return not self.leaving and len(self.streams) < most

    def open(self, stream: ClientStream) -> int:
        """Give a stream its id; its HEADERS must be sent next."""
        stream_id = self._next_id
        self._next_id += 2
        self.requests += 1
        self.credit += 1
        self.streams[stream_id] = stream
        self._idle_deadline = NEVER
        if self.requests >= self._most_requests or self._next_id > _LAST_ID:
            self._leave()
        return stream_id

    def stream_gone(self) -> None:
        """A stream has ended."""
        if self.streams or self.dead:
            return
        if self.leaving:
            self.close()
        elif self._idle_timeout:
            self._idle_deadline = self._seconds() + self._idle_timeout
            self._wake_idle()

    def _got_headers(self, stream_id: int, fields: list[Header], ended: bool) -> None:
        stream: ClientStream | None = self.streams.get(stream_id)
        if stream is None:
            self._late_frame(stream_id, "HEADERS")
        elif stream.remote_ended:
            raise StreamFault(stream_id, PROTOCOL_ERROR, "HEADERS after the end")
        else:
            stream.got_headers(fields, ended)

    def tell_later(self, stream: ClientStream) -> None:
        """Tell a stream's head once all that has come with it is there."""
        self._answered.append(stream)

    def _batch_done(self) -> None:
        answered = self._answered
        if answered:
            self._answered = []
            for stream in answered:
                stream.tell()

    def _got_goaway(self, last_id: int, code: int) -> None:
        self._leave()
        for stream_id, stream in list(self.streams.items()):
            if stream_id > last_id:
                del self.streams[stream_id]
                stream.not_processed()
        self.stream_gone()

    # -- endings -----------------------------------------------------------------------------
    def _leave(self) -> None:
        self.leaving = True
        lost, self._lost_to = self._lost_to, None
        if lost is not None:
            lost(self)

    def close(self) -> None:
        """Take no new streams; close once those there are have ended."""
        self._leave()
        if not self.streams and not self._closing:
            self.send(frames.goaway_frame(0, NO_ERROR))
            self._close()

    def abort(self) -> None:
        """Cut the connection."""
        self._leave()
        self.transport.abortConnection()
