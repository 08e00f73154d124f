"""The self-signed certificates that listeners show until they are given others.

Kong: kong/cmd/utils/prefix_handler.lua; the files have the same names.
"""

from __future__ import annotations

import datetime
import os
from collections.abc import Callable
from typing import Any

import attrs
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_STEMS = {
    "proxy": "kong-default",
    "admin": "admin-kong-default",
    "admin_gui": "admin-gui-kong-default",
    "status": "status-kong-default",
}
_DAYS = 20 * 365


@attrs.frozen
class PairFiles:
    """Where a certificate and its key lie."""

    certificate: str
    key: str


def default_files(directory: str, kind: str) -> tuple[PairFiles, PairFiles]:
    """The default RSA and ECDSA pairs of a kind of listeners.

    @param directory: C{ssl} below the prefix.
    @param kind: C{proxy}, C{admin}, C{admin_gui} or C{status}.
    """
    stem = os.path.join(directory, _STEMS[kind])
    return (
        PairFiles(f"{stem}.crt", f"{stem}.key"),
        PairFiles(f"{stem}-ecdsa.crt", f"{stem}-ecdsa.key"),
    )


def ensure_defaults(
    directory: str,
    kind: str,
    now: datetime.datetime,
    own: Callable[[str], None] = lambda path: None,
) -> list[str]:
    """Make the default pairs of a kind of listeners, those that are not there.

    @param own: gives a new file to whom the workers run as.
    @return: paths of the certificates that were made.
    @raise OSError: a file cannot be written.
    """
    made = []
    keys: tuple[Callable[[], Any], ...] = (
        lambda: rsa.generate_private_key(65537, 2048),
        lambda: ec.generate_private_key(ec.SECP256R1()),
    )
    for files, generate in zip(default_files(directory, kind), keys, strict=True):
        if os.path.exists(files.certificate) and os.path.exists(files.key):
            continue
        key = generate()
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        _write(files.key, private, 0o600)
        _write(files.certificate, _self_signed(key, now).public_bytes(Encoding.PEM), 0o644)
        own(files.key)
        own(files.certificate)
        made.append(files.certificate)
    return made


def _self_signed(key: Any, now: datetime.datetime) -> x509.Certificate:
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "kongtx"),
            x509.NameAttribute(NameOID.COMMON_NAME, "localhost"),
        ]
    )
    public = key.public_key()
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=_DAYS))
    )
    extensions: tuple[tuple[x509.ExtensionType, bool], ...] = (
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (x509.SubjectAlternativeName([x509.DNSName("localhost")]), False),
        (
            x509.ExtendedKeyUsage(
                [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
            ),
            False,
        ),
        (x509.SubjectKeyIdentifier.from_public_key(public), False),
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return builder.sign(key, hashes.SHA256())


def _write(path: str, data: bytes, mode: int) -> None:
    """Write a file whole, or not at all."""
    unfinished = f"{path}.new"
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with open(descriptor, "wb") as stream:
        os.fchmod(descriptor, mode)
        stream.write(data)
    os.replace(unfinished, path)
