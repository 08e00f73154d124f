"""What a TLS connection tells of its handshake, whoever encrypts it."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import Any

from attrs import frozen

_ENCODING_DER = 2  # X509_FILETYPE_ASN1


@frozen
class TLSSettings:
    """How to speak TLS.

    @ivar context: certificates, verification, protocols; it may be changed in its SNI callback.
    @ivar server_hostname: the name a client asks for and verifies; None on the server's side.
    @ivar handshake_timeout: seconds from the TCP connection to the end of the handshake.
    @ivar shutdown_timeout: seconds to wait for the peer's C{close_notify} after ours.
    """

    context: ssl.SSLContext
    server_side: bool
    server_hostname: str | None = None
    handshake_timeout: float = 60.0
    shutdown_timeout: float = 5.0


def keep_server_names(context: ssl.SSLContext) -> None:
    """Let connections tell the server name asked for; the SNI callback is still called."""
    wrapped: Any = context.sni_callback
    if isinstance(wrapped, _KeepsServerName):
        return
    context.sni_callback = _KeepsServerName(wrapped)


@frozen
class _KeepsServerName:
    """An SNI callback that notes the name on the connection's L{ssl.SSLObject}."""

    wrapped: Callable[..., Any] | None

    def __call__(self, sslobj: Any, name: str | None, context: ssl.SSLContext) -> Any:
        sslobj.kongtx_server_name = name
        return None if self.wrapped is None else self.wrapped(sslobj, name, context)


class TLSFacts:
    """Mixed into transports that have an L{ssl.SSLObject}."""

    __slots__ = ()

    _tls: TLSSettings

    @property
    def _ssl_object(self) -> Any:
        raise NotImplementedError

    def get_peer_certificate_der(self) -> bytes | None:
        """Return the peer's certificate in DER, or None when it presented none."""
        certificate: bytes | None = self._ssl_object.getpeercert(binary_form=True)
        return certificate

    def get_peer_chain_der(self) -> list[bytes]:
        """Return the certificates that the peer presented in DER, its own first; none of them
        needs to be trusted.
        """
        connection = self._ssl_object
        tell = getattr(connection, "get_unverified_chain", None)  # since Python 3.13
        if tell is not None:
            return [each for each in tell() or () if each is not None]
        found = connection._sslobj.get_unverified_chain() or ()
        # A client without certificate has a chain of nothing.
        return [each.public_bytes(_ENCODING_DER) for each in found if each is not None]

    def get_server_name(self) -> str | None:
        """Return the server name (SNI) that the client asked for, in lower case, or None."""
        if not self._tls.server_side:
            return self._tls.server_hostname
        name: str | None = getattr(self._ssl_object, "kongtx_server_name", None)
        return None if name is None else name.lower()

    def get_alpn(self) -> str | None:
        """Return the protocol that ALPN chose, or None."""
        chosen: str | None = self._ssl_object.selected_alpn_protocol()
        return chosen

    def get_cipher(self) -> str:
        """Return the cipher suite's name, as OpenSSL writes it."""
        return str(self._ssl_object.cipher()[0])

    def get_tls_version(self) -> str:
        """Return the protocol version, such as C{TLSv1.3}."""
        return str(self._ssl_object.version())

    @property
    def negotiatedProtocol(self) -> bytes | None:
        """What ALPN chose, as L{twisted.internet.interfaces.INegotiated} tells it."""
        chosen = self.get_alpn()
        return None if chosen is None else chosen.encode("ascii")

    def getPeerCertificate(self) -> Any:
        """Return the peer's certificate as a pyOpenSSL C{X509}, or None."""
        der = self.get_peer_certificate_der()
        if der is None:
            return None
        from OpenSSL import crypto  # noqa: PLC0415 - pyOpenSSL is not needed otherwise

        return crypto.load_certificate(crypto.FILETYPE_ASN1, der)
