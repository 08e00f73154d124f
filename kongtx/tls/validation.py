"""Proofs for authorities that validate names over TLS. RFC 8737.

Their client asks for the name and offers the protocol C{acme-tls/1} and no other; it looks at the
certificate and says no more.
"""

from __future__ import annotations

import ssl
from typing import Any

from kongtx.net import openssl
from kongtx.tls.pairs import Pair, load_pair

PROTOCOL = "acme-tls/1"


class Validations:
    """The proofs of one worker, and the listeners that show them.

    @ivar names: contexts by the name to be proven; hardly ever any.
    """

    __slots__ = ("_listeners", "names")

    def __init__(self) -> None:
        self.names: dict[str, ssl.SSLContext] = {}
        self._listeners: list[ssl.SSLContext] = []

    def watch(self, listener: ssl.SSLContext) -> None:
        """Look after a listener's context as well."""
        self._listeners.append(listener)
        if self.names:
            openssl.watch_offers(listener, True)

    def prove(self, name: str, pair: Pair | None) -> None:
        """Show a proof for a name, or with L{None} no more.

        @raise UnusableCertificate: it cannot be used.
        @raise UnsupportedByPython: this Python cannot tell such clients from others.
        """
        had = bool(self.names)
        if pair is None:
            self.names.pop(name, None)
        else:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.set_alpn_protocols([PROTOCOL])
            load_pair(context, pair)
            self.names[name] = context
        if had is not bool(self.names):
            # Other handshakes are spared the trouble of being looked at.
            for listener in self._listeners:
                openssl.watch_offers(listener, bool(self.names))

    def find(self, connection: Any, name: str | None) -> ssl.SSLContext | None:
        """The context for a handshake, if it is a validation.

        @param connection: the L{ssl.SSLObject} of an SNI callback.
        """
        context = self.names.get(name) if name else None
        if context is None or not openssl.offers(connection, PROTOCOL.encode()):
            return None
        return context
