"""The sending half of a stream: what flow control holds back waits here. Hot path, no I/O."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from kongtx.http.h2 import frames
from kongtx.http.h2.frames import DATA, END_STREAM, LARGEST_WINDOW, frame_head
from kongtx.http.h2.hpacking import encode
from kongtx.http.timers import NEVER

if TYPE_CHECKING:
    from twisted.python.failure import Failure

    from kongtx.http.h2.connection import Connection

Header = tuple[bytes, bytes]

#: What a stream may have under way to us while its body is being read, in bytes.
STREAM_WINDOW: Final = 256 * 1024


class Stream:
    """One stream, for either side."""

    __slots__ = (
        "_ending",
        "_offset",
        "_queue",
        "_trailers",
        "body_paused",
        "core",
        "deadline",
        "local_ended",
        "receive_window",
        "remote_ended",
        "send_window",
        "stream_id",
        "write_paused",
    )

    def __init__(self, core: Connection, stream_id: int, remote_ended: bool) -> None:
        """An open stream.

        @param remote_ended: the peer sends nothing more.
        """
        self.core = core
        self.stream_id = stream_id
        self.remote_ended = remote_ended
        self.local_ended = False
        self.send_window = core.peer_window
        self.receive_window = STREAM_WINDOW
        #: Nobody reads the peer's body for now: its window is not filled up.
        self.body_paused = False
        #: The clock's seconds at which the peer is too slow.
        self.deadline = NEVER
        #: Something waits in the queue.
        self.write_paused = False
        self._queue: deque[bytes] | None = None
        self._offset = 0
        self._ending = False
        self._trailers: Sequence[Header] = ()

    # -- what a side does ----------------------------------------------------------------------
    def got_data(self, data: bytes, ended: bool) -> None:
        """More of the peer's body; C{data} may be empty only if it is the end."""
        raise NotImplementedError

    def broken(self, code: int) -> None:
        """The stream has been reset, by us for a fault of the peer's."""
        raise NotImplementedError

    def was_reset(self, code: int) -> None:
        """The peer has reset the stream."""
        raise NotImplementedError

    def lost(self, reason: Failure | None) -> None:
        """The connection has gone, with the transport's reason if that came first."""
        raise NotImplementedError

    def expired(self) -> None:
        """The deadline has passed."""
        raise NotImplementedError

    def _paused(self) -> None:
        """The peer takes no more for now."""
        raise NotImplementedError

    def _resumed(self) -> None:
        """The peer takes data again."""
        raise NotImplementedError

    def _progress(self) -> None:
        """Some of what waited has been sent."""

    def _sent_all(self) -> None:
        """Our side has ended, and all of it has been sent."""
        raise NotImplementedError

    # -- sending -------------------------------------------------------------------------------
    def send_data(self, data: bytes, ended: bool, head: bytes = b"") -> None:
        """Send a piece of body, as far as the peer takes it; the rest waits.

        @param ended: it is the last.
        @param head: frames to be sent before, in the same piece.
        """
        core = self.core
        size = len(data)
        if not self.write_paused and (
            size == 0
            or (size <= self.send_window and size <= core.send_window and not core.wire_paused)
        ):
            core.send_window -= size
            self.send_window -= size
            flags = END_STREAM if ended else 0
            if size <= core.peer_frame_size:
                core.credit += 1
                core.send(head + frame_head(DATA, flags, self.stream_id, size) + data)
            else:
                self._send_frames(data, flags, head)
            if ended:
                self.local_ended = True
                self._sent_all()
            return
        if head:
            core.send(head)
        if self._queue is None:
            self._queue = deque()
        if data:
            self._queue.append(data)
        if ended:
            self._ending = True
        was_paused = self.write_paused
        self.write_paused = True
        if not was_paused:
            self.flush()
            if self.write_paused:
                self._paused()

    def _send_frames(self, data: bytes, flags: int, head: bytes) -> None:
        """Send more than a frame holds."""
        core = self.core
        most, size = core.peer_frame_size, len(data)
        view = memoryview(data)
        pieces: list[bytes | memoryview] = [head] if head else []
        for start in range(0, size, most):
            piece = view[start : start + most]
            last = flags if start + most >= size else 0
            pieces += (frame_head(DATA, last, self.stream_id, len(piece)), piece)
        core.credit += -(-size // most)
        core.send(b"".join(pieces))

    def end_with(self, trailers: Sequence[Header]) -> None:
        """End our side, with trailers or without."""
        if self.write_paused:
            self._ending = True
            self._trailers = trailers
        elif trailers:
            self._send_trailers(trailers)
        else:
            self.send_data(b"", True)

    def _send_trailers(self, trailers: Sequence[Header]) -> None:
        core = self.core
        block = core.block_prefix() + encode(trailers)
        core.send(frames.headers_frames(self.stream_id, block, True, core.peer_frame_size))
        self.local_ended = True
        self._sent_all()

    def flush(self) -> None:
        """Send of what waits what the windows allow."""
        core, queue = self.core, self._queue
        assert queue is not None
        pieces: list[bytes | memoryview] = []
        while queue and not core.wire_paused:
            data, offset = queue[0], self._offset
            left = len(data) - offset
            size = min(left, self.send_window, core.send_window, core.peer_frame_size)
            if size <= 0:
                break
            core.send_window -= size
            self.send_window -= size
            core.credit += 1
            last = size == left
            if last:
                queue.popleft()
                self._offset = 0
            else:
                self._offset = offset + size
            ended = last and not queue and self._ending and not self._trailers
            pieces.append(frame_head(DATA, END_STREAM if ended else 0, self.stream_id, size))
            whole = offset == 0 and last
            pieces.append(data if whole else memoryview(data)[offset : offset + size])
            if ended:
                self.local_ended = True
        if pieces:
            core.send(b"".join(pieces))
            self._progress()
        if not queue:
            self._flushed()

    def _flushed(self) -> None:
        """Nothing waits any more."""
        self.write_paused = False
        if self.local_ended:
            self._sent_all()
        elif self._ending:
            trailers, self._trailers = self._trailers, ()
            self._ending = False
            self.end_with(trailers)
        else:
            self._resumed()

    def add_send_window(self, increment: int) -> bool:
        """The peer takes more.

        @return: whether that is still a window.
        """
        self.send_window += increment
        return self.send_window <= LARGEST_WINDOW

    # -- receiving -----------------------------------------------------------------------------
    def refill(self) -> None:
        """Let the peer send more, if half of its window is used and somebody reads."""
        if (
            not self.body_paused
            and not self.remote_ended
            and self.receive_window < STREAM_WINDOW // 2
        ):
            increment = STREAM_WINDOW - self.receive_window
            self.receive_window = STREAM_WINDOW
            self.core.send(frames.window_frame(self.stream_id, increment))
