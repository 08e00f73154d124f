"""What can be wrong with certificates and keys. Nothing secret is ever part of a text."""

from __future__ import annotations

from kongtx.errors import KongtxError


class TLSError(KongtxError):
    """Something about certificates, keys or who trusts them."""


class UnusableCertificate(TLSError):
    """A certificate and its key cannot be used; the text says which and why."""


class EncryptedKey(UnusableCertificate):
    """A private key needs a passphrase, and there is nobody to ask for it."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"{what}: the private key is encrypted; store it without passphrase, or keep it in a "
            "vault"
        )


class UnusableAuthority(TLSError):
    """Certificates of authorities cannot be used or found."""
