"""What listeners demand of their clients: certificates, and whom these must lead to."""

from __future__ import annotations

import ssl
from typing import Any

import attrs

from kongtx.conf.syntax import pem
from kongtx.net import openssl
from kongtx.tls.errors import UnusableAuthority

OFF, ON, OPTIONAL, ANY = "off", "on", "optional", "optional_no_ca"


@attrs.frozen
class ClientVerification:
    """The C{nginx_*_ssl_verify_client} of a kind of listeners, and what belongs to it.

    @ivar mode: L{ON}: without a good certificate there is no connection; L{OPTIONAL}: there may be
        none; L{ANY}: any is taken; L{OFF}: clients are not asked.
    @ivar authorities: a path or PEM text.
    @ivar revocations: the same, of revocation lists; L{None} if they do not count.
    @ivar depth: how many certificates may stand between the client's and a trusted one.
    """

    mode: str = OFF
    authorities: str | None = None
    revocations: str | None = None
    depth: int = 1

    @classmethod
    def of(cls, conf: Any, kind: str) -> ClientVerification:
        """What the configuration says of a kind of listeners."""
        name = f"nginx_{kind}_ssl"
        return cls(
            getattr(conf, f"{name}_verify_client"),
            getattr(conf, f"{name}_client_certificate"),
            getattr(conf, f"{name}_crl"),
            getattr(conf, f"{name}_verify_depth"),
        )

    @property
    def verifies(self) -> bool:
        """Whether certificates that clients show must be good ones."""
        return self.mode in (ON, OPTIONAL)

    def apply(self, context: ssl.SSLContext) -> None:
        """Have a listener's context demand this.

        @raise TLSError: an authority's certificate or list cannot be used.
        """
        if self.mode == OFF:
            return
        # A session that is resumed would lack the chain, and what was revoked since.
        context.options |= ssl.OP_NO_TICKET
        context.num_tickets = 0
        if not self.verifies:
            return
        context.verify_mode = ssl.CERT_REQUIRED if self.mode == ON else ssl.CERT_OPTIONAL
        _load(context, "certificates of authorities", self.authorities)
        if self.revocations:
            _load(context, "revocation lists", self.revocations)
            context.verify_flags |= ssl.VERIFY_CRL_CHECK_CHAIN
        if openssl.is_supported():
            openssl.set_verify_depth(context, self.depth)
            # Clients with several certificates choose by it, as with nginx.
            names = openssl.AuthorityNames(context.get_ca_certs(binary_form=True))
            openssl.name_authorities_of(context, names)


def _load(context: ssl.SSLContext, what: str, value: str | None) -> None:
    try:
        if value and pem.is_text(value):
            context.load_verify_locations(cadata=value)
        else:
            context.load_verify_locations(cafile=value or "")
    except (OSError, ssl.SSLError, ValueError):
        told = "PEM text" if value and pem.is_text(value) else value
        raise UnusableAuthority(f"{what} for clients cannot be loaded from {told}") from None
