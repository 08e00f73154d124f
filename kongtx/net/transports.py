"""Hot path: Twisted stream transports that are uvloop's own.

A connection is two objects: uvloop's transport, written in C, and one of ours, which is at once
the asyncio protocol that uvloop drives and the Twisted transport that an L{IProtocol} sees. Reading
costs at most one Python call between uvloop and C{dataReceived}; C{write} and C{writeSequence} are
uvloop's own methods, bound on the instance. Everything else follows L{twisted.internet.abstract}
and L{twisted.internet.tcp} in behaviour.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from twisted.internet import error, interfaces
from twisted.internet._newtls import startTLS as start_tls
from twisted.internet.main import CONNECTION_DONE
from twisted.logger import Logger
from twisted.python import log
from twisted.python.failure import Failure
from zope.interface import implementer

from kongtx.net.consumer import Consumer
from kongtx.net.naming import log_prefix, names_itself
from kongtx.net.options import SocketOptions

if TYPE_CHECKING:
    from kongtx.net.reactor import KongtxReactor

_log = Logger()

_DONE = Failure(CONNECTION_DONE)


def _discard(data: object) -> None:
    """Stand where C{write} and C{writeSequence} were once nothing can be sent any more."""


class _Bypass:
    """What the TLS layer of C{startTLS} calls to reach the connection below itself."""

    @staticmethod
    def write(connection: StreamConnection, data: bytes) -> None:
        if connection.connected and not connection._write_closed:
            connection._uv.write(data)

    @staticmethod
    def writeSequence(connection: StreamConnection, chunks: Iterable[bytes]) -> None:
        if connection.connected and not connection._write_closed:
            connection._uv.writelines(chunks)

    @staticmethod
    def loseConnection(connection: StreamConnection) -> None:
        connection._lose()

    @staticmethod
    def registerProducer(connection: StreamConnection, producer: Any, streaming: bool) -> None:
        connection._register_producer(producer, streaming)

    @staticmethod
    def unregisterProducer(connection: StreamConnection) -> None:
        connection._unregister_producer()


@implementer(
    interfaces.ITCPTransport,
    interfaces.ITLSTransport,
    interfaces.IPushProducer,
    interfaces.ISystemHandle,
    interfaces.ILoggingContext,
)
class StreamConnection(SocketOptions, Consumer):
    """A connected stream: uvloop's protocol on one side, Twisted's transport on the other.

    @ivar connected: 1 from C{makeConnection} until the connection is lost.
    @ivar disconnecting: 1 once C{loseConnection} has been called.
    @ivar disconnected: 1 once the protocol has heard C{connectionLost}.
    @ivar _uv: uvloop's transport, which encrypts when this is TLS.
    @ivar _wire: the same, or the one below that encrypts nothing; it knows the addresses.
    """

    __slots__ = (
        "TLS",
        "__dict__",
        "__weakref__",
        "_aborting",
        "_close_scheduled",
        "_held",
        "_logstr",
        "_loop",
        "_paused",
        "_protocol",
        "_read_closed",
        "_reason",
        "_uv",
        "_wire",
        "_write_closed",
        "_write_closing",
        "connected",
        "data_received",
        "disconnected",
        "disconnecting",
        "reactor",
    )

    _tlsClientDefault = False

    write: Callable[[bytes], None]
    writeSequence: Callable[[Iterable[bytes]], None]
    data_received: Callable[[bytes], None]

    def __init__(self, reactor: KongtxReactor) -> None:
        self.reactor = reactor
        self._loop = reactor.loop
        self._uv: Any = None
        self._wire: Any = None
        self._protocol: Any = None
        self._reason: Failure | None = None
        self.connected = self.disconnecting = self.disconnected = 0
        self.producer: Any = None
        self.producerPaused = self.streamingProducer = False
        self.TLS = False
        self._logstr: str | None = None
        self._aborting = self._close_scheduled = self._full = False
        self._read_closed = False
        self._paused = self._pump_scheduled = self._write_closed = self._write_closing = False
        self._held: list[bytes] | None = None
        self.data_received = self._dispatch
        self.write = self.writeSequence = _discard

    # What uvloop calls.

    def connection_made(self, uv: Any) -> None:
        """Build the protocol and connect it; reading starts when this returns."""
        self._uv = uv
        if self._wire is None:
            self._wire = uv
        try:
            protocol = self._build_protocol()
        except BaseException:
            self._reason = Failure()
            _log.failure("A factory could not build a protocol; its connection is closed")
            uv.abort()
            return
        if protocol is None:
            self._without_protocol()
        else:
            self._connect(protocol)

    def _connect(self, protocol: Any) -> None:
        uv = self._uv
        self.connected = 1
        self.write = uv.write
        self.writeSequence = uv.writelines
        self._protocol = protocol
        self.reactor.connections.add(self)
        self._bind()
        if self.disconnecting:  # asked before there was a connection to close
            self._schedule_close()
        try:
            protocol.makeConnection(self)
        except BaseException:
            self._fail(Failure())
        if self._paused or self.disconnecting:
            # uvloop starts to read as soon as this returns, whatever was asked meanwhile.
            self._held = []
            self._bind()
        # As on other reactors, what was put off to the next turn comes before the first data.
        self.reactor.run_due()

    def _dispatch(self, data: bytes) -> None:
        try:
            self._protocol.dataReceived(data)
        except BaseException:
            self._fail(Failure())

    def _dispatch_logged(self, data: bytes) -> None:
        log.callWithContext({"system": self.logstr}, self._dispatch, data)

    def _hold(self, data: bytes) -> None:
        """Keep what arrives although reading was paused before it had begun."""
        self._uv.pause_reading()
        if self._held is not None and not self.disconnecting:
            self._held.append(data)

    def eof_received(self) -> bool:
        """Tell the protocol of the peer's end of stream.

        @return: whether uvloop shall keep the sending half open.
        """
        if not self.connected:
            return False
        half_closeable: Any = interfaces.IHalfCloseableProtocol(self._protocol, None)
        if half_closeable is None:
            return False
        self._read_closed = True
        try:
            half_closeable.readConnectionLost()
        except BaseException:
            self._fail(Failure())
        return not self._write_closed  # with both halves closed it is over

    def connection_lost(self, exc: BaseException | None) -> None:
        """Report the end of the connection, once."""
        reason = self._reason
        if reason is None:
            if exc is None:
                reason = _DONE
            elif isinstance(exc, OSError):
                reason = Failure(error.ConnectionLost())
            else:
                reason = Failure(exc)
        self._lost(reason)

    # Building, and ending.

    def _build_protocol(self) -> Any:
        """Ask the factory for the protocol of this connection; None refuses the connection."""
        raise NotImplementedError

    def _without_protocol(self) -> None:
        self._uv.abort()

    @property
    def logstr(self) -> str:
        """How log lines name the connection."""
        if self._logstr is None:
            if self._protocol is None:
                return "Uninitialized"
            self._logstr = self._name()
        return self._logstr

    def _name(self) -> str:
        """Make C{logstr}."""
        raise NotImplementedError

    @property
    def protocol(self) -> Any:
        """The protocol that receives what arrives; may be replaced at any time."""
        return self._protocol

    @protocol.setter
    def protocol(self, protocol: Any) -> None:
        self._protocol = protocol
        if self.connected:
            self._bind()

    def _bind(self) -> None:
        """Choose the cheapest correct way from uvloop to the protocol."""
        protocol = self._protocol
        if self._held is not None:
            way = self._hold
        elif not hasattr(protocol, "__dict__"):
            # Such a protocol cannot have its dataReceived replaced on the instance.
            way = protocol.dataReceived
        elif names_itself(protocol):
            way = self._dispatch_logged
        else:
            way = self._dispatch
        if way != self.data_received:
            self.data_received = way
            self._uv.set_protocol(self)

    def _write_nothing(self) -> None:
        self.write = self.writeSequence = _discard

    def _fail(self, failure: Failure) -> None:
        """Log a failure of the application and end the connection with it as the reason."""
        _log.failure("Unhandled error in {prefix}", failure, prefix=self.logstr)
        if not self.disconnected:
            self._reason = failure
            self._uv.abort()

    def _lost(self, reason: Failure) -> None:
        if self.disconnected:
            return
        was_connected = self.connected
        self.disconnected = 1
        self.connected = 0
        self.reactor.connections.discard(self)
        self._write_nothing()
        self.data_received = _discard
        self._held = None
        protocol, self._protocol = self._protocol, None
        producer, self.producer = self.producer, None
        if producer is not None:
            try:
                producer.stopProducing()
            except BaseException:
                _log.failure("A producer could not be stopped")
        if was_connected:
            try:
                protocol.connectionLost(reason)
            except BaseException:
                _log.failure("Unhandled error in {prefix}", prefix=log_prefix(protocol))

    def _forget(self) -> None:
        """Close the descriptor; the protocol hears nothing."""
        if not self.disconnected:
            self.disconnected = 1
            self.connected = 0
            self.reactor.connections.discard(self)
            self._write_nothing()
            self.data_received = _discard
            self._protocol = self.producer = self._held = None
            self._uv.abort()

    def connectionLost(self, reason: Failure) -> None:
        """End the connection at once; what the reactor calls when it stops."""
        if not self.disconnected:
            self._reason = reason
            if self._uv is not None:
                self._uv.abort()
            self._lost(reason)

    @property
    def reading(self) -> bool:
        """Whether something may be received."""
        closing = self._read_closed or self.disconnecting
        return bool(self.connected and not self._paused and not closing)

    # ITransport.

    def loseConnection(self) -> None:
        """Close the connection when all that was written has been sent."""
        if self.TLS:
            if self.connected and not self.disconnecting:
                self._protocol.loseConnection()
        else:
            self._lose()

    def _lose(self) -> None:
        if self.disconnected or self.disconnecting:
            return
        self.disconnecting = 1
        if self._uv is not None:
            self._uv.pause_reading()
            self._schedule_close()

    def _schedule_close(self) -> None:
        # Later, for what is written in the same turn after loseConnection is still sent.
        if not self._close_scheduled:
            self._close_scheduled = True
            self._loop.call_soon(self._close_when_sent)

    def _close_when_sent(self) -> None:
        self._close_scheduled = False
        if self.disconnected:
            return
        if self.producer is None or (self.streamingProducer and not self.producerPaused):
            self._uv.close()

    def abortConnection(self) -> None:
        """Close the connection now, dropping what waits to be sent; the peer sees a reset."""
        if self.disconnected or self._aborting:
            return
        if self._uv is None:
            self._lose()
            return
        self._aborting = True
        self.disconnecting = 1
        self._reason = Failure(error.ConnectionAborted())
        self._reset_on_close()
        self._uv.abort()

    def loseWriteConnection(self) -> None:
        """Close the sending half when all that was written has been sent."""
        if not self.connected or self._write_closing or self._write_closed:
            return
        self._write_closing = True
        self._loop.call_soon(self._close_write)

    def _close_write(self) -> None:
        if self._write_closed or not self.connected or self._uv.is_closing():
            return
        if self._uv.get_write_buffer_size():
            self._uv.set_write_buffer_limits(0)  # resume_writing when it is empty
            return
        self._write_closing = False
        self._write_closed = True
        self._uv.write_eof()
        self._write_nothing()
        half_closeable: Any = interfaces.IHalfCloseableProtocol(self._protocol, None)
        if half_closeable is not None:
            try:
                half_closeable.writeConnectionLost()
            except BaseException:
                self._fail(Failure())
                return
        if self.disconnecting or self._read_closed:
            self._schedule_close()

    def logPrefix(self) -> str:
        """Return C{logstr}."""
        return self.logstr

    def startTLS(self, ctx: Any, normal: bool = True) -> None:
        """Go on in TLS.

        @param ctx: a context factory, as for C{listenSSL} and C{connectSSL}.
        @param normal: whether the connecting side is the TLS client.
        """
        start_tls(self, ctx, normal, _Bypass)
        self.write = self._tls_write
        self.writeSequence = self._tls_write_sequence

    def _tls_write(self, data: bytes) -> None:
        if self.connected:
            self._protocol.write(data)

    def _tls_write_sequence(self, chunks: Iterable[bytes]) -> None:
        if self.connected:
            self._protocol.writeSequence(chunks)

    # IPushProducer.

    def pauseProducing(self) -> None:
        """Stop reading."""
        self._paused = True
        if self._uv is not None and not self.disconnected:
            self._uv.pause_reading()

    def resumeProducing(self) -> None:
        """Read again."""
        self._paused = False
        if not self.connected or self.disconnecting:
            return
        if self._held is not None:
            self._loop.call_soon(self._release)
        else:
            self._uv.resume_reading()

    def _release(self) -> None:
        if self._paused or not self.connected or self.disconnecting or self._held is None:
            return
        held, self._held = self._held, None
        self._bind()
        for data in held:
            self.data_received(data)
        if not self._paused and self.connected and not self.disconnecting:
            self._uv.resume_reading()

    def stopProducing(self) -> None:
        """Close the connection."""
        self.loseConnection()

    stopReading = pauseProducing
    startReading = resumeProducing
