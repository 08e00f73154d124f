"""Which names certificates are asked for, and what certificates say. Pure."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

IPV4 = re.compile(r"\d+\.\d+\.\d+\.\d+")
#: What a handshake may ask a certificate for; whatever else clients send is not passed on.
_HOST = re.compile(r"(?=.{1,253}\Z)[a-z0-9_]([a-z0-9_-]*[a-z0-9])?(\.[a-z0-9_-]+)+\Z")
#: The same, and what administrators may ask for besides; authorities say what they take.
_NAME = re.compile(r"(?=.{1,255}\Z)(\*\.)?[a-z0-9_-]+(\.[a-z0-9_-]+)*\Z")
_WHEN = "%Y-%m-%d %H:%M:%S"


class Domains:
    """The names of a configuration: C{domains}, with a wildcard at the first label or none.

    As in Kong a wildcard stands for any number of labels, and one at the end for nothing.
    """

    __slots__ = ("_exact", "_suffixes")

    def __init__(self, domains: Iterable[str] = ()) -> None:
        names = [name.lower() for name in domains]
        self._exact = frozenset(name for name in names if not name.startswith("*"))
        self._suffixes = tuple(name[1:] for name in names if name.startswith("*"))

    def __contains__(self, host: object) -> bool:
        return isinstance(host, str) and (host in self._exact or host.endswith(self._suffixes))


def is_host(name: str) -> bool:
    """Whether a name in lower case can be that of a server on a public network."""
    return _HOST.match(name) is not None


def is_asked_for(name: str) -> bool:
    """Whether a name in lower case can be written into a request for a certificate."""
    return _NAME.match(name) is not None


def is_address(host: str) -> bool:
    """Whether a host is an IP address."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def end_of(chain: str) -> datetime:
    """When a certificate ends to be valid.

    @raise ValueError: it cannot be read.
    """
    return x509.load_pem_x509_certificate(chain.encode()).not_valid_after_utc


def is_due(chain: str, threshold_days: float, now: float) -> bool:
    """Whether a certificate is to be renewed; one that cannot be read is.

    @param now: seconds since 1970.
    """
    try:
        end = end_of(chain)
    except ValueError:
        return True
    return end - timedelta(days=threshold_days) <= datetime.fromtimestamp(now, UTC)


def shown(chain: str, now: float) -> dict[str, Any]:
    """What the Admin API tells of a certificate. Kong: C{parse_certkey} in its api.lua.

    @raise ValueError: it cannot be read.
    """
    certificate = x509.load_pem_x509_certificate(chain.encode())
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    is_rsa = isinstance(certificate.public_key(), rsa.RSAPublicKey)
    serial = f"{certificate.serial_number:X}"
    return {
        "digest": certificate.fingerprint(hashes.SHA1()).hex(":").upper(),
        "host": _common_name(certificate.subject) or _first_name(certificate),
        "issuer_cn": _common_name(certificate.issuer),
        "not_before": begin.strftime(_WHEN),
        "not_after": end.strftime(_WHEN),
        "valid": begin.timestamp() < now < end.timestamp(),
        "serial_number": bytes.fromhex(serial.zfill(len(serial) + len(serial) % 2))
        .hex(":")
        .upper(),
        "pubkey_type": "rsaEncryption" if is_rsa else "id-ecPublicKey",
    }


def issuer_of(chain: str) -> str | None:
    """The common name of who issued the last certificate of a chain."""
    return _common_name(x509.load_pem_x509_certificates(chain.encode())[-1].issuer)


def _common_name(name: x509.Name) -> str | None:
    found = name.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(found[-1].value) if found else None


def _first_name(certificate: x509.Certificate) -> str | None:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return None
    return next((str(each.value) for each in names), None)
