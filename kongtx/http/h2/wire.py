"""An HTTP/2 connection on a Twisted transport: bytes, backpressure and time. Hot path."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from twisted.internet.interfaces import IProtocol, IPushProducer, IReactorTime
from twisted.python.failure import Failure
from zope.interface import implementer

from kongtx.http.h2.connection import Connection
from kongtx.http.timers import NEVER, LazyTimer
from kongtx.net.consumer import unsent_bytes

# A connection's last frames are waited for so long, in seconds; again after each that is taken.
_CLOSE_SECONDS: Final = 5.0
#: With more than this to be taken by the peer, it is not read, in bytes.
MOST_UNSENT: Final = 1 << 20


@implementer(IProtocol, IPushProducer)
class Wire(Connection):
    """What both sides do with their transport."""

    __slots__ = (
        "__weakref__",
        "_closing",
        "_registered",
        "_seconds",
        "_timer",
        "_unread",
        "_untaken",
        "factory",
        "transport",
    )

    factory: Any
    transport: Any

    def __init__(self, clock: IReactorTime, header_bytes: int, client: bool) -> None:
        """A connection without a transport; see L{Connection}."""
        self._seconds: Callable[[], float] = clock.seconds
        super().__init__(header_bytes, clock.seconds, client)
        self._flush_soon = getattr(getattr(clock, "loop", None), "call_soon", None)
        #: The transport has been told to close.
        self._closing = False
        self._registered = False
        #: The peer is not read: it takes too little of what it makes us say.
        self._unread = False
        #: Bytes that waited for the peer when closing began, or was last looked after.
        self._untaken = 0
        self._timer = LazyTimer(clock, self._expired)

    # -- what a side does ----------------------------------------------------------------------
    def _idle_since(self) -> float:
        """When an idle connection is to be closed, in the clock's seconds."""
        raise NotImplementedError

    def _idle_expired(self) -> None:
        """Nothing has been asked for too long."""
        raise NotImplementedError

    def _lost(self, reason: Failure) -> None:
        """The connection has gone; the streams have been told."""

    # -- IProtocol ---------------------------------------------------------------------------
    def makeConnection(self, transport: Any) -> None:
        self.transport = transport
        self.connectionMade()

    def connectionMade(self) -> None:
        pass

    def dataReceived(self, data: bytes) -> None:
        self.receive(data)
        # Windows hold bodies back, but nothing else that the peer may ask for.
        if self.wire_paused and not self.dead and unsent_bytes(self.transport) > MOST_UNSENT:
            self._unread = True
            self.transport.pauseProducing()

    def connectionLost(self, reason: Failure) -> None:
        self.dead = True
        self._timer.end()
        self._drop_streams(reason)
        self._lost(reason)

    def _drop_streams(self, reason: Failure | None) -> None:
        streams, self.streams = self.streams, {}
        for stream in streams.values():
            stream.lost(reason)

    # -- IPushProducer: the transport's buffer of what is to be sent ------------------------------
    def _register(self) -> None:
        self._registered = True
        self.transport.registerProducer(self, True)

    def pauseProducing(self) -> None:
        self.wire_paused = True

    def resumeProducing(self) -> None:
        self.wire_paused = False
        if self._unread:
            self._unread = False
            self.transport.resumeProducing()
        if not self.dead:
            self.flush()

    def stopProducing(self) -> None:
        self.wire_paused = True

    def _write(self, data: bytes) -> None:
        self.transport.write(data)

    def _write_pieces(self, pieces: list[bytes]) -> None:
        self.transport.writeSequence(pieces)

    # -- time --------------------------------------------------------------------------------
    def wake_at(self, stream: Any, seconds: float) -> None:
        """Let a stream expire after so many seconds."""
        stream.deadline = deadline = self._seconds() + seconds
        if deadline < self._timer.deadline:
            self._timer.set(deadline)

    def _wake_idle(self) -> None:
        deadline = self._idle_since()
        if deadline < self._timer.deadline:
            self._timer.set(deadline)

    def _expired(self) -> None:
        now = self._seconds() + 0.001
        if self._closing:
            if unsent_bytes(self.transport) < self._untaken:
                self._await_last_frames()
            else:
                self.transport.abortConnection()
            return
        if not self.streams and self._idle_since() <= now:
            self._idle_expired()
            return
        for stream in list(self.streams.values()):
            if stream.deadline <= now:
                stream.expired()
        if self.dead:
            return
        nearest = min([stream.deadline for stream in self.streams.values()], default=NEVER)
        nearest = min(nearest, self._idle_since())
        if nearest != NEVER:
            self._timer.set(nearest)

    # -- endings -----------------------------------------------------------------------------
    def _failed(self, code: int, why: str) -> None:
        self._drop_streams(None)
        self._close()

    def _close(self) -> None:
        """Close the transport after what is still to be sent."""
        if self._closing:
            return
        self._flush_out()
        self._closing = self.dead = True
        if self._registered:
            self._registered = False
            self.transport.unregisterProducer()
        self._await_last_frames()
        self._shut()

    def _await_last_frames(self) -> None:
        """Expire unless the peer takes something of what is still to be sent."""
        self._untaken = unsent_bytes(self.transport)
        self._timer.set(self._seconds() + _CLOSE_SECONDS)

    def _shut(self) -> None:
        """Begin to close the transport; after a while it is aborted."""
        self.transport.loseConnection()
