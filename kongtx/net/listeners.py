"""Listeners as a gateway has them: the PROXY protocol first, then TLS, either, or neither.

A protocol is connected when that is behind it. Its transport tells C{proxy_header}, and in TLS what
L{kongtx.net.tls.TLSConnection} tells.
"""

from __future__ import annotations

import ssl
from functools import partial
from typing import Any

from twisted.internet import error
from twisted.internet.tcp import Port
from twisted.logger import Logger
from twisted.python.failure import Failure

from kongtx.net.connections import ServerConnection
from kongtx.net.driving import Driven
from kongtx.net.errors import ProxyProtocolError
from kongtx.net.ports import TCPPort, UNIXPort
from kongtx.net.proxy_protocol import ProxyDecoder, ProxyHeader
from kongtx.net.tls import TLSConnection, TLSSettings, keep_server_names

_log = Logger()


class _ReadsProxyHeader(ServerConnection):
    """Reads a PROXY protocol header, when there must be one, before anything else happens."""

    __slots__ = ()

    _decoder: ProxyDecoder | None
    _overdue: Any
    proxy_header: ProxyHeader | None

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
        self._handshake: Driven | None = None

    def _go_on(self, rest: bytes) -> None:
        self._shake_hands(self._uv, rest)

    def _insecure(self, exc: BaseException) -> None:
        if not self.disconnected:
            _log.info("{peer} is refused: TLS: {reason}", peer=self.getPeer(), reason=str(exc))
        super()._insecure(exc)


class ListenerPort(TCPPort):
    """A TCP port with C{_accepted} of its own."""


class UNIXListenerPort(UNIXPort):
    """A UNIX socket with C{_accepted} of its own."""


def _prepare(
    port: Any, context: ssl.SSLContext | None, proxy_protocol: bool, timeouts: tuple[float, float]
) -> Port:
    handshake_timeout, shutdown_timeout = timeouts
    header_timeout = handshake_timeout if proxy_protocol else None
    if context is not None:
        keep_server_names(context)
        tls = TLSSettings(context, True, None, handshake_timeout, shutdown_timeout)
        port._accepted = partial(TLSListenerConnection, tls, header_timeout)
        port._type = "TLS"
    elif proxy_protocol:
        port._accepted = partial(PlainListenerConnection, header_timeout)
    prepared: Port = port
    return prepared


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

    @param reactor: a L{kongtx.net.reactor.KongtxReactor}.
    @param port: a number, or a L{twisted.internet.tcp.Binding} (reuseport).
    @param context: a server's context; its SNI callback is wrapped to keep the server name. None
        for a listener that only has the PROXY protocol.
    @param proxy_protocol: whether each connection must begin with a PROXY protocol header.
    @param handshake_timeout: seconds for that header, and again for the handshake.
    @param shutdown_timeout: seconds to wait for the peer's C{close_notify} after ours.
    @return: an L{twisted.internet.interfaces.IListeningPort}.
    @raise CannotListenError: as C{listenTCP}.
    """
    listening = _prepare(
        ListenerPort(port, factory, backlog, interface, reactor),
        context,
        proxy_protocol,
        (handshake_timeout, shutdown_timeout),
    )
    listening.startListening()
    return listening


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
    if family not in reactor._supportedAddressFamilies:
        raise error.UnsupportedAddressFamily(family)
    adopt: Any
    if family == UNIXListenerPort.addressFamily:
        adopt = partial(UNIXListenerPort._fromListeningDescriptor, reactor, descriptor)
    else:
        adopt = partial(ListenerPort._fromListeningDescriptor, reactor, descriptor, family)
    timeouts = (handshake_timeout, shutdown_timeout)
    listening = _prepare(adopt(factory), context, proxy_protocol, timeouts)
    listening.startListening()
    return listening
