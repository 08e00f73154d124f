"""C{kong.client.tls}: the client's end of a TLS connection."""

from __future__ import annotations

import re
import ssl
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from kongtx.net.openssl import AuthorityNames
from kongtx.pdk.errors import ArgumentError
from kongtx.pdk.phases import (
    ACCESS,
    BALANCER,
    BODY_FILTER,
    CERTIFICATE,
    HEADER_FILTER,
    LOG,
    RESPONSE,
    REWRITE,
    only_in,
)
from kongtx.tls.handshake import authority_names

#: Where the outcome of a plugin's verification is kept, for log entries.
VERIFIED = "tls.client_verify"

_HANDSHAKE = frozenset({CERTIFICATE})
_READING = frozenset({REWRITE, ACCESS, BALANCER, RESPONSE, HEADER_FILTER, BODY_FILTER, LOG})
_OUTCOME = re.compile(r"SUCCESS|NONE|FAILED:.+", re.DOTALL)


class ClientTLS:
    """What a client shows of itself in TLS, and what it is asked for.

    @param request: the request; in the certificate phase, the handshake's stand-in for one.
    """

    __slots__ = ("_request",)

    def __init__(self, request: Any) -> None:
        self._request = request

    @only_in(_HANDSHAKE, "client.tls.request_client_certificate")
    def request_client_certificate(self, ca_certs: str | None = None) -> None:
        """Ask the client for a certificate; it may have none, and nobody verifies it yet.

        @param ca_certs: certificates of the authorities whose are welcome, in PEM form; the client
            is told their names, and may choose by it among several.
        @raise ArgumentError: they cannot be read.
        """
        welcome = None if ca_certs is None else _authority_names(ca_certs)
        self._request.handshake.request_client_certificate(welcome)

    @only_in(_HANDSHAKE, "client.tls.disable_session_reuse")
    def disable_session_reuse(self) -> None:
        """Give the client no session to resume later, so that it is asked again each time."""
        self._request.handshake.disable_session_reuse()

    @only_in(_READING, "client.tls.get_full_client_certificate_chain")
    def get_full_client_certificate_chain(self) -> str | None:
        """The certificates that the client presented, its own first, as PEM; L{None} without."""
        chain = self.get_chain_der()
        return "".join(map(ssl.DER_cert_to_PEM_cert, chain)) if chain else None

    @only_in(_READING, "client.tls.get_chain_der")
    def get_chain_der(self) -> Sequence[bytes]:
        """The same certificates, each in DER; beyond Kong's PDK."""
        tell = getattr(self._request.connection.transport, "get_peer_chain_der", None)
        found: Sequence[bytes] = () if tell is None else tell()
        return found

    @only_in(frozenset({REWRITE, ACCESS, BALANCER}), "client.tls.set_client_verify")
    def set_client_verify(self, outcome: str) -> None:
        """Say what has come of verifying the client's certificate, for log entries.

        @param outcome: C{SUCCESS}, C{NONE} or C{FAILED:reason}.
        @raise ArgumentError: it is none of these.
        """
        if not _OUTCOME.fullmatch(outcome):
            raise ArgumentError(f"{outcome!r}: must be 'SUCCESS', 'NONE' or 'FAILED:reason'")
        self._request.plugin_data[VERIFIED] = outcome


@lru_cache(maxsize=64)
def _authority_names(text: str) -> AuthorityNames:
    try:
        return authority_names([text])
    except ValueError:
        raise ArgumentError("ca_certs: must be certificates in PEM form") from None
