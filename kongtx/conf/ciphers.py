"""The protocol versions and ciphers that C{ssl_cipher_suite} names.

Source: Mozilla, Server Side TLS guidelines 5.7. Kong: the same four suites.
"""

from __future__ import annotations

import attrs

_INTERMEDIATE = (
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
    "ECDHE-RSA-CHACHA20-POLY1305",
    "DHE-RSA-AES128-GCM-SHA256",
    "DHE-RSA-AES256-GCM-SHA384",
    "DHE-RSA-CHACHA20-POLY1305",
)
_OLD = (
    *_INTERMEDIATE,
    "ECDHE-ECDSA-AES128-SHA256",
    "ECDHE-RSA-AES128-SHA256",
    "ECDHE-ECDSA-AES128-SHA",
    "ECDHE-RSA-AES128-SHA",
    "ECDHE-ECDSA-AES256-SHA384",
    "ECDHE-RSA-AES256-SHA384",
    "ECDHE-ECDSA-AES256-SHA",
    "ECDHE-RSA-AES256-SHA",
    "DHE-RSA-AES128-SHA256",
    "DHE-RSA-AES256-SHA256",
    "AES128-GCM-SHA256",
    "AES256-GCM-SHA384",
    "AES128-SHA256",
    "AES256-SHA256",
    "AES128-SHA",
    "AES256-SHA",
    "DES-CBC3-SHA",
)


@attrs.frozen
class CipherSuite:
    """What a suite sets.

    @ivar protocols: versions separated by blanks, as C{ssl_protocols}.
    @ivar ciphers: in OpenSSL's notation; C{None} for OpenSSL's own choice.
    @ivar prefer_server_ciphers: C{on} or C{off}.
    @ivar dhparam: a named group, or C{None}.
    @ivar forces_dhparam: whether C{dhparam} replaces what the administrator gave.
    """

    protocols: str
    ciphers: str | None
    prefer_server_ciphers: str
    dhparam: str | None = None
    forces_dhparam: bool = True


CIPHER_SUITES = {
    # Every cipher of TLS 1.3 is safe, so the client may choose.
    "modern": CipherSuite("TLSv1.3", None, "off"),
    "intermediate": CipherSuite("TLSv1.2 TLSv1.3", ":".join(_INTERMEDIATE), "off", "ffdhe2048"),
    "old": CipherSuite("TLSv1 TLSv1.1 TLSv1.2 TLSv1.3", ":".join(_OLD), "on", forces_dhparam=False),
    "fips": CipherSuite("TLSv1.2", "TLSv1.2+FIPS:kRSA+FIPS:!eNULL:!aNULL", "on"),
}

#: Diffie-Hellman groups that OpenSSL knows by name (RFC 7919, RFC 3526).
DH_GROUPS = frozenset(
    (
        *(f"ffdhe{bits}" for bits in (2048, 3072, 4096, 6144, 8192)),
        *(f"modp_{bits}" for bits in (2048, 3072, 4096, 6144, 8192)),
    )
)
