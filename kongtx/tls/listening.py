"""TLS on listeners: one context for each, which chooses a certificate at each handshake."""

from __future__ import annotations

import ssl
import time as _time
from collections.abc import Callable, Sequence
from typing import Any

from twisted.logger import Logger

from kongtx.net import openssl
from kongtx.tls.certificates import ServerCertificates
from kongtx.tls.clients import ANY, ClientVerification
from kongtx.tls.errors import TLSError
from kongtx.tls.handshake import Handshake
from kongtx.tls.tickets import keys_at, seconds_left
from kongtx.tls.validation import Validations

#: What may be done to each handshake.
Hook = Callable[[Handshake], None]

_INTERNAL_ERROR = ssl.AlertDescription.ALERT_DESCRIPTION_INTERNAL_ERROR


class CertificateChooser:
    """The SNI callback of a listener.

    @param certificates: those of the store.
    @param hooks: called in each handshake, once its certificate is chosen; the list may change.
    @param clients: what the listener demands of clients, whatever hooks want.
    @param validations: what authorities look for that validate names.
    """

    _log = Logger()

    def __init__(
        self,
        certificates: ServerCertificates,
        hooks: Sequence[Hook] = (),
        validations: Validations | None = None,
        clients: ClientVerification = ClientVerification(),  # noqa: B008 - it does not change
    ) -> None:
        self._certificates = certificates
        self._hooks = hooks
        self._verifies = clients.verifies
        self._asks_all = clients.mode == ANY
        self._validations = Validations() if validations is None else validations

    def __call__(self, connection: Any, name: str | None, context: ssl.SSLContext) -> int | None:
        # What no name can be is none, and nothing for a log line either.
        name = name.lower() if name and name.isprintable() else None
        try:
            if self._validations.names:
                proof = self._validations.find(connection, name)
                if proof is not None:
                    connection.context = proof
                    return None
            chosen = self._certificates.find(name)
            if chosen is not None:
                connection.context = chosen
            if self._hooks or self._asks_all:
                handshake = Handshake(connection, name, chosen is None, self._verifies)
                if self._asks_all:
                    handshake.request_client_certificate()
                for hook in self._hooks:
                    hook(handshake)
        except TLSError as error:
            self._log.error(
                "TLS handshake for {name} is refused: {error}", name=name, error=str(error)
            )
            return _INTERNAL_ERROR
        except Exception:
            # The ssl module would print it and tell nobody what it was about.
            self._log.failure("TLS handshake for {name} failed", name=name)
            return _INTERNAL_ERROR
        return None


class SharedTickets:
    """Keeps the ticket keys of some contexts in step with those of other workers.

    @param clock: provides C{IReactorTime}; when the keys change.
    @param time: seconds since 1970.
    """

    def __init__(
        self,
        secret: bytes,
        timeout_s: float,
        clock: Any,
        time: Callable[[], float] = _time.time,
    ) -> None:
        self._secret = secret
        self._timeout_s = timeout_s
        self._clock = clock
        self._time = time
        self._contexts: list[tuple[ssl.SSLContext, str]] = []
        self._next: Any = None

    def add(self, context: ssl.SSLContext, purpose: str = "") -> None:
        """Share the sessions of a listener's context.

        @param purpose: sessions of another one are not resumed.
        @raise UnsupportedByPython: this Python cannot.
        """
        openssl.set_session_timeout(context, self._timeout_s)
        openssl.set_ticket_keys(context, keys_at(self._secret, self._time(), purpose))
        self._contexts.append((context, purpose))
        if self._next is None:
            self._wait()

    def _wait(self) -> None:
        # A moment late, so that the new period has begun by any clock.
        self._next = self._clock.callLater(seconds_left(self._time()) + 1, self._change)

    def _change(self) -> None:
        for context, purpose in self._contexts:
            openssl.set_ticket_keys(context, keys_at(self._secret, self._time(), purpose))
        self._wait()

    def stop(self) -> None:
        """Change the keys no more."""
        if self._next is not None and self._next.active():
            self._next.cancel()
        self._next = None
        self._contexts.clear()
