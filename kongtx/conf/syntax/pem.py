"""Certificates and keys given as a path, as PEM text, or as PEM text in base64."""

from __future__ import annotations

import base64
import binascii
import os
import re
import warnings
from collections.abc import Callable

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.utils import CryptographyDeprecationWarning


def normalise(value: str) -> str:
    """The absolute path when the value is an existing path, else the PEM text.

    Text that is neither stays as it is; loading it says what is wrong.
    """
    if _exists(value):
        return os.path.abspath(value)
    try:
        decoded = base64.b64decode("".join(value.split()), validate=True).decode("ascii")
    except (binascii.Error, ValueError):
        return value
    return decoded if decoded.strip() else value


def is_text(value: str) -> bool:
    """Whether a normalised value is PEM text rather than a path."""
    return "-----BEGIN " in value


def read(value: str) -> bytes:
    """The PEM text of a normalised value.

    @raise OSError: when it is a path that cannot be read.
    """
    if is_text(value):
        return value.encode()
    with open(value, "rb") as file:
        return file.read()


def is_certificate(value: str) -> bool:
    """Whether a normalised value holds certificates that can be loaded."""
    return _loads(value, x509.load_pem_x509_certificates)


def is_key(value: str) -> bool:
    """Whether a normalised value holds a private key that can be loaded without a password."""
    return _loads(value, lambda data: load_pem_private_key(data, None))


def is_encrypted_key(value: str) -> bool:
    """Whether a normalised value holds a private key that needs a password."""
    try:
        load_pem_private_key(read(value), None)
    except TypeError:
        return True
    except (OSError, ValueError, UnsupportedAlgorithm):
        return False
    return False


def is_pair(certificate: str, key: str) -> bool:
    """Whether a key belongs to the first certificate of another value; both can be loaded."""
    loaded = x509.load_pem_x509_certificates(read(certificate))[0]
    return loaded.public_key() == load_pem_private_key(read(key), None).public_key()


def is_dh_parameters(value: str) -> bool:
    """Whether a normalised value holds Diffie-Hellman parameters."""
    return _loads(value, _load_dh_parameters)


def system_bundle() -> str | None:
    """The operating system's file of trusted authorities, or C{None} when it is nowhere."""
    return next((path for path in _SYSTEM_BUNDLES if os.path.exists(path)), None)


_DH_PARAMETERS = re.compile(
    rb"-----BEGIN (?:X9\.42 )?DH PARAMETERS-----([^-]+)-----END (?:X9\.42 )?DH PARAMETERS-----"
)

_SYSTEM_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/cacert.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
)


def _load_dh_parameters(data: bytes) -> None:
    """See that PEM text of DH parameters holds an ASN.1 sequence; OpenSSL reads it later.

    cryptography warns of its own loader's end as soon as that is imported.
    """
    match = _DH_PARAMETERS.search(data)
    if match is None or not base64.b64decode(match[1], validate=False).startswith(b"\x30"):
        raise ValueError("no DH parameters")


def _loads(value: str, load: Callable[[bytes], object]) -> bool:
    try:
        with warnings.catch_warnings():
            # Bundles of authorities hold certificates that break rules; that is not news to tell.
            warnings.simplefilter("ignore", CryptographyDeprecationWarning)
            load(read(value))
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm):
        return False
    return True


def _exists(value: str) -> bool:
    try:
        return os.path.exists(value)
    except ValueError:  # a NUL byte
        return False
