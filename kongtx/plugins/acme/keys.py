"""Private keys and proofs. What takes long is for threads; it leaves the interpreter to others."""

from __future__ import annotations

import datetime
import hashlib
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from kongtx.tls.pairs import Pair

#: id-pe-acmeIdentifier: RFC 8737 §3.
ACME_IDENTIFIER = x509.ObjectIdentifier("1.3.6.1.5.5.7.1.31")
_OCTET_STRING = 4


def new_key(kind: str, rsa_size: int = 4096) -> str:
    """A new private key in PEM form.

    @param kind: C{rsa} or C{ecc}.
    """
    if kind == "ecc":
        return _pem(ec.generate_private_key(ec.SECP256R1()))
    return _pem(rsa.generate_private_key(65537, rsa_size))


def proof_pair(host: str, key_authorization: str) -> Pair:
    """The certificate that proves the hold of a name over TLS. RFC 8737 §3."""
    key = ec.generate_private_key(ec.SECP256R1())
    digest = hashlib.sha256(key_authorization.encode()).digest()
    now = datetime.datetime.now(datetime.UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "acme-tls-alpn-01")])
    value = bytes((_OCTET_STRING, len(digest))) + digest
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=7))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .add_extension(x509.UnrecognizedExtension(ACME_IDENTIFIER, value), critical=True)
        .sign(key, hashes.SHA256())
    )
    what = f"proof of holding {host}"
    return Pair(certificate.public_bytes(Encoding.PEM).decode(), _pem(key), what)


def _pem(key: Any) -> str:
    private: bytes = key.private_bytes(
        Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()
    )
    return private.decode()
