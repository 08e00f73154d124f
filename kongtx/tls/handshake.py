"""One TLS handshake of a client, as it can be influenced while it goes on."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from kongtx.net import openssl


def authority_names(texts: Iterable[str]) -> openssl.AuthorityNames:
    """The names of authorities, as handshakes tell them.

    @param texts: their certificates in PEM form.
    @raise ValueError: a text holds none that can be read.
    @raise UnsupportedByPython: this Python cannot.
    """
    found = (each for text in texts for each in x509.load_pem_x509_certificates(text.encode()))
    return openssl.AuthorityNames(each.public_bytes(Encoding.DER) for each in found)


class Handshake:
    """A handshake whose client has said which server it wants; nothing has been answered yet.

    @ivar server_name: in lower case; L{None} when the client asks for none.
    @ivar asks_client: whether the client is asked for a certificate; a listener that verifies
        certificates says so from the beginning, and goes on to verify.
    @ivar is_default: whether the listener's own certificate is shown, as no other is for the name.
    """

    # _names: whether whoever has asked so far has said whose certificates are welcome.
    __slots__ = ("_connection", "_names", "_verifies", "asks_client", "is_default", "server_name")

    def __init__(
        self,
        connection: Any,
        server_name: str | None,
        is_default: bool = False,
        asks_client: bool = False,
    ) -> None:
        self._connection = connection
        self.server_name = server_name
        self.is_default = is_default
        self.asks_client = self._verifies = asks_client
        self._names = False

    def request_client_certificate(self, welcome: openssl.AuthorityNames | None = None) -> None:
        """Ask the client for a certificate; it may have none, and any is taken.

        @param welcome: whose certificates the client may choose from; if anybody asks without
            that, it is told nothing.
        @raise UnsupportedByPython: this Python cannot.
        """
        if not self.asks_client:
            openssl.request_any_certificate(self._connection)
            self.asks_client = self._names = True
        if self._verifies or not self._names:
            return
        openssl.name_authorities(self._connection, welcome)
        self._names = welcome is not None

    def disable_session_reuse(self) -> None:
        """Give the client no session to resume later.

        @raise UnsupportedByPython: this Python cannot.
        """
        openssl.disable_session_reuse(self._connection)
