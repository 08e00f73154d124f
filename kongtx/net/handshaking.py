"""Hot path: how uvloop's TLS is put between a connection and its socket.

C{loop.start_tls} does it with a coroutine, a future and three calls in later turns of the loop.
The same protocol of uvloop's, made here, costs a handshake a twentieth less. It has no promised
name, so where it is not found C{start_tls} serves in its place.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from kongtx.net.driving import Driven

if TYPE_CHECKING:
    from kongtx.net.facts import TLSSettings

SSLProtocol: Any
try:
    from uvloop import loop as _uvloop
except ImportError:
    SSLProtocol = None
else:
    SSLProtocol = getattr(_uvloop, "SSLProtocol", None)


def feed(ssl_protocol: Any, received: bytes) -> None:
    """Give received bytes to uvloop's TLS as if it had read them itself."""
    while received:
        buffer = ssl_protocol.get_buffer(len(received))
        size = min(len(buffer), len(received))
        buffer[:size] = received[:size]
        ssl_protocol.buffer_updated(size)
        received = received[size:]


class Handshake:
    """A handshake on its way; to uvloop it is the future that waits for the end."""

    __slots__ = ("_failed", "_over", "_received", "_secure", "_succeeded", "_tls", "_wire")

    def __init__(
        self,
        loop: Any,
        wire: Any,
        connection: Any,
        settings: TLSSettings,
        received: bytes,
        succeeded: Callable[[Any], object],
        failed: Callable[[BaseException], object],
    ) -> None:
        """Begin in the next turn of the loop, when the client's first bytes are likely there.

        @param wire: uvloop's transport of the socket.
        @param connection: the asyncio protocol that receives what is decrypted.
        @param received: bytes that have been read from the socket already.
        @param succeeded: called with uvloop's transport that encrypts.
        @param failed: called with the exception; neither is called after C{cancel}.
        """
        self._succeeded = succeeded
        self._failed = failed
        self._received = received
        self._over = False
        self._wire = wire
        self._tls = tls = SSLProtocol(
            loop,
            connection,
            settings.context,
            self,
            settings.server_side,
            settings.server_hostname,
            False,
            settings.handshake_timeout,
            settings.shutdown_timeout,
        )
        # Made now, so that it knows when the socket is closed before the handshake is done.
        self._secure = tls._get_app_transport()
        wire.set_protocol(tls)
        loop.call_soon(self._begin)

    def _begin(self) -> None:
        if self._over:
            return
        if self._received:
            feed(self._tls, self._received)  # it keeps them until it begins
        self._tls.connection_made(self._wire)

    def cancel(self) -> None:
        """Call nobody back; whoever calls closes the socket as well."""
        self._over = True
        self._tls = self._wire = self._secure = None

    # What uvloop calls of a future.

    def cancelled(self) -> bool:
        """Whether nobody waits any more."""
        return self._over

    def set_result(self, result: object) -> None:
        """Tell of the end: the handshake is done, or the socket was closed by this side."""
        secure = self._secure
        self.cancel()
        self._succeeded(secure)

    def set_exception(self, exc: BaseException | type[BaseException]) -> None:
        """Tell that the handshake has failed."""
        self.cancel()
        self._failed(exc() if isinstance(exc, type) else exc)


def shake_hands(
    loop: Any,
    wire: Any,
    connection: Any,
    settings: TLSSettings,
    received: bytes,
    succeeded: Callable[[Any], object],
    failed: Callable[[BaseException], object],
) -> Handshake | Driven:
    """Begin a handshake; the arguments are L{Handshake}'s."""
    if SSLProtocol is not None:
        return Handshake(loop, wire, connection, settings, received, succeeded, failed)
    waiting = Driven(
        loop.start_tls(
            wire,
            connection,
            settings.context,
            server_side=settings.server_side,
            server_hostname=settings.server_hostname,
            ssl_handshake_timeout=settings.handshake_timeout,
            ssl_shutdown_timeout=settings.shutdown_timeout,
        ),
        succeeded,
        failed,
    )
    if received:
        # Behind what start_tls has scheduled, and ahead of what is read.
        loop.call_soon(feed, wire.get_protocol(), received)
    return waiting
