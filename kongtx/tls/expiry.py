"""Certificates that have expired, or are about to: told in time, in the log."""

from __future__ import annotations

import datetime

from cryptography import x509
from twisted.logger import Logger

#: Days before its end from which a certificate is warned of.
WARNED_DAYS = 30

_log = Logger()


def expiry_of(chain: str, now: datetime.datetime) -> tuple[datetime.datetime, int] | None:
    """When a chain ends to be valid, and the days until then (negative: since then).

    @param chain: certificates in PEM form; the first to expire counts.
    @return: L{None} if that is not soon, or nothing can be read.
    """
    try:
        found = x509.load_pem_x509_certificates(chain.encode())
        end = min(each.not_valid_after_utc for each in found)
    except ValueError:
        return None
    days = (end - now).days
    return (end, days) if days < WARNED_DAYS else None


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
