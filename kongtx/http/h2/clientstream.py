"""One exchange on a client's HTTP/2 connection. Hot path.

To its user it is what an L{kongtx.http.client.ClientChannel} is, for one exchange.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kongtx.http.client import CLOSED, GARBAGE, TIMEOUT
from kongtx.http.h2 import frames
from kongtx.http.h2.errors import CANCEL, NO_ERROR, PROTOCOL_ERROR, REFUSED_STREAM
from kongtx.http.h2.fields import parse_response, well_formed
from kongtx.http.h2.hpacking import SECRET, Header, encode, encode_request
from kongtx.http.h2.streams import Stream
from kongtx.http.interfaces import IReply
from kongtx.http.plain import SPECIAL
from kongtx.http.timers import NEVER

if TYPE_CHECKING:
    from twisted.python.failure import Failure

    from kongtx.http.h2.client import ClientConnection

# Fields of a request's head that are said in another way, or not at all.
_LEFT_OUT: Final = frozenset((b"content-length", b"te"))
_TRAILERS: Final = encode(((b"te", b"trailers"),))
_KEPT: Final = 1024


class ClientStream(Stream):
    """One exchange with a peer."""

    __slots__ = (
        "_body",
        "_body_size",
        "_head_only",
        "_read_timeout",
        "_reply",
        "_waits_to_tell",
        "_write_timeout",
        "closed",
        "headers",
        "length",
        "received",
        "request_sent",
        "special",
        "status",
        "trailers",
        "unprocessed",
    )

    core: ClientConnection
    #: What the forwarding code asks of its channels.
    chunks = False
    dated = False
    reason = b""

    def __init__(self, core: ClientConnection) -> None:
        """A stream that has no id until it is used."""
        super().__init__(core, 0, False)
        self._reply: IReply | None = None
        self._body: list[bytes] = []
        self._body_size = 0
        self._waits_to_tell = False
        self._head_only = False
        self._read_timeout = self._write_timeout = 0.0
        #: Nothing can be sent on it.
        self.closed = True
        self.headers: list[Header] = []
        self.length = -1
        #: Something of a response has come.
        self.received = False
        self.request_sent = False
        self.special: dict[bytes, bytes] | None = None
        self.status = 0
        self.trailers: list[Header] = []
        #: The peer has said that it has done nothing about the request.
        self.unprocessed = False

    @property
    def ended_by(self) -> BaseException | None:
        """Why the connection has ended; L{None} before."""
        return self.core.ended_by

    # -- the request ---------------------------------------------------------------------------
    def send(
        self,
        reply: IReply,
        data: bytes,
        complete: bool,
        head_only: bool,
        read_timeout: float,
        write_timeout: float,
        raw: bool = False,
    ) -> None:
        """Begin the exchange; as L{kongtx.http.client.ClientChannel.send}.

        @param data: the head as it is in HTTP/1.1, and what there is of the body, without framing.
        """
        self._reply = reply
        self._head_only = head_only
        self._read_timeout = read_timeout
        self._write_timeout = write_timeout
        core = self.core
        self.stream_id = core.open(self)
        self.closed = False
        end = data.find(b"\r\n\r\n") + 4
        body = data[end:]
        block = core.block_prefix() + _translate(data[: end - 4], core.secure)
        bare = complete and not body
        head = frames.headers_frames(self.stream_id, block, bare, core.peer_frame_size)
        self.request_sent = complete
        if complete:
            core.wake_at(self, read_timeout)
        if body:
            self.send_data(body, complete, head)
        else:
            core.send(head)
            if bare:
                self.local_ended = True

    def write(self, data: bytes) -> None:
        """Send more of the request's body."""
        if not self.closed and not self.local_ended and data:
            self.send_data(data, False)

    def sent(self) -> None:
        """The request is complete: the peer's time runs from now on."""
        self.request_sent = True
        if self.closed:
            return
        if not self.write_paused:
            self.core.wake_at(self, self._read_timeout)
        if not self.local_ended:
            self.end_with(())

    def _sent_all(self) -> None:
        if self.remote_ended:
            self._end_stream()
        elif self._reply is not None:
            self.core.wake_at(self, self._read_timeout)

    def _paused(self) -> None:
        self.core.wake_at(self, self._write_timeout)
        if self._reply is not None:
            self._reply.peer_paused()

    def _progress(self) -> None:
        if self.write_paused:
            self.core.wake_at(self, self._write_timeout)

    def _resumed(self) -> None:
        self.deadline = NEVER
        if self._reply is not None:
            self._reply.peer_resumed()

    # -- the response --------------------------------------------------------------------------
    def got_headers(self, fields: list[Header], ended: bool) -> None:
        """A header block has come: an interim response, a final one's head, or trailers."""
        self.received = True
        if self.status:
            if not ended or not well_formed(fields):
                self._fail(GARBAGE, PROTOCOL_ERROR)
                return
            self.trailers = fields
            self._complete()
            return
        parsed = parse_response(fields)
        if parsed is None or (parsed[0] < 200 and ended):
            self._fail(GARBAGE, PROTOCOL_ERROR)
            return
        status, headers = parsed
        if status < 200:
            self._arm_read()
            return
        self.status = status
        self._take_head(headers)
        self._waits_to_tell = True
        self.core.tell_later(self)
        if ended:
            self._complete()
        else:
            self._arm_read()

    def _take_head(self, headers: list[Header]) -> None:
        special: dict[bytes, bytes] | None = None
        kept: list[Header] = []
        for header in headers:
            name, value = header
            if name not in SPECIAL:
                kept.append(header)
            elif name == b"content-length":
                self.length = int(value) if value.isdigit() else -2
            else:
                special = special or {}
                special[name] = special[name] + b", " + value if name in special else value
        self.headers = kept
        self.special = special

    def got_data(self, data: bytes, ended: bool) -> None:
        if not self.status:
            self._fail(GARBAGE, PROTOCOL_ERROR)
            return
        self._body_size += len(data)
        if self._waits_to_tell:
            if data:
                self._body.append(data)
        elif self._reply is not None:
            self._arm_read()
            if data:
                self._reply.reply_part(data)
        if ended:
            self._complete()

    def _complete(self) -> None:
        """All of the response is there."""
        self.remote_ended = True
        self.deadline = NEVER
        bare = self._head_only or self.status in (204, 304)
        if self.length == -2 or (self.length >= 0 and self._body_size != self.length and not bare):
            self._fail(GARBAGE, PROTOCOL_ERROR)
            return
        if not self._waits_to_tell:
            self._tell_end()

    def tell(self) -> None:
        """Hand over the head, with what has come of the body."""
        reply = self._reply
        if not self._waits_to_tell or reply is None:
            return
        self._waits_to_tell = False
        pieces, self._body = self._body, []
        body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        length = self.length
        if not self.remote_ended:
            reply.reply_head(self, length, body, False, False)
            return
        if length < 0 and body:
            length = len(body)
        self._reply = None
        reply.reply_head(self, length, body, True, False)
        self._end_stream()

    def _tell_end(self) -> None:
        reply, self._reply = self._reply, None
        if reply is not None:
            reply.reply_ended(self.trailers, False)
        self._end_stream()

    def _end_stream(self) -> None:
        """Forget the stream, if both sides have ended or the rest of ours is not wanted."""
        self.closed = True
        core = self.core
        if self.local_ended:
            core.forget(self.stream_id)
        elif core.streams.pop(self.stream_id, None) is not None:
            core.reset(self.stream_id, NO_ERROR)
        core.stream_gone()

    def _arm_read(self) -> None:
        if self.request_sent and not self.body_paused and not self.write_paused:
            self.core.wake_at(self, self._read_timeout)

    def pause(self) -> None:
        """Let the peer send no more than it may already."""
        self.body_paused = True
        if not self.write_paused:
            self.deadline = NEVER

    def resume(self) -> None:
        """Let the peer send again."""
        if self.body_paused:
            self.body_paused = False
            if not self.closed and not self.remote_ended:
                self._arm_read()
                self.refill()

    # -- endings -----------------------------------------------------------------------------
    def detach(self) -> None:
        """Forget the exchange; the peer is told to stop."""
        self._reply = None
        self._waits_to_tell = False
        self._drop(CANCEL)

    abort = hang_up = detach

    def discard(self) -> None:
        """The exchange has ended; there is nothing to keep."""

    def _drop(self, code: int) -> None:
        self.deadline = NEVER
        self.closed = self.local_ended = True
        core = self.core
        if core.streams.pop(self.stream_id, None) is not None:
            core.reset(self.stream_id, code)
        core.stream_gone()

    def _fail(self, why: str, code: int) -> None:
        self._drop(code)
        self._tell_failure(why)

    def _tell_failure(self, why: str) -> None:
        self.closed = True
        self.deadline = NEVER
        self._waits_to_tell = False
        reply, self._reply = self._reply, None
        if reply is not None:
            reply.reply_failed(why)

    def expired(self) -> None:
        self._fail(TIMEOUT, CANCEL)

    def broken(self, code: int) -> None:
        self._tell_failure(GARBAGE)
        self.core.stream_gone()

    def was_reset(self, code: int) -> None:
        if self._waits_to_tell and self.remote_ended:
            # The response is whole; the rest of the request is not wanted.
            self.local_ended = True
            self.tell()
            return
        self.received = True
        self.unprocessed = code == REFUSED_STREAM
        self._tell_failure(CLOSED)
        self.core.stream_gone()

    def not_processed(self) -> None:
        """The peer goes away, and has not begun with this."""
        self.unprocessed = True
        self._tell_failure(CLOSED)

    def lost(self, reason: Failure | None) -> None:
        self._tell_failure(CLOSED if reason is not None else GARBAGE)


# Header lines as they are in HTTP/1.1, and encoded: requests mostly have the same ones.
_encoded: Final[dict[bytes, bytes]] = {}


def _translate(head: bytes, secure: bool) -> bytes:
    """A request's header block from its head in HTTP/1.1, which the gateway has made itself."""
    line, host, *lines = head.split(b"\r\n")
    method, path, _ = line.split(b" ")
    known = _encoded.get
    pieces = [encode_request(method, secure, host[6:], path)]
    for line in lines:
        piece = known(line)
        pieces.append(_encode_line(line) if piece is None else piece)
    # gRPC servers want to be sure that trailers pass.
    pieces.append(_TRAILERS)
    return b"".join(pieces)


def _encode_line(line: bytes) -> bytes:
    name, _, value = line.partition(b": ")
    lower = name.lower()
    piece = b"" if lower in _LEFT_OUT else encode(((lower, value),))
    if lower not in SECRET:
        if len(_encoded) >= _KEPT:
            _encoded.clear()
        _encoded[line] = piece
    return piece
