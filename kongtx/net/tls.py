"""TLS by uvloop on the standard library's contexts: for kongtx's own listeners and upstreams.

C{listenSSL}, C{connectSSL} and C{startTLS} work as everywhere in Twisted, on pyOpenSSL. What is
here takes an L{ssl.SSLContext} and costs less for each byte. A protocol is connected when the
handshake is done, so that its transport can tell the certificate, the server name and what ALPN
chose.
"""

from __future__ import annotations

import ssl
from typing import Any

from twisted.internet import interfaces
from twisted.python.failure import Failure
from zope.interface import implementer

from kongtx.net.connections import ClientConnection
from kongtx.net.connectors import TCPConnector
from kongtx.net.driving import Driven
from kongtx.net.errors import TLSConnectionLost, TLSHandshakeError
from kongtx.net.facts import TLSFacts, TLSSettings
from kongtx.net.handshaking import Handshake, shake_hands
from kongtx.net.interfaces import INativeReactor
from kongtx.net.stock import StockClientFactory
from kongtx.net.transports import StreamConnection

# A connection that is to be closed is looked at so often, until all has been sent.
_LOOK_SECONDS = 0.1


@implementer(interfaces.ISSLTransport, interfaces.INegotiated)
class TLSConnection(TLSFacts, StreamConnection):
    """A connection whose bytes uvloop encrypts."""

    __slots__ = ()

    _handshake: Handshake | Driven | None
    _tls: TLSSettings

    def connection_made(self, uv: Any) -> None:
        """Begin the handshake."""
        self._shake_hands(uv)

    def _shake_hands(self, uv: Any, received: bytes = b"") -> None:
        """Begin the handshake, of which the first bytes may have been received already."""
        self._uv = self._wire = uv
        if self.disconnected:  # given up between connecting and here
            uv.abort()
            return
        self.reactor.connections.add(self)
        self._handshake = shake_hands(
            self._loop, uv, self, self._tls, received, self._secured, self._insecure
        )

    def _lost(self, reason: Failure) -> None:
        if self._handshake is not None:
            self._handshake.cancel()
            self._handshake = None
        super()._lost(reason)

    def _secured(self, uv: Any) -> None:
        self._handshake = None
        if self.disconnected:
            uv.abort()
        elif uv.is_closing():
            self._insecure(ConnectionResetError("the peer closed the connection"))
        else:
            super().connection_made(uv)

    def _insecure(self, exc: BaseException) -> None:
        self._handshake = None
        if not self.disconnected:
            self._reason = Failure(TLSHandshakeError(exc))
            self._lost(self._reason)

    def eof_received(self) -> bool:
        """Let uvloop answer the peer's C{close_notify}: it has no half-closed TLS."""
        return False

    def connection_lost(self, exc: BaseException | None) -> None:
        if self._handshake is not None:
            return  # _insecure tells why
        if self.disconnecting and isinstance(exc, TimeoutError):
            exc = None  # the peer did not answer our close_notify, which is no error
        if isinstance(exc, ssl.SSLError) and self._reason is None:
            self._reason = Failure(TLSConnectionLost(exc))
        super().connection_lost(exc)

    def _close_when_sent(self) -> None:
        if self.connected and self._wire.get_write_buffer_size() and not self._aborting:
            # uvloop would take the time for this from what the peer has for its close_notify.
            self._loop.call_later(_LOOK_SECONDS, self._close_when_sent)
            return
        super()._close_when_sent()
        if self.connected and self._uv.is_closing():
            self._write_nothing()

    def lose_without_waiting(self, last: bytes = b"") -> None:
        """Close the connection, and wait for no C{close_notify} of the peer's (RFC 8446 §6.1:
        nobody has to). What is written afterwards is dropped.

        It spares turns of the loop, a timer and exceptions. Only for when the peer is not expected
        to send anything else: that would reset the connection.

        @param last: to send; with C{close_notify} in one segment if nothing else waits to be sent.
        """
        if not self.connected or self.disconnecting:
            return
        if self.producer is not None or self._has_unsent():
            self.write(last)
            self.loseConnection()
        else:
            self.disconnecting = 1
            self._end_with(last)
        self._write_nothing()

    def _has_unsent(self) -> bool:
        uv = self._uv
        if uv.get_write_buffer_size():
            uv.writelines(())  # of the handshake, tickets may be left
        return bool(uv.is_closing() or uv.get_write_buffer_size())

    def _end_with(self, last: bytes) -> None:
        uv, tls = self._uv, self._ssl_object
        try:
            # OpenSSL takes one record at a time.
            sent = tls.write(last) if last else 0
            if sent < len(last):
                uv.write(last[sent:])
            tls.unwrap()
        except ssl.SSLError:
            pass  # close_notify is written; the peer's has not come
        uv.writelines(())  # sends what OpenSSL has written
        if uv.get_write_buffer_size():
            uv.close()
        else:
            self._wire.close()

    def loseWriteConnection(self) -> None:
        """Close the connection; see C{eof_received}."""
        self.loseConnection()

    # What the handshake found.

    @property
    def _ssl_object(self) -> Any:
        return self._uv.get_extra_info("ssl_object")


class TLSClientConnection(TLSConnection, ClientConnection):
    """A TLS connection that a connector made."""

    __slots__ = ("_handshake", "_tls")

    def __init__(self, tls: TLSSettings, reactor: Any, connector: Any, addr: Any) -> None:
        super().__init__(reactor, connector, addr)
        self._tls = tls
        self._handshake = None


class TLSConnector(TCPConnector):
    """Connects to a TCP port and speaks TLS on it; the timeout counts for both."""

    tls: TLSSettings

    def native(self, addr: Any) -> ClientConnection:
        """Make the transport of the connection."""
        return TLSClientConnection(self.tls, self.reactor, self, addr)


def connect_tls(
    reactor: Any,
    host: str,
    port: int,
    factory: Any,
    context: ssl.SSLContext,
    server_hostname: str | None = None,
    timeout: float = 30.0,
    *,
    bind_address: Any = None,
    shutdown_timeout: float = 5.0,
) -> Any:
    """Connect to a TCP port and speak TLS on it.

    @param reactor: native, or any other, where TLS costs more.
    @param factory: a L{twisted.internet.protocol.ClientFactory}; it hears
        C{clientConnectionFailed} with a L{TLSHandshakeError} when the handshake fails.
    @param context: a client's context; it says whether certificates and names are verified.
    @param server_hostname: the name sent (SNI) and verified; C{host} by default. An empty
        string sends none, for contexts that do not check it.
    @param timeout: seconds for the TCP connection and the handshake together.
    @return: an L{interfaces.IConnector}.
    """
    name = host if server_hostname is None else server_hostname
    connector: Any = TLSConnector(host, port, factory, timeout, bind_address, reactor)
    if not INativeReactor.providedBy(reactor):
        tls = TLSSettings(context, False, name or None, timeout)
        wrapped = StockClientFactory(reactor, factory, tls)
        return reactor.connectTCP(host, port, wrapped, timeout, bind_address)
    # The connector's own timer ends a slow handshake; uvloop's must not be first.
    connector.tls = TLSSettings(context, False, name or None, 2 * timeout + 1, shutdown_timeout)
    connector.connect()
    return connector
