"""The core of an HTTP/2 connection, for either side (RFC 9113). Hot path, no I/O.

Frames come in by L{Connection.receive}; what the peer is to get goes out by C{_write}, all that one
call of C{receive} causes in one piece. The sides say what a message is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from kongtx.http.h2 import frames
from kongtx.http.h2.errors import (
    ENHANCE_YOUR_CALM,
    FLOW_CONTROL_ERROR,
    FRAME_SIZE_ERROR,
    PROTOCOL_ERROR,
    STREAM_CLOSED,
    ConnectionFault,
    StreamFault,
)
from kongtx.http.h2.floods import Allowance
from kongtx.http.h2.frames import (
    DEFAULT_FRAME_SIZE,
    DEFAULT_WINDOW,
    HEAD_BYTES,
    LARGEST_WINDOW,
    PREFACE,
)
from kongtx.http.h2.hpacking import NO_TABLE, BlockDecoder, Header
from kongtx.http.h2.streams import Stream

#: What all streams together may have under way to us, in bytes.
CONNECTION_WINDOW: Final = 1 << 20
# CONTINUATION frames of one block.
_MOST_PIECES: Final = 16
# Ids of ended streams that are remembered, to tell late frames from wrong ones.
_REMEMBERED: Final = 256
#: How a stream came to its end.
BY_PEER: Final = 1
BY_US: Final = 2

# Less than this waits for what other streams have to say.
_SMALL_BYTES: Final = 4096
# WINDOW_UPDATE frames beyond two for each DATA frame we have sent, and each stream.
_SPARE_UPDATES: Final = 1000
# Frames that ask for nothing, or for an answer only: at once, and a second.
_CONTROL_BURST: Final = 1000
_CONTROL_RATE: Final = 100.0


class Connection:
    """One connection, whoever opened it."""

    __slots__ = (
        "_awaits_preface",
        "_awaits_settings",
        "_block",
        "_block_ended",
        "_block_pieces",
        "_block_stream",
        "_buffer",
        "_control",
        "_decoder",
        "_ended_streams",
        "_flush_soon",
        "_handlers",
        "_header_bytes",
        "_out",
        "_pings",
        "_size_update",
        "_updates",
        "credit",
        "dead",
        "last_id",
        "peer_frame_size",
        "peer_streams",
        "peer_window",
        "receive_window",
        "send_window",
        "streams",
        "wire_paused",
    )

    def __init__(self, header_bytes: int, seconds: Callable[[], float], client: bool) -> None:
        """A connection before its first byte.

        @param header_bytes: all of a header block, compressed; twice that uncompressed.
        @param seconds: a clock's.
        @param client: this side is the client.
        """
        self.streams: dict[int, Any] = {}
        #: The peer's last stream (for a server), or our own.
        self.last_id = 0
        self.send_window = self.receive_window = DEFAULT_WINDOW
        self.peer_window = DEFAULT_WINDOW
        self.peer_frame_size = DEFAULT_FRAME_SIZE
        self.peer_streams = LARGEST_WINDOW
        #: DATA frames sent and streams opened: what a peer may ping and widen windows for.
        self.credit = 0
        #: Nothing more is read or sent.
        self.dead = False
        #: The transport takes no more for now.
        self.wire_paused = False
        self._header_bytes = header_bytes
        self._decoder = BlockDecoder(header_bytes * 2)
        self._size_update = False
        self._buffer = b""
        self._awaits_preface = not client
        self._awaits_settings = True
        self._out: list[bytes] | None = None
        #: Calls a function before the loop waits for events again; L{None}: it cannot.
        self._flush_soon: Callable[[Callable[[], None]], object] | None = None
        self._block: list[bytes] | None = None
        self._block_stream = self._block_pieces = 0
        self._block_ended = False
        self._updates = self._pings = 0
        # An upstream is trusted more than a client.
        much = 10 if client else 1
        self._control = Allowance(much * _CONTROL_BURST, much * _CONTROL_RATE, seconds)
        self._ended_streams: dict[int, int] = {}
        self._handlers = (
            self._data_frame,
            self._headers_frame,
            self._priority_frame,
            self._reset_frame,
            self._settings_frame,
            self._push_frame,
            self._ping_frame,
            self._goaway_frame,
            self._window_frame,
            self._continuation_frame,
        )

    # -- what a side does ----------------------------------------------------------------------
    def _write(self, data: bytes) -> None:
        """Give bytes to the transport."""
        raise NotImplementedError

    def _write_pieces(self, pieces: list[bytes]) -> None:
        """Give several pieces to the transport at once."""
        raise NotImplementedError

    def _got_headers(self, stream_id: int, fields: list[Header], ended: bool) -> None:
        """A header block has come."""
        raise NotImplementedError

    def _got_goaway(self, last_id: int, code: int) -> None:
        """The peer goes away."""

    def _got_pong(self, payload: bytes) -> None:
        """A PING of ours has been answered."""

    def _got_settings(self) -> None:
        """The peer's settings have changed."""

    def _failed(self, code: int, why: str) -> None:
        """The connection has ended by a fault; GOAWAY has been sent."""
        raise NotImplementedError

    # -- output --------------------------------------------------------------------------------
    def send(self, data: bytes) -> None:
        """Send frames; together with all others that the current input causes."""
        if self._out is not None:
            self._out.append(data)
        elif not self.dead:
            if self._flush_soon is not None and len(self.streams) > 1 and len(data) < _SMALL_BYTES:
                # Other streams may have something to say before the loop sleeps, too.
                self._out = [data]
                self._flush_soon(self._flush_out)
            else:
                self._write(data)

    def block_prefix(self) -> bytes:
        """What must precede the next header block."""
        if self._size_update:
            self._size_update = False
            return NO_TABLE
        return b""

    def reset(self, stream_id: int, code: int) -> None:
        """End a stream, which is no longer among ours."""
        self._remember(stream_id, BY_US)
        self.send(frames.reset_frame(stream_id, code))

    def forget(self, stream_id: int) -> None:
        """A stream has ended on both sides."""
        if self.streams.pop(stream_id, None) is not None:
            self._remember(stream_id, BY_PEER)

    def _remember(self, stream_id: int, how: int) -> None:
        ended = self._ended_streams
        if len(ended) >= _REMEMBERED:
            del ended[next(iter(ended))]
        ended[stream_id] = how

    # -- input -----------------------------------------------------------------------------------
    def receive(self, data: bytes) -> None:
        """Take what the peer has sent."""
        if self.dead:
            return
        if self._out is None:
            self._out = []
        out = self._out
        try:
            self._receive(self._buffer + data if self._buffer else data)
            self._batch_done()
        except ConnectionFault as fault:
            self._buffer = b""
            out.append(frames.goaway_frame(self.last_id, fault.code, str(fault).encode()))
            self._flush_out()
            self.dead = True
            self._failed(fault.code, str(fault))
            return
        self._flush_out()

    def _flush_out(self) -> None:
        out, self._out = self._out, None
        if out and not self.dead:
            if len(out) == 1:
                self._write(out[0])
            else:
                self._write_pieces(out)

    def _batch_done(self) -> None:
        """All that has come has been taken."""

    def _receive(self, data: bytes) -> None:
        position, end = 0, len(data)
        if self._awaits_preface:
            if not PREFACE.startswith(data[: len(PREFACE)]):
                raise ConnectionFault(PROTOCOL_ERROR, "no connection preface")
            if end < len(PREFACE):
                self._buffer = data
                return
            position = len(PREFACE)
            self._awaits_preface = False
        handlers = self._handlers
        while end - position >= HEAD_BYTES and not self.dead:
            size = data[position] << 16 | data[position + 1] << 8 | data[position + 2]
            if size > DEFAULT_FRAME_SIZE:
                raise ConnectionFault(FRAME_SIZE_ERROR, "a frame is too long")
            start = position + HEAD_BYTES
            if end - start < size:
                break
            kind, flags = data[position + 3], data[position + 4]
            stream_id = int.from_bytes(data[position + 5 : start], "big") & LARGEST_WINDOW
            payload = data[start : start + size]
            position = start + size
            if self._block is not None and kind != frames.CONTINUATION:
                raise ConnectionFault(PROTOCOL_ERROR, "a header block is interrupted")
            if self._awaits_settings:
                if kind != frames.SETTINGS or flags & frames.ACK:
                    raise ConnectionFault(PROTOCOL_ERROR, "the first frame is not SETTINGS")
                self._awaits_settings = False
            try:
                if kind < len(handlers):
                    handlers[kind](stream_id, flags, payload)
                else:
                    self._charge("unknown frames")
            except StreamFault as fault:
                self._stream_failed(fault)
        self._buffer = data[position:]

    def _stream_failed(self, fault: StreamFault) -> None:
        stream = self.streams.pop(fault.stream_id, None)
        self.reset(fault.stream_id, fault.code)
        if stream is None:
            self._charge("wrong frames")
            return
        stream.broken(fault.code)
        # To be made to reset a stream costs as much as a reset of the peer's.
        self._peer_reset()

    def _charge(self, what: str) -> None:
        if not self._control.take():
            raise ConnectionFault(ENHANCE_YOUR_CALM, f"too many {what}")

    # -- frames that carry messages --------------------------------------------------------------
    def _data_frame(self, stream_id: int, flags: int, payload: bytes) -> None:
        size = len(payload)
        self.receive_window -= size
        if self.receive_window < 0:
            raise ConnectionFault(FLOW_CONTROL_ERROR, "the connection's window is exceeded")
        if self.receive_window < CONNECTION_WINDOW // 2:
            self.widen()
        stream: Stream | None = self.streams.get(stream_id)
        if stream is None:
            self._late_frame(stream_id, "DATA", size)
            return
        if flags & frames.PADDED:
            payload = frames.unpadded(payload)
        if stream.remote_ended:
            raise StreamFault(stream_id, STREAM_CLOSED, "DATA after the end")
        ended = bool(flags & frames.END_STREAM)
        stream.receive_window -= size
        if stream.receive_window < 0:
            raise StreamFault(stream_id, FLOW_CONTROL_ERROR, "the stream's window is exceeded")
        if not payload and not ended:
            self._charge("empty frames")
            return
        stream.remote_ended = ended
        stream.got_data(payload, ended)
        stream.refill()

    def widen(self) -> None:
        """Fill the connection's receive window up; streams' windows are what bounds memory."""
        increment = CONNECTION_WINDOW - self.receive_window
        self.receive_window = CONNECTION_WINDOW
        self.send(frames.window_frame(0, increment))

    def _late_frame(self, stream_id: int, what: str, size: int = 0) -> None:
        """Judge a frame for a stream that is not open: wrong, or just late."""
        if self.is_idle(stream_id):
            raise ConnectionFault(PROTOCOL_ERROR, f"{what} on an idle stream")
        if self._ended_streams.get(stream_id) != BY_US:
            self.send(frames.reset_frame(stream_id, STREAM_CLOSED))
        elif size:
            # Under way when we reset the stream; windows bound how much that can be.
            return
        self._charge("frames on closed streams")

    def is_idle(self, stream_id: int) -> bool:
        """Whether a stream has never been opened."""
        raise NotImplementedError

    def has_ended(self, stream_id: int) -> int:
        """How a stream has ended, if that is known; else 0."""
        return self._ended_streams.get(stream_id, 0)

    def _headers_frame(self, stream_id: int, flags: int, payload: bytes) -> None:
        if stream_id == 0:
            raise ConnectionFault(PROTOCOL_ERROR, "HEADERS on the connection")
        if flags & frames.PADDED:
            payload = frames.unpadded(payload)
        if flags & frames.WITH_PRIORITY:
            if len(payload) < 5:
                raise ConnectionFault(FRAME_SIZE_ERROR, "HEADERS is too short")
            depends_on = frames.read_number(payload[:4]) & LARGEST_WINDOW
            payload = payload[5:]
            if depends_on == stream_id:
                raise ConnectionFault(PROTOCOL_ERROR, "a stream depends on itself")
        ended = bool(flags & frames.END_STREAM)
        if flags & frames.END_HEADERS:
            self._got_headers(stream_id, self._decoder.decode(payload), ended)
            return
        self._block = [payload]
        self._block_pieces = len(payload)
        self._block_stream = stream_id
        self._block_ended = ended

    def _continuation_frame(self, stream_id: int, flags: int, payload: bytes) -> None:
        block = self._block
        if block is None or stream_id != self._block_stream:
            raise ConnectionFault(PROTOCOL_ERROR, "CONTINUATION without its HEADERS")
        block.append(payload)
        self._block_pieces += len(payload)
        if self._block_pieces > self._header_bytes or len(block) > _MOST_PIECES:
            raise ConnectionFault(ENHANCE_YOUR_CALM, "a header block is too long")
        if flags & frames.END_HEADERS:
            self._block = None
            fields = self._decoder.decode(b"".join(block))
            self._got_headers(stream_id, fields, self._block_ended)

    def _push_frame(self, stream_id: int, flags: int, payload: bytes) -> None:
        raise ConnectionFault(PROTOCOL_ERROR, "PUSH_PROMISE is not allowed")

    # -- frames that control -----------------------------------------------------------------------
    def _priority_frame(self, stream_id: int, flags: int, payload: bytes) -> None:
        # Priorities as of RFC 7540 are not used (RFC 9113 §5.3.2).
        if stream_id == 0:
            raise ConnectionFault(PROTOCOL_ERROR, "PRIORITY on the connection")
        self._charge("PRIORITY frames")
        if len(payload) != 5:
            raise StreamFault(stream_id, FRAME_SIZE_ERROR, "PRIORITY of a wrong size")
        if frames.read_number(payload[:4]) & LARGEST_WINDOW == stream_id:
            raise StreamFault(stream_id, PROTOCOL_ERROR, "a stream depends on itself")

    def _reset_frame(self, stream_id: int, flags: int, payload: bytes) -> None:
        if stream_id == 0 or self.is_idle(stream_id):
            raise ConnectionFault(PROTOCOL_ERROR, "RST_STREAM on an idle stream")
        if len(payload) != 4:
            raise ConnectionFault(FRAME_SIZE_ERROR, "RST_STREAM of a wrong size")
        stream: Stream | None = self.streams.get(stream_id)
        if stream is None:
            self._charge("RST_STREAM frames")
            return
        self.forget(stream_id)
        stream.was_reset(frames.read_number(payload))
        self._peer_reset()

    def _peer_reset(self) -> None:
        """The peer has reset a stream that was open."""

    def _settings_frame(self, stream_id: int, flags: int, payload: bytes) -> None:
        if stream_id:
            raise ConnectionFault(PROTOCOL_ERROR, "SETTINGS on a stream")
        if flags & frames.ACK:
            if payload:
                raise ConnectionFault(FRAME_SIZE_ERROR, "an acknowledgement with settings")
            return
        if len(payload) % 6:
            raise ConnectionFault(FRAME_SIZE_ERROR, "SETTINGS of a wrong size")
        self._charge("SETTINGS frames")
        for setting, value in frames.read_settings(payload):
            self._setting(setting, value)
        # First, so that the peer knows by which settings what follows was sent.
        self.send(frames.SETTINGS_ACK)
        self.flush()
        self._got_settings()

    def _setting(self, setting: int, value: int) -> None:
        if setting == frames.HEADER_TABLE_SIZE:
            self._size_update = True
        elif setting == frames.ENABLE_PUSH:
            if value > 1:
                raise ConnectionFault(PROTOCOL_ERROR, "ENABLE_PUSH is neither 0 nor 1")
        elif setting == frames.MAX_CONCURRENT_STREAMS:
            self.peer_streams = value
        elif setting == frames.INITIAL_WINDOW_SIZE:
            if value > LARGEST_WINDOW:
                raise ConnectionFault(FLOW_CONTROL_ERROR, "the initial window is too large")
            self._initial_window(value)
        elif setting == frames.MAX_FRAME_SIZE:
            if not DEFAULT_FRAME_SIZE <= value < 1 << 24:
                raise ConnectionFault(PROTOCOL_ERROR, "MAX_FRAME_SIZE is out of its range")
            # Larger frames than this would keep other streams waiting.
            self.peer_frame_size = min(value, 65536)

    def _initial_window(self, value: int) -> None:
        change, self.peer_window = value - self.peer_window, value
        for stream in list(self.streams.values()):
            if not stream.add_send_window(change):
                raise ConnectionFault(FLOW_CONTROL_ERROR, "a window is too large")

    def _ping_frame(self, stream_id: int, flags: int, payload: bytes) -> None:
        if stream_id:
            raise ConnectionFault(PROTOCOL_ERROR, "PING on a stream")
        if len(payload) != 8:
            raise ConnectionFault(FRAME_SIZE_ERROR, "PING of a wrong size")
        if flags & frames.ACK:
            self._got_pong(payload)
            return
        self._pings += 1
        if self._pings > self.credit:
            # gRPC peers measure the round trip while they receive.
            self._charge("PING frames")
        self.send(frames.ping_frame(payload, True))

    def _goaway_frame(self, stream_id: int, flags: int, payload: bytes) -> None:
        if stream_id:
            raise ConnectionFault(PROTOCOL_ERROR, "GOAWAY on a stream")
        if len(payload) < 8:
            raise ConnectionFault(FRAME_SIZE_ERROR, "GOAWAY is too short")
        self._charge("GOAWAY frames")
        self._got_goaway(*frames.read_goaway(payload))

    def _window_frame(self, stream_id: int, flags: int, payload: bytes) -> None:
        if len(payload) != 4:
            raise ConnectionFault(FRAME_SIZE_ERROR, "WINDOW_UPDATE of a wrong size")
        self._updates += 1
        if self._updates > 2 * self.credit + _SPARE_UPDATES:
            raise ConnectionFault(ENHANCE_YOUR_CALM, "too many WINDOW_UPDATE frames")
        increment = frames.read_number(payload) & LARGEST_WINDOW
        if stream_id == 0:
            if increment == 0:
                raise ConnectionFault(PROTOCOL_ERROR, "a window grows by nothing")
            self.send_window += increment
            if self.send_window > LARGEST_WINDOW:
                raise ConnectionFault(FLOW_CONTROL_ERROR, "the connection's window is too large")
            self.flush()
            return
        stream: Stream | None = self.streams.get(stream_id)
        if stream is None:
            if self.is_idle(stream_id):
                raise ConnectionFault(PROTOCOL_ERROR, "WINDOW_UPDATE on an idle stream")
            return
        if increment == 0:
            raise StreamFault(stream_id, PROTOCOL_ERROR, "a window grows by nothing")
        if not stream.add_send_window(increment):
            raise StreamFault(stream_id, FLOW_CONTROL_ERROR, "the stream's window is too large")
        if stream.write_paused:
            stream.flush()

    def flush(self) -> None:
        """Send of all streams what the windows and the transport allow, each in its turn."""
        for stream in list(self.streams.values()):
            if self.wire_paused or self.send_window <= 0:
                break
            if stream.write_paused:
                stream.flush()
                # Whoever has had its turn waits behind the others.
                if stream.stream_id in self.streams and stream.write_paused:
                    self.streams[stream.stream_id] = self.streams.pop(stream.stream_id)
