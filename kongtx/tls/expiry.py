"""Certificates that have expired, or are about to: told in time, in the log and in metrics."""

from __future__ import annotations

import datetime
from functools import lru_cache

import attrs
from cryptography import x509
from cryptography.x509.oid import NameOID
from twisted.logger import Logger

#: Days before its end from which a certificate is warned of.
WARNED_DAYS = 30

_log = Logger()


@attrs.frozen
class CertificateInUse:
    """A certificate that a node shows or trusts.

    @ivar source: C{configuration}, C{certificates}, C{ca_certificates} or C{plugin}.
    @ivar id: of the entity; of others the property or the server name.
    @ivar chain: in PEM form.
    """

    source: str
    id: str
    chain: str = attrs.field(repr=False)

    @property
    def what(self) -> str:
        """Names it in messages."""
        words = {"certificates": "certificate ", "ca_certificates": "CA certificate "}
        return f"{words.get(self.source, '')}{self.id}"


@attrs.frozen
class Validity:
    """When a chain ends to be valid, and whose it is.

    @ivar subject: the common name; the first alternative name where there is none.
    """

    end: datetime.datetime
    subject: str


@lru_cache(maxsize=20_000)
def validity_of(chain: str) -> Validity | None:
    """Read a chain; the first of its certificates to expire counts.

    @param chain: certificates in PEM form.
    @return: L{None} if nothing can be read.
    """
    try:
        found = x509.load_pem_x509_certificates(chain.encode())
        return Validity(min(each.not_valid_after_utc for each in found), _subject(found[0]))
    except ValueError:
        return None


def _subject(certificate: x509.Certificate) -> str:
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    if names:
        return str(names[-1].value)
    try:
        others = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ""
    return next((str(each.value) for each in others), "")


def expiry_of(chain: str, now: datetime.datetime) -> tuple[datetime.datetime, int] | None:
    """When a chain ends to be valid, and the days until then (negative: since then).

    @param chain: certificates in PEM form; the first to expire counts.
    @return: L{None} if that is not soon, or nothing can be read.
    """
    validity = validity_of(chain)
    if validity is None:
        return None
    days = (validity.end - now).days
    return (validity.end, days) if days < WARNED_DAYS else None


def report_expiry(what: str, chain: str, now: datetime.datetime) -> None:
    """Log it if a chain has expired or is about to.

    @param what: names the certificate.
    """
    soon = expiry_of(chain, now)
    if soon is None:
        return
    end, days = soon
    when = end.strftime("%Y-%m-%d %H:%M UTC")
    if days < 0:
        _log.error("{what} has expired on {when}", what=what, when=when)
    else:
        _log.warn("{what} expires on {when}, in {days} days", what=what, when=when, days=days)
