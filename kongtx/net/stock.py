"""The PROXY protocol and TLS on the standard library's contexts, on any Twisted reactor.

What L{kongtx.net.listeners} and L{kongtx.net.tls} fall back to where there is no native transport:
slower, with the same behaviour and the same methods on the transport.
"""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Callable, Iterable
from typing import Any

from twisted.internet import error, interfaces
from twisted.internet.protocol import ClientFactory, Protocol, connectionDone
from twisted.logger import Logger
from twisted.protocols.policies import WrappingFactory
from twisted.python.failure import Failure
from zope.interface import implementer

from kongtx.net.errors import ProxyProtocolError, TLSConnectionLost, TLSHandshakeError
from kongtx.net.facts import TLSFacts, TLSSettings
from kongtx.net.proxy_protocol import ProxyDecoder

_log = Logger()

_CHUNK = 65536


@implementer(
    interfaces.IProtocol,
    interfaces.ITransport,
    interfaces.ISSLTransport,
    interfaces.INegotiated,
    interfaces.IConsumer,
    interfaces.IPushProducer,
)
class StockTLS(TLSFacts):
    """The protocol of a stock transport, and the transport of the protocol within.

    @ivar failed: why the handshake failed, or None.
    """

    proxy_header: Any = None

    def __init__(
        self, reactor: Any, tls: TLSSettings, build: Callable[[Any], Any], received: bytes = b""
    ) -> None:
        """Make the layer for one connection.

        @param build: given the peer's address when the handshake is done; returns the protocol.
        @param received: the first bytes of the handshake.
        """
        self._reactor = reactor
        self._tls = tls
        self._build = build
        self._inner: Any = None
        self._paused = self._ended = False
        self._broken: Failure | None = None
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._incoming.write(received)
        self._object = tls.context.wrap_bio(
            self._incoming, self._outgoing, tls.server_side, tls.server_hostname
        )
        self._raw: Any = None
        self.failed: TLSHandshakeError | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._raw, name)

    @property
    def _ssl_object(self) -> Any:
        return self._object

    @property
    def protocol(self) -> Any:
        """The protocol within; may be replaced at any time."""
        return self._inner

    @protocol.setter
    def protocol(self, protocol: Any) -> None:
        self._inner = protocol

    def makeConnection(self, transport: Any) -> None:
        """Begin the handshake."""
        self._raw = transport
        self._overdue = self._reactor.callLater(self._tls.handshake_timeout, self._too_late)
        self._shake_hands()

    def dataReceived(self, data: bytes) -> None:
        """Decrypt what arrives."""
        self._incoming.write(data)
        if self._inner is None:
            self._shake_hands()
        else:
            self._read()

    def _shake_hands(self) -> None:
        if self._ended:
            return
        try:
            self._object.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
            return
        except ssl.SSLError as exc:
            self._flush()
            self._fail(exc)
            return
        self._flush()
        self._overdue.cancel()
        self._inner = self._build(self._raw.getPeer())
        if self._inner is None:
            self._raw.loseConnection()
            return
        self._inner.makeConnection(self)
        self._read()

    def _fail(self, reason: BaseException) -> None:
        self._ended = True
        self.failed = TLSHandshakeError(reason)
        if self._tls.server_side:
            peer = self._raw.getPeer()
            _log.info("{peer} is refused: TLS: {reason}", peer=peer, reason=str(reason))
        self._raw.loseConnection()

    def _too_late(self) -> None:
        self._fail(TimeoutError("the handshake takes too long"))
        self._raw.abortConnection()

    def _read(self) -> None:
        while not self._paused and not self._ended:
            try:
                data = self._object.read(_CHUNK)
            except ssl.SSLWantReadError:
                break
            except ssl.SSLZeroReturnError:
                data = b""
            except ssl.SSLError as exc:
                self._ended = True
                self._broken = Failure(TLSConnectionLost(exc))
                self._raw.abortConnection()
                return
            if not data:
                self.loseConnection()
                return
            self._inner.dataReceived(data)
        self._flush()

    def _flush(self) -> None:
        if self._outgoing.pending:
            self._raw.write(self._outgoing.read())

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Tell the protocol, or whoever waits for the handshake."""
        self._ended = True
        if self._overdue.active():
            self._overdue.cancel()
        if self._inner is not None:
            inner, self._inner = self._inner, None
            inner.connectionLost(self._broken or reason)
        elif self.failed is None:
            self.failed = TLSHandshakeError(reason.value or error.ConnectionLost())

    # ITransport, IConsumer, IPushProducer.

    def write(self, data: bytes) -> None:
        """Encrypt and send."""
        if data and not self._ended and self._inner is not None:
            self._object.write(data)
            self._flush()

    def writeSequence(self, data: Iterable[bytes]) -> None:
        """Encrypt and send, one behind the other."""
        self.write(b"".join(data))

    def loseConnection(self) -> None:
        """Close the connection when all has been sent."""
        if not self._ended:
            self._ended = True
            with contextlib.suppress(ssl.SSLError):
                self._object.unwrap()
            self._flush()
            self._raw.loseConnection()

    def loseWriteConnection(self) -> None:
        """Close the connection: there is no half-closed TLS here."""
        self.loseConnection()

    def getPeer(self) -> Any:
        """Return the other end's address."""
        return self._raw.getPeer()

    def getHost(self) -> Any:
        """Return this end's address."""
        return self._raw.getHost()

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Let a producer fill the connection no faster than the peer takes it."""
        self._raw.registerProducer(producer, streaming)

    def unregisterProducer(self) -> None:
        """Forget the producer."""
        self._raw.unregisterProducer()

    def pauseProducing(self) -> None:
        """Stop reading."""
        self._paused = True
        self._raw.pauseProducing()

    def resumeProducing(self) -> None:
        """Read again, what has been decrypted first."""
        self._paused = False
        self._raw.resumeProducing()
        self._reactor.callLater(0, self._read_on)

    def _read_on(self) -> None:
        if self._inner is not None:
            self._read()

    def stopProducing(self) -> None:
        """Close the connection."""
        self.loseConnection()


class _HeaderReader(Protocol):
    """Reads a PROXY protocol header, then gives the connection to the protocol behind it."""

    def __init__(self, factory: StockListenerFactory) -> None:
        self.factory: StockListenerFactory = factory
        self._decoder = ProxyDecoder()

    def connectionMade(self) -> None:
        seconds = self.factory.header_timeout
        self._overdue = self.factory.reactor.callLater(
            seconds, self._refuse, "no PROXY protocol header in time"
        )

    def dataReceived(self, data: bytes) -> None:
        try:
            header = self._decoder.feed(data)
        except ProxyProtocolError as exc:
            self._refuse(str(exc))
            return
        if header is not None:
            transport: Any = self.transport
            transport.proxy_header = header
            self._overdue.cancel()
            self.factory.hand_over(transport, self._decoder.rest)

    def _refuse(self, reason: str) -> None:
        transport: Any = self.transport
        _log.info("{peer} is refused: {reason}", peer=transport.getPeer(), reason=reason)
        transport.abortConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._overdue.active():
            self._overdue.cancel()


class StockListenerFactory(WrappingFactory):
    """Puts the PROXY protocol, TLS, or both before a factory's protocols."""

    noisy = False

    def __init__(
        self,
        reactor: Any,
        factory: Any,
        tls: TLSSettings | None,
        header_timeout: float | None,
    ) -> None:
        """Wrap a factory.

        @param header_timeout: seconds for the PROXY protocol header; None when there is none.
        """
        super().__init__(factory)  # type: ignore[no-untyped-call]
        self.reactor = reactor
        self.tls = tls
        self.header_timeout = header_timeout

    def buildProtocol(self, addr: Any) -> Any:
        """Build the outermost layer."""
        if self.header_timeout is not None:
            return _HeaderReader(self)
        return StockTLS(self.reactor, self._settings(), self.wrappedFactory.buildProtocol)

    def _settings(self) -> TLSSettings:
        assert self.tls is not None
        return self.tls

    def hand_over(self, transport: Any, rest: bytes) -> None:
        """Go on behind the header."""
        if self.tls is not None:
            build = self.wrappedFactory.buildProtocol
            layer = StockTLS(self.reactor, self.tls, build, rest)
            layer.proxy_header = transport.proxy_header
            transport.protocol = layer
            layer.makeConnection(transport)
            return
        protocol = self.wrappedFactory.buildProtocol(transport.getPeer())
        if protocol is None:
            transport.loseConnection()
            return
        transport.protocol = protocol
        protocol.makeConnection(transport)
        if rest:
            protocol.dataReceived(rest)


class StockClientFactory(ClientFactory):
    """Puts TLS before a client factory's protocols."""

    noisy = False

    def __init__(self, reactor: Any, factory: Any, tls: TLSSettings) -> None:
        """Wrap a factory."""
        self._reactor = reactor
        self._factory = factory
        self._tls = tls
        self._layer: StockTLS | None = None

    def doStart(self) -> None:
        """Start the wrapped factory."""
        self._factory.doStart()

    def doStop(self) -> None:
        """Stop the wrapped factory."""
        self._factory.doStop()

    def startedConnecting(self, connector: Any) -> None:
        """Tell the wrapped factory."""
        self._factory.startedConnecting(connector)

    def buildProtocol(self, addr: Any) -> StockTLS:
        """Build the layer; the wrapped factory builds its protocol after the handshake."""
        self._layer = StockTLS(self._reactor, self._tls, self._factory.buildProtocol)
        return self._layer

    def clientConnectionFailed(self, connector: Any, reason: Failure) -> None:
        """Tell the wrapped factory."""
        self._factory.clientConnectionFailed(connector, reason)

    def clientConnectionLost(self, connector: Any, reason: Failure) -> None:
        """Tell the wrapped factory; without a handshake the connection was never made."""
        layer, self._layer = self._layer, None
        if layer is None or layer.failed is None:
            self._factory.clientConnectionLost(connector, reason)
            return
        exc: Exception = layer.failed
        if isinstance(layer.failed.reason, TimeoutError):
            exc = error.TimeoutError()
        elif isinstance(layer.failed.reason, error.UserError):
            exc = layer.failed.reason
        self._factory.clientConnectionFailed(connector, Failure(exc))
