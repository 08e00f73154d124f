"""What plugins can do about the certificates of proxy listeners."""

from __future__ import annotations

from zope.interface import Interface

from kongtx.tls.pairs import Pair


class IServerNames(Interface):
    """Certificates of one worker's proxy listeners that are not entities of the store."""

    def show(name: str, pair: Pair | None) -> None:
        """Show a certificate for a server name, where the store has none for it.

        @param name: in lower case, without wildcards.
        @param pair: L{None} to show it no more.
        @raise UnusableCertificate: it cannot be used.
        """

    def prove(name: str, pair: Pair | None) -> None:
        """Answer a validation of a name over TLS (RFC 8737); other clients see no difference.

        @param pair: the certificate with the proof; L{None} when the validation is over.
        @raise UnusableCertificate: it cannot be used.
        @raise UnsupportedByPython: this Python cannot tell such clients from others.
        """
