"""TLS of plugins with servers of their own, on Twisted's: service-identity verifies names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import attrs
from cryptography import x509
from OpenSSL import SSL
from OpenSSL.crypto import X509
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.internet.ssl import (
    Certificate,
    CertificateOptions,
    optionsForClientTLS,
    trustRootFromCertificates,
)
from twisted.web.iweb import IPolicyForHTTPS
from zope.interface import implementer


def client_creator(
    server_name: str, authorities: Iterable[str] | None
) -> IOpenSSLClientConnectionCreator:
    """How to speak TLS with a server.

    @param server_name: the name to ask for and to verify.
    @param authorities: whom to trust: paths or PEM texts; L{None}: whoever answers.
    @raise OSError, ValueError: an authority's certificate cannot be read.
    """
    if authorities is None:
        return _Unverified(server_name)
    trust = trustRootFromCertificates(_certificates(authorities))
    return optionsForClientTLS(server_name, trustRoot=trust)


def _certificates(authorities: Iterable[str]) -> Iterator[Certificate]:
    for each in authorities:
        pem = each.encode() if "-----BEGIN" in each else Path(each).read_bytes()
        for certificate in x509.load_pem_x509_certificates(pem):
            yield Certificate(X509.from_cryptography(certificate))


@implementer(IOpenSSLClientConnectionCreator)
class _Unverified:
    """TLS with whoever answers."""

    def __init__(self, server_name: str) -> None:
        self._server_name = server_name
        self._context = CertificateOptions().getContext()

    def clientConnectionForTLS(self, tlsProtocol: Any) -> SSL.Connection:
        connection = SSL.Connection(self._context, None)
        connection.set_tlsext_host_name(self._server_name.encode("idna"))
        return connection


@implementer(IPolicyForHTTPS)
@attrs.frozen
class ServerPolicy:
    """TLS of an HTTP client that knows one server.

    @ivar server_name: the name to ask for and to verify; L{None}: the URL's host.
    @ivar authorities: as for L{client_creator}.
    """

    server_name: str | None
    authorities: tuple[str, ...] | None

    def creatorForNetloc(self, hostname: bytes, port: int) -> IOpenSSLClientConnectionCreator:
        """See L{client_creator}."""
        return client_creator(self.server_name or hostname.decode("ascii"), self.authorities)
