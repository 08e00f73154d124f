"""One request on a server's HTTP/2 connection: what an exchange sees as its channel. Hot path."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from zope.interface import implementer

from kongtx.http.h2 import frames
from kongtx.http.h2.errors import CANCEL, INTERNAL_ERROR, NO_ERROR, PROTOCOL_ERROR
from kongtx.http.h2.fields import RequestFields, well_formed
from kongtx.http.h2.hpacking import encode, encode_status
from kongtx.http.h2.streams import Stream
from kongtx.http.interfaces import IExchange, IServerChannel
from kongtx.http.timers import NEVER

if TYPE_CHECKING:
    from twisted.python.failure import Failure

    from kongtx.http.h2.server import ServerConnection

Header = tuple[bytes, bytes]

_NO_BODY: Final = frozenset((204, 304))


@implementer(IServerChannel)
class ServerStream(Stream):
    """One request and its response."""

    __slots__ = (
        "_body_lost",
        "_expects",
        "_fields",
        "_head_only",
        "_left_in",
        "_left_out",
        "_pending",
        "body_received",
        "body_sent",
        "exchange",
        "head_received",
        "head_sent",
        "is_tls",
        "keep_alive",
        "local",
        "peer",
        "requests",
    )

    core: ServerConnection
    exchange: IExchange | None
    can_tunnel = False
    takes_raw = False

    def __init__(
        self, core: ServerConnection, stream_id: int, ended: bool, fields: RequestFields | None
    ) -> None:
        super().__init__(core, stream_id, ended)
        self._fields = fields
        self.peer = core.peer
        self.local = core.local
        self.is_tls = core.is_tls
        self.requests = core.requests
        self.keep_alive = True
        self.head_received = self.head_sent = self.body_received = self.body_sent = 0
        self._head_only = False
        #: Bytes of the request's body that its Content-Length still promises; -1: none does.
        self._left_in = -1
        self._left_out = -1
        self._expects = self._body_lost = False
        #: What has come of the body before the exchange is started; L{None} once it has been.
        self._pending: list[bytes] | None = []
        self.exchange = None
        if fields is not None:
            self._head_only = fields.method == b"HEAD"
            self._left_in = fields.length
            self._expects = fields.expects and not ended

    # -- facts -------------------------------------------------------------------------------
    @property
    def proxied_peer(self) -> tuple[str, int] | None:
        proxied: tuple[str, int] | None = self.core.proxied_peer
        return proxied

    @property
    def sni(self) -> bytes:
        return self.core.sni

    @property
    def serial(self) -> int:
        serial: int = self.core.serial
        return serial

    @property
    def transport(self) -> Any:
        return self.core.transport

    @property
    def memo(self) -> Any:
        return None if self._fields is None else self._fields.memo

    @memo.setter
    def memo(self, memo: Any) -> None:
        if self._fields is not None:
            self._fields.memo = memo

    # -- the request ---------------------------------------------------------------------------
    def start(self) -> None:
        """All that has come with the header is there: begin."""
        pending, self._pending = self._pending, None
        exchange = self.exchange
        if exchange is None or pending is None:
            return
        body = pending[0] if len(pending) == 1 else b"".join(pending)
        if not self.remote_ended:
            self._arm_body()
        exchange.start(body, self.remote_ended)

    def got_data(self, data: bytes, ended: bool) -> None:
        if self._body_lost:
            return
        self._expects = False
        self.body_received += len(data)
        if self._left_in >= 0:
            self._left_in -= len(data)
            if self._left_in < 0 or (ended and self._left_in):
                self._malformed()
                return
        limit = self.core.limits.body_bytes
        if limit and self.body_received > limit:
            self._body_failed(413)
            return
        exchange = self.exchange
        if self._pending is not None:
            if data:
                self._pending.append(data)
        elif exchange is not None:
            if ended:
                self.deadline = NEVER
            elif not self.body_paused:
                self._arm_body()
            if data:
                exchange.body_part(data)
            if ended and self.exchange is exchange:
                exchange.body_end(())

    def got_trailers(self, fields: list[Header], ended: bool) -> None:
        """A second header block has come."""
        if not ended or not well_formed(fields) or self._left_in > 0:
            self._malformed()
            return
        self.remote_ended = True
        self.deadline = NEVER
        if self.exchange is not None and self._pending is None:
            self.exchange.body_end(fields)

    def _malformed(self) -> None:
        self.core.streams.pop(self.stream_id, None)
        self.core.reset(self.stream_id, PROTOCOL_ERROR)
        self.broken(PROTOCOL_ERROR)
        self.core.charge_reset()

    def _body_failed(self, status: int) -> None:
        exchange = self.exchange
        self.deadline = NEVER
        self._body_lost = self.body_paused = True
        if self._pending is not None:
            self._pending = None
            self.core.refuse(self, status)
        elif exchange is not None:
            exchange.body_failed(status)

    def broken(self, code: int) -> None:
        self.deadline = NEVER
        self.local_ended = self.remote_ended = True
        exchange, self.exchange = self.exchange, None
        started, self._pending = self._pending is None, None
        if exchange is not None and started:
            exchange.client_lost()
        self.core.stream_gone()

    def was_reset(self, code: int) -> None:
        self.broken(code)

    def lost(self, reason: Failure | None) -> None:
        self.broken(NO_ERROR)

    def expired(self) -> None:
        """The client has been too slow."""
        self.deadline = NEVER
        if self.write_paused:
            self.core.streams.pop(self.stream_id, None)
            self.core.reset(self.stream_id, CANCEL)
            self.broken(CANCEL)
        else:
            self._body_failed(408)

    def _arm_body(self) -> None:
        self.core.wake_at(self, self.core.limits.body_timeout)

    def pause_body(self) -> None:
        self.body_paused = True
        if not self.write_paused:
            self.deadline = NEVER

    def resume_body(self) -> None:
        if self.body_paused:
            self.body_paused = False
            if not self.remote_ended:
                self._arm_body()
                self.refill()

    def send_continue(self) -> None:
        if self._expects:
            self._expects = False
            block = self.core.block_prefix() + encode_status(100)
            self.core.send(frames.headers_frames(self.stream_id, block, False, len(block)))

    # -- the response ----------------------------------------------------------------------------
    def respond(
        self,
        status: int,
        reason: bytes | None,
        headers: Sequence[Header],
        body: bytes,
        length: int,
        ended: bool,
    ) -> None:
        core = self.core
        if self.local_ended:
            return
        if ended and length < 0 and body:
            length = len(body)
        block = encode_status(status) + encode(headers)
        if length >= 0 and status != 204:
            block += encode(((b"content-length", b"%d" % length),))
        if self._head_only or status in _NO_BODY:
            body, length = b"", 0
        self._left_out = length - len(body) if length >= 0 else -1
        block = core.block_prefix() + block
        self.head_sent = len(block)
        self.body_sent = len(body)
        if ended and self._left_out > 0:
            # Content-Length promises more than there is.
            self.abort()
            return
        bare = ended and not body
        head = frames.headers_frames(self.stream_id, block, bare, core.peer_frame_size)
        if bare:
            core.send(head)
            self.local_ended = True
            self._sent_all()
        elif body:
            self.send_data(body, ended, head)
        else:
            core.send(head)

    def respond_raw(
        self, head: bytes, headers: bytes, body: bytes, length: int, ended: bool
    ) -> None:
        raise NotImplementedError("a stream takes no raw header")

    def write(self, data: bytes) -> None:
        left = self._left_out
        if not data or self.local_ended or left == 0:
            return
        if left > 0:
            if len(data) > left:
                data = data[:left]
            self._left_out = left - len(data)
        self.body_sent += len(data)
        self.send_data(data, False)

    def end(self, trailers: Sequence[Header] = ()) -> None:
        if self._left_out > 0:
            self.abort()
        elif not self.local_ended:
            self.end_with(trailers)

    def abort(self) -> None:
        self.exchange = None
        self.deadline = NEVER
        self.local_ended = self.remote_ended = True
        if self.core.streams.pop(self.stream_id, None) is not None:
            self.core.reset(self.stream_id, INTERNAL_ERROR)
        self.core.stream_gone()

    def cut_off(self) -> None:
        self.abort()

    def tunnel(
        self, status: int, reason: bytes | None, headers: Sequence[Header], receiver: Any
    ) -> bytes:
        raise NotImplementedError("a stream cannot switch protocols")

    def hang_up(self) -> None:
        raise NotImplementedError("a stream has no tunnel to end")

    def _sent_all(self) -> None:
        self.deadline = NEVER
        core = self.core
        if self.remote_ended:
            core.forget(self.stream_id)
        elif core.streams.pop(self.stream_id, None) is not None:
            # The rest of the request is not wanted (RFC 9113 §8.1).
            core.reset(self.stream_id, NO_ERROR)
        exchange, self.exchange = self.exchange, None
        if exchange is not None:
            exchange.finished()
        core.stream_gone()

    # -- a slow client -----------------------------------------------------------------------------
    def _paused(self) -> None:
        self.core.wake_at(self, self.core.limits.send_timeout)
        if self.exchange is not None:
            self.exchange.client_paused()

    def _progress(self) -> None:
        if self.write_paused:
            self.core.wake_at(self, self.core.limits.send_timeout)

    def _resumed(self) -> None:
        self.deadline = NEVER
        if not self.remote_ended and not self.body_paused:
            self._arm_body()
        if self.exchange is not None:
            self.exchange.client_resumed()
