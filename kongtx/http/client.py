"""The HTTP/1.1 client channel (RFC 9112). Hot path: llhttp reads, long bodies go past it.

A channel carries one exchange at a time. Its user (an L{IReply}) is told the head once, then the
body's pieces, then its end; or that it failed, once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from httptools import HttpParserError, HttpParserUpgrade
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IProtocol, IPushProducer, IReactorTime
from twisted.python.failure import Failure
from zope.interface import implementer

from kongtx.http.interfaces import IReply
from kongtx.http.plain import read_plain_head
from kongtx.http.replies import ReplyParser
from kongtx.http.timers import NEVER, LazyTimer

Header = tuple[bytes, bytes]

#: Why an exchange failed.
CLOSED: Final = "closed"
GARBAGE: Final = "garbage"
TIMEOUT: Final = "timeout"

#: How long a connection that is being closed may take to send what is left.
CLOSE_SECONDS: Final = 10.0

#: A longer response head is garbage, in bytes.
HEAD_BYTES: Final = 64 * 1024
# Bodies with more than this to come are counted, not parsed.
_DIRECT: Final = 16 * 1024


@implementer(IProtocol, IPushProducer)
class ClientChannel(ReplyParser):
    """One connection to a peer."""

    __slots__ = (
        "__weakref__",
        "_direct",
        "_early",
        "_head_only",
        "_last_head",
        "_last_read",
        "_minor",
        "_raw",
        "_read_timeout",
        "_reading",
        "_reply",
        "_seconds",
        "_started",
        "_timer",
        "_told",
        "_tunnel",
        "_write_timeout",
        "closed",
        "connected",
        "dated",
        "ended_by",
        "factory",
        "key",
        "lost",
        "received",
        "request_sent",
        "requests",
        "transport",
        "write_paused",
    )

    transport: Any
    factory: Any

    #: A body of unknown length goes in chunks.
    chunks = True
    #: The peer has said that it has done nothing about the request, whatever was sent.
    unprocessed = False

    def __init__(self, clock: IReactorTime, key: Any, lost: Callable[[ClientChannel], None]):
        """A channel that is not connected yet.

        @param key: the pool's.
        @param lost: called with the channel when its connection has ended.
        """
        self._seconds = clock.seconds
        self._timer = LazyTimer(clock, self._expired)
        self.key = key
        self.lost = lost
        self._reply: IReply | None = None
        self._tunnel: Callable[[bytes], object] | None = None
        #: Called with the channel once it is connected.
        self.connected: Callable[[ClientChannel], None] | None = None
        self.requests = 0
        self.closed = False
        self.write_paused = False
        self._reading = True
        self._parser = None
        self._parts = []
        # The last plain head, as received and as read: upstreams repeat themselves.
        self._last_head = b""
        self._last_read = (b"", 0, 0, False, False)
        self.received = False
        #: The reason for the connection's end.
        self.ended_by: BaseException | None = None
        #: The raw head that has been told holds a Date.
        self.dated = False

    # -- IProtocol ---------------------------------------------------------------------------
    def connectionMade(self) -> None:
        pass

    def makeConnection(self, transport: Any) -> None:
        self.transport = transport
        set_no_delay = getattr(transport, "setTcpNoDelay", None)
        if set_no_delay is not None:
            set_no_delay(True)
        transport.registerProducer(self, True)
        connected, self.connected = self.connected, None
        if connected is not None:
            connected(self)

    def connectionLost(self, reason: Failure) -> None:
        self.closed = True
        self.ended_by = reason.value
        self._timer.end()
        reply, self._reply = self._reply, None
        tunnel, self._tunnel = self._tunnel, None
        self.lost(self)
        if reply is None:
            return
        clean = isinstance(reason.value, ConnectionDone)
        if tunnel is not None or (clean and self._told and self._until_close()):
            reply.reply_ended((), False)
        else:
            reply.reply_failed(CLOSED)

    # -- IPushProducer: what goes to the peer ---------------------------------------------------
    def pauseProducing(self) -> None:
        # Twisted's transports say it at each write above their mark.
        if self.write_paused:
            return
        self.write_paused = True
        reply = self._reply
        if reply is not None:
            self._timer.set(self._seconds() + self._write_timeout)
            reply.peer_paused()

    def resumeProducing(self) -> None:
        self.write_paused = False
        reply = self._reply
        if reply is not None:
            self._timer.deadline = NEVER
            if self.request_sent:
                self._timer.set(self._seconds() + self._read_timeout)
            reply.peer_resumed()

    def stopProducing(self) -> None:
        pass

    # -- requests ----------------------------------------------------------------------------
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
        """Begin an exchange.

        @param reply: is told what the peer answers.
        @param data: the request's head, and what there is of its body.
        @param complete: that is all of the request.
        @param head_only: the method is HEAD.
        @param read_timeout: in seconds, between two reads once the request has been sent.
        @param write_timeout: in seconds, between two moments at which the peer takes something.
        @param raw: the response's head may be told by C{reply_raw}.
        """
        self._reply = reply
        self._raw = raw
        self._head_only = head_only
        self._read_timeout = read_timeout
        self._write_timeout = write_timeout
        self.request_sent = complete
        self.requests += 1
        self.received = self._started = self._told = False
        self._direct = 0
        self._early = b""
        self._start_parsing()
        if complete:
            self._timer.set(self._seconds() + read_timeout)
        else:
            self._timer.deadline = NEVER
        self.transport.write(data)

    def write(self, data: bytes) -> None:
        """Send more of the request's body, framed by the caller."""
        if not self.closed:
            self.transport.write(data)

    def sent(self) -> None:
        """The request is complete: the peer's time runs from now on."""
        self.request_sent = True
        if not self.write_paused and self._reply is not None:
            self._timer.set(self._seconds() + self._read_timeout)

    def pause(self) -> None:
        """Read no more of the response for now."""
        if not self.closed:
            self._reading = False
            self._timer.deadline = NEVER
            self.transport.pauseProducing()

    def resume(self) -> None:
        """Read the response again."""
        if not self.closed:
            if self._reply is not None:
                self._timer.set(self._seconds() + self._read_timeout)
            self._reading = True
            self.transport.resumeProducing()

    def detach(self) -> None:
        """Forget the exchange and cut the connection."""
        self._reply = None
        self._tunnel = None
        self.abort()

    def hang_up(self) -> None:
        """Forget the exchange, and close after what is still to be sent."""
        self._reply = None
        self._tunnel = None
        self.close()

    def abort(self) -> None:
        """Cut the connection."""
        self._timer.stop()
        if not self.closed:
            self.closed = True
            self.transport.unregisterProducer()
            self.transport.abortConnection()

    def close(self) -> None:
        """Close the connection after what is still to be sent; cut it if that takes too long."""
        if not self.closed:
            self.closed = True
            self._timer.set(self._seconds() + CLOSE_SECONDS)
            self.transport.unregisterProducer()
            self.transport.loseConnection()

    def discard(self) -> None:
        """End a connection whose exchange has ended and which cannot be used again."""
        if self.request_sent:
            self.close()
        else:
            self.abort()

    def wait_idle(self, timeout: float) -> None:
        """Nothing is asked of the peer; close after C{timeout} seconds (0: never)."""
        if timeout:
            self._timer.set(self._seconds() + timeout)
        else:
            self._timer.deadline = NEVER

    def start_tunnel(self, receiver: Callable[[bytes], object]) -> None:
        """Pass on what comes from now on unread."""
        self._tunnel = receiver
        self.touch()

    def touch(self) -> None:
        """Something has passed through the tunnel: it is not idle."""
        if self.closed:
            return
        self._timer.set(self._seconds() + self._read_timeout)

    # -- responses ---------------------------------------------------------------------------
    def dataReceived(self, data: bytes) -> None:
        reply = self._reply
        if reply is None:
            # Nothing was asked: a stale answer, or an error before the peer closes.
            self.abort()
            return
        if self._tunnel is not None:
            self.touch()
            self._tunnel(data)
            return
        if self._direct:
            self._count(reply, data)
            return
        self.received = True
        if not self._started:
            if self._raw and self._read_raw(reply, data):
                return
            if self._early:
                data = self._early + data
            if len(data) < 9:
                self._early = data
                return
            self._started = True
            if data[:7] != b"HTTP/1.":
                self._fail(GARBAGE)
                return
            self._minor = data[7] - 48
        self._parse(reply, data)

    def _read_raw(self, reply: IReply, data: bytes) -> bool:
        """Read a plain response whose whole head is there, and whose body has a length.

        @return: whether it is one; if not, nothing has been done.
        """
        end = data.find(b"\r\n\r\n") + 4
        if end == 3 or self._early:
            return False
        head = data[:end]
        if head == self._last_head:
            text, status, length, keeps, self.dated = self._last_read
        else:
            read = read_plain_head(head)
            if read is None:
                return False
            text, status, length, keeps, self.dated = self._last_read = read
            self._last_head = head
        self._told = self._started = True
        self._minor = 1
        self.status = status
        self.length = length
        body = data[end:]
        have = len(body)
        if have < length:
            if not keeps:
                self.special = {b"connection": b"close"}
            self._direct = length - have
            self._timer.set(self._seconds() + self._read_timeout)
            reply.reply_raw(self, text, length, body, False, False)
            return True
        if have > length:
            keeps = False
            body = body[:length]
        self._complete = True
        self._timer.deadline = NEVER
        self._reply = None
        reply.reply_raw(self, text, length, body, True, keeps and self.request_sent)
        return True

    def _parse(self, reply: IReply, data: bytes) -> None:
        assert self._parser is not None
        rest = None
        try:
            self._parser.feed_data(data)
        except HttpParserUpgrade as upgrade:
            self._parser = None
            if self.status == 101:
                rest = data[upgrade.args[0] :]
            elif self._complete:
                self._excess = True
            else:
                self._fail(GARBAGE)
                return
        except HttpParserError:
            self._parser = None
            if not self._complete:
                self._fail(GARBAGE)
                return
            self._excess = True
        if not self._told:
            if not self._done_head:
                self._head_bytes += len(data)
                if self._head_bytes > HEAD_BYTES:
                    self._fail(GARBAGE)
                else:
                    self._timer.set(self._seconds() + self._read_timeout)
                return
            self._tell(reply, rest)
            return
        parts = self._parts
        body = parts[0] if len(parts) == 1 else b"".join(parts)
        parts.clear()
        if body:
            self._timer.set(self._seconds() + self._read_timeout)
            reply.reply_part(body)
        if self._complete and self._reply is reply:
            self._end(reply)

    def _tell(self, reply: IReply, rest: bytes | None) -> None:
        """Hand over the head, with what has come of the body.

        @param rest: what has come in the new protocol, if the peer changes to one.
        """
        self._told = True
        parts = self._parts
        if not parts:
            body = b""
        else:
            body = parts[0] if len(parts) == 1 else b"".join(parts)
            parts.clear()
        length = self.length
        if self.status == 101:
            if rest is None:
                # It does not name the protocol, as it has to (RFC 9110 §15.2.2).
                self._fail(GARBAGE)
                return
            self._timer.deadline = NEVER
            reply.reply_upgraded(self, rest)
            return
        if self._chunked:
            if self._bad_coding or self._minor == 0:
                self._fail(GARBAGE)
                return
            length = -1
        elif self._head_only or self.status == 304:
            if not self._complete:
                self._complete = True
                self._parser = None
            body = b""
        elif self._complete:
            length = len(body)
        elif length - len(body) > _DIRECT:
            self._direct = length - len(body)
            self._parser = None
        if self._complete:
            self._timer.deadline = NEVER
            reusable = self.reusable
            self._reply = None
            reply.reply_head(self, length, body, True, reusable)
        else:
            self._timer.set(self._seconds() + self._read_timeout)
            reply.reply_head(self, length, body, False, False)

    def _count(self, reply: IReply, data: bytes) -> None:
        size = len(data)
        if size > self._direct:
            data = data[: self._direct]
            size = self._direct
            self._excess = True
        self._direct -= size
        if self._direct:
            self._timer.set(self._seconds() + self._read_timeout)
            reply.reply_part(data)
            return
        self._complete = True
        reply.reply_part(data)
        if self._reply is reply:
            self._end(reply)

    def _end(self, reply: IReply) -> None:
        self._timer.deadline = NEVER
        reusable = self.reusable
        self._reply = None
        if not self._reading:
            # The last piece was too much for the client: that is nothing to the next one.
            self.resume()
        reply.reply_ended(self.trailers, reusable)

    @property
    def reusable(self) -> bool:
        """Whether another request may follow the exchange that has just ended."""
        if not self.request_sent or self._excess or self.closed or self._until_close():
            return False
        connection = b"" if self.special is None else self.special.get(b"connection", b"").lower()
        return b"close" not in connection and (self._minor == 1 or b"keep-alive" in connection)

    def _until_close(self) -> bool:
        return (
            self.length < 0
            and not self._chunked
            and not self._head_only
            and self.status not in (101, 204, 304)
        )

    # -- failures ----------------------------------------------------------------------------
    def _fail(self, why: str) -> None:
        reply, self._reply = self._reply, None
        self.abort()
        if reply is not None:
            reply.reply_failed(why)

    def _expired(self) -> None:
        if self.closed:
            self.transport.abortConnection()
        elif self._reply is None:
            self.close()
        else:
            self._fail(TIMEOUT)
