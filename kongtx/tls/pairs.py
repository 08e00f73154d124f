"""Certificates with their private keys, on their way into an L{ssl.SSLContext}."""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from typing import NoReturn

import attrs

from kongtx.tls.errors import EncryptedKey, UnusableCertificate
from kongtx.tls.files import as_file


@attrs.frozen
class Pair:
    """A certificate, the chain that proves it, and its private key, in PEM form.

    @ivar what: names it in messages, as in C{certificate 5c3b…}.
    """

    chain: str
    key: str = attrs.field(repr=False)
    what: str = attrs.field(default="certificate", eq=False)


def load_pairs(context: ssl.SSLContext, pairs: Iterable[Pair]) -> None:
    """Let a context show some certificates: one for each kind of key.

    @raise UnusableCertificate: one cannot be used; the context should not be either, then.
    """
    for pair in pairs:
        load_pair(context, pair)


def load_pair(context: ssl.SSLContext, pair: Pair) -> None:
    """Let a context show a certificate.

    @raise UnusableCertificate: it cannot be used.
    """

    def refuse() -> NoReturn:
        raise EncryptedKey(pair.what)

    try:
        with as_file(f"{pair.key}\n{pair.chain}\n".encode()) as path:
            context.load_cert_chain(path, path, refuse)
    except ssl.SSLError as error:
        raise UnusableCertificate(f"{pair.what}: {_reason(error)}") from None
    except OSError as error:
        raise UnusableCertificate(f"{pair.what}: {error.strerror or error}") from None


def _reason(error: ssl.SSLError) -> str:
    """OpenSSL's own short reason; never what it read."""
    reasons = {
        "KEY_VALUES_MISMATCH": "the private key does not belong to the certificate",
        "NO_START_LINE": "there is no certificate or key in PEM form",
        "PEM lib": "the certificate or its private key cannot be read",
        "EE_KEY_TOO_SMALL": "the key is too small for this OpenSSL's security level",
        "CA_MD_TOO_WEAK": "the signature is too weak for this OpenSSL's security level",
    }
    reason = error.reason or ""
    return reasons.get(reason, reason.replace("_", " ").lower()) or reasons["PEM lib"]
