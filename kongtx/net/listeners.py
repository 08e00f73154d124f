"""Listeners as a gateway has them: the PROXY protocol first, then TLS, either, or neither.

A protocol is connected when that is behind it. Its transport tells C{proxy_header}, and in TLS what
L{kongtx.net.tls.TLSConnection} tells.
"""

from __future__ import annotations

import ssl
from functools import partial
from typing import Any

from attrs import frozen
from twisted.internet import error
from twisted.logger import Logger
from twisted.python.failure import Failure

from kongtx.net.connections import ServerConnection
from kongtx.net.errors import ProxyProtocolError
from kongtx.net.facts import TLSSettings, keep_server_names
from kongtx.net.interfaces import INativeReactor
from kongtx.net.ports import TCPPort
from kongtx.net.proxy_protocol import ProxyDecoder
from kongtx.net.stock import StockListenerFactory
from kongtx.net.tls import TLSConnection

_log = Logger()


class _ReadsProxyHeader(ServerConnection):
    """Reads a PROXY protocol header, when there must be one, before anything else happens."""

    __slots__ = ()

    _decoder: ProxyDecoder | None
    _overdue: Any

    def __init__(self, header_timeout: float | None, *args: Any) -> None:
        super().__init__(*args)
        self.proxy_header = self._decoder = self._overdue = None
        if header_timeout is not None:
            self._decoder = ProxyDecoder()
            self._overdue = self._loop.call_later(header_timeout, self._too_late)
            self.data_received = self._read_header

    def connection_made(self, uv: Any) -> None:
        """Wait for the header."""
        if self._decoder is None:
            super().connection_made(uv)
        else:
            self._uv = self._wire = uv
            self.reactor.connections.add(self)

    def _read_header(self, data: bytes) -> None:
        decoder = self._decoder
        if decoder is None or self.disconnected:
            return
        try:
            self.proxy_header = decoder.feed(data)
        except ProxyProtocolError as exc:
            self._refuse(exc)
            return
        if self.proxy_header is not None:
            self._decoder = None
            self._be_in_time()
            self._go_on(decoder.rest)

    def _go_on(self, rest: bytes) -> None:
        super().connection_made(self._uv)
        if rest and self.connected:
            self.data_received(rest)

    def _refuse(self, exc: Exception) -> None:
        _log.info("{peer} is refused: {reason}", peer=self.getPeer(), reason=str(exc))
        self._reason = Failure(exc)
        self._uv.abort()

    def _too_late(self) -> None:
        self._overdue = None
        if self._uv is not None and not self.disconnected:
            self._refuse(error.TimeoutError(string="no PROXY protocol header in time"))

    def _be_in_time(self) -> None:
        if self._overdue is not None:
            self._overdue.cancel()
            self._overdue = None

    def _lost(self, reason: Failure) -> None:
        self._be_in_time()
        super()._lost(reason)


class PlainListenerConnection(_ReadsProxyHeader):
    """A connection without TLS that begins with a PROXY protocol header."""

    __slots__ = ("_decoder", "_overdue", "proxy_header")


class TLSListenerConnection(_ReadsProxyHeader, TLSConnection):
    """A connection with TLS, behind a PROXY protocol header or not."""

    __slots__ = ("_decoder", "_handshake", "_overdue", "_tls", "proxy_header")

    def __init__(self, tls: TLSSettings, *args: Any) -> None:
        super().__init__(*args)
        self._tls = tls
        self._handshake = None

    def _go_on(self, rest: bytes) -> None:
        self._shake_hands(self._uv, rest)

    def _insecure(self, exc: BaseException) -> None:
        if not self.disconnected:
            _log.info("{peer} is refused: TLS: {reason}", peer=self.getPeer(), reason=str(exc))
        super()._insecure(exc)


@frozen
class _Manner:
    """How a listener's connections begin."""

    tls: TLSSettings | None
    header_timeout: float | None

    @classmethod
    def of(
        cls, context: ssl.SSLContext | None, proxy_protocol: bool, handshake: float, shutdown: float
    ) -> _Manner:
        tls = None
        if context is not None:
            keep_server_names(context)
            tls = TLSSettings(context, True, None, handshake, shutdown)
        return cls(tls, handshake if proxy_protocol else None)

    @property
    def is_plain(self) -> bool:
        return self.tls is None and self.header_timeout is None

    def start(self, port: Any) -> Any:
        """Let a native port accept in this manner."""
        if self.tls is not None:
            port._accepted = partial(TLSListenerConnection, self.tls, self.header_timeout)
            port._type = "TLS"
        elif self.header_timeout is not None:
            port._accepted = partial(PlainListenerConnection, self.header_timeout)
        port.startListening()
        return port

    def wrap(self, reactor: Any, factory: Any) -> Any:
        """Let a stock port accept in this manner."""
        if self.is_plain:
            return factory
        return StockListenerFactory(reactor, factory, self.tls, self.header_timeout)


def listen_tls(
    reactor: Any,
    port: Any,
    factory: Any,
    context: ssl.SSLContext | None,
    *,
    backlog: int = 50,
    interface: str = "",
    proxy_protocol: bool = False,
    handshake_timeout: float = 60.0,
    shutdown_timeout: float = 5.0,
) -> Any:
    """Listen on a TCP port and speak TLS with who connects.

    @param reactor: native, or any other, where TLS costs more.
    @param port: a number, or a L{twisted.internet.tcp.Binding} (reuseport).
    @param context: a server's context; its SNI callback is wrapped to keep the server name. None
        for a listener that only has the PROXY protocol.
    @param proxy_protocol: whether each connection must begin with a PROXY protocol header.
    @param handshake_timeout: seconds for that header, and again for the handshake.
    @param shutdown_timeout: seconds to wait for the peer's C{close_notify} after ours.
    @return: an L{twisted.internet.interfaces.IListeningPort}.
    @raise CannotListenError: as C{listenTCP}.
    """
    manner = _Manner.of(context, proxy_protocol, handshake_timeout, shutdown_timeout)
    if not INativeReactor.providedBy(reactor):
        return reactor.listenTCP(port, manner.wrap(reactor, factory), backlog, interface)
    return manner.start(TCPPort(port, factory, backlog, interface, reactor))


def adopt_listener(
    reactor: Any,
    descriptor: int,
    family: int,
    factory: Any,
    context: ssl.SSLContext | None = None,
    *,
    proxy_protocol: bool = False,
    handshake_timeout: float = 60.0,
    shutdown_timeout: float = 5.0,
) -> Any:
    """Accept connections from a socket that already listens; see L{listen_tls}.

    @param descriptor: is duplicated, and may be closed afterwards.
    @param family: C{AF_INET}, C{AF_INET6} or C{AF_UNIX}.
    @raise UnsupportedAddressFamily: for any other.
    """
    manner = _Manner.of(context, proxy_protocol, handshake_timeout, shutdown_timeout)
    if manner.is_plain or not INativeReactor.providedBy(reactor):
        return reactor.adoptStreamPort(descriptor, family, manner.wrap(reactor, factory))
    return manner.start(reactor.adopted_port(descriptor, family, factory))
