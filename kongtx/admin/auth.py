"""Who may use the Admin API, for those who let more than their own machine reach it."""

from __future__ import annotations

import base64
import binascii
import hmac
import ipaddress
from collections.abc import Iterable

from twisted.logger import Logger

from kongtx.admin.answers import Answer, message
from kongtx.admin.settings import AdminSettings

_log = Logger()
_CHALLENGES = {"basic": 'Basic realm="kongtx", charset="UTF-8"', "token": "Bearer"}


def refuse(settings: AdminSettings, header: str | None) -> Answer | None:
    """Check the C{Authorization} header of a request.

    @return: the answer to give instead of serving it; L{None} if all is well.
    """
    if settings.auth == "off":
        return None
    scheme, _, credentials = (header or "").partition(" ")
    credentials = credentials.strip()
    if settings.auth == "basic" and scheme.lower() == "basic":
        good = _is_user(settings, credentials)
    elif settings.auth == "token" and scheme.lower() in ("bearer", "token"):
        good = _is_one_of(credentials, settings.tokens.values())
    else:
        good = False
    if good:
        return None
    return message(401, "Unauthorized", **{"WWW-Authenticate": _CHALLENGES[settings.auth]})


def _is_user(settings: AdminSettings, credentials: str) -> bool:
    try:
        decoded = base64.b64decode(credentials, validate=True).decode()
    except (binascii.Error, ValueError):
        return False
    return _is_one_of(decoded, (f"{user}:{password}" for user, password in settings.users.items()))


def _is_one_of(given: str, good: Iterable[str]) -> bool:
    """Compare with all of them, in a time that tells nothing of them."""
    raw = given.encode("utf-8", "surrogateescape")
    found = False
    for secret in good:
        found |= bool(secret) and hmac.compare_digest(raw, secret.encode())
    return found


def warn_when_open(settings: AdminSettings, addresses: Iterable[str], mutual_tls: bool) -> bool:
    """Warn loudly if others than this machine can reach an Admin API that asks for nothing.

    @param addresses: the hosts that the Admin API listens on.
    @param mutual_tls: whether clients have to show a certificate.
    @return: whether it was warned.
    """
    if settings.auth != "off" or mutual_tls:
        return False
    exposed = [address for address in addresses if not _is_local(address)]
    if exposed:
        _log.warn(
            "the Admin API listens on {addresses} and anyone who can connect CONTROLS THIS "
            "GATEWAY: set admin_auth, demand client certificates, or listen on 127.0.0.1 only",
            addresses=", ".join(exposed),
        )
    return bool(exposed)


def _is_local(address: str) -> bool:
    if address == "localhost":
        return True
    try:
        return ipaddress.ip_address(address.strip("[]")).is_loopback
    except ValueError:
        return False
