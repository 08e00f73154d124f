"""A connection to a collector: made when there is something to send, kept for a while."""

from __future__ import annotations

from collections import deque
from typing import Any, Final

from OpenSSL import SSL
from twisted.internet.defer import Deferred, succeed
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.interfaces import (
    IDelayedCall,
    IOpenSSLClientConnectionCreator,
    IReactorTime,
)
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import CertificateOptions
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

_MOST_WAITING: Final = 10_000


class _Sender(Protocol):
    """The open connection; what a collector says is ignored."""

    def __init__(self, owner: CollectorConnection) -> None:
        self._owner = owner
        self.unsent = False

    def pauseProducing(self) -> None:
        """The collector reads too slowly."""
        self.unsent = True

    def resumeProducing(self) -> None:
        """It has caught up."""
        self.unsent = False
        self._owner.flush()

    def stopProducing(self) -> None:
        """The connection is gone; connectionLost follows."""

    def connectionMade(self) -> None:
        self.transport.registerProducer(self, True)  # type: ignore[union-attr]

    def connectionLost(self, reason: Failure | None = None) -> None:
        self._owner.lost()


class CollectorConnection:
    """Sends lines to one collector. What cannot be sent is dropped, oldest first, and told.

    @param tls_name: the server name for TLS; L{None} for plain TCP.
    @param timeout: seconds for connecting.
    @param keepalive: seconds that an idle connection stays.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        clock: IReactorTime,
        host: str,
        port: int,
        tls_name: str | None,
        timeout: float,
        keepalive: float,
    ) -> None:
        self._clock = clock
        self._name = f"{host}:{port}"
        self._keepalive = keepalive
        endpoint: Any = HostnameEndpoint(reactor, host, port, timeout=timeout)
        if tls_name is not None:
            endpoint = wrapClientTLS(_Unverified(tls_name), endpoint)
        self._endpoint = endpoint
        self._waiting: deque[bytes] = deque(maxlen=_MOST_WAITING)
        self._sender: _Sender | None = None
        self._connecting: Deferred[Any] | None = None
        self._idle: IDelayedCall | None = None

    def send(self, line: bytes) -> None:
        """Send a line, now or when there is a connection."""
        self._waiting.append(line)
        if self._sender is not None:
            self.flush()
        elif self._connecting is None:
            factory = Factory.forProtocol(lambda: _Sender(self))
            self._connecting = self._endpoint.connect(factory)
            self._connecting.addCallbacks(self._connected, self._failed)

    def flush(self) -> None:
        """Send what waits, as fast as the collector takes it."""
        sender = self._sender
        if sender is None or sender.unsent:
            return
        while self._waiting and not sender.unsent:
            sender.transport.write(self._waiting.popleft())  # type: ignore[union-attr]
        self._rearm()

    def close(self) -> Deferred[None]:
        """Send what can be sent, and close."""
        if self._idle is not None and self._idle.active():
            self._idle.cancel()
        if self._connecting is not None:
            self._connecting.cancel()
        if self._sender is not None:
            self.flush()
            self._sender.transport.loseConnection()  # type: ignore[union-attr]
        return succeed(None)

    def lost(self) -> None:
        """The connection has ended; the next line makes a new one."""
        self._sender = None
        if self._idle is not None and self._idle.active():
            self._idle.cancel()
        self._idle = None

    def _connected(self, sender: _Sender) -> None:
        self._connecting = None
        self._sender = sender
        self.flush()

    def _failed(self, failure: Failure) -> None:
        self._connecting = None
        dropped = len(self._waiting)
        self._waiting.clear()
        self._log.error(
            "failed to connect to {name}: {error}; {count} entries were lost",
            name=self._name,
            error=failure.getErrorMessage(),
            count=dropped,
        )

    def _rearm(self) -> None:
        if self._idle is not None and self._idle.active():
            self._idle.reset(self._keepalive)
        else:
            self._idle = self._clock.callLater(self._keepalive, self._close_idle)

    def _close_idle(self) -> None:
        if self._sender is not None:
            self._sender.transport.loseConnection()  # type: ignore[union-attr]


@implementer(IOpenSSLClientConnectionCreator)
class _Unverified:
    """TLS that takes whatever certificate the collector shows (Kong: the same)."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._options = CertificateOptions(verify=False)

    def clientConnectionForTLS(self, tlsProtocol: Any) -> SSL.Connection:
        connection = SSL.Connection(self._options.getContext(), None)
        if self._name:
            connection.set_tlsext_host_name(self._name.encode("idna"))
        return connection
