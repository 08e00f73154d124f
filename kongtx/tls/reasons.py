"""Why TLS did not come about, in words for logs. Nothing of certificates or keys is told. Pure."""

from __future__ import annotations

import ssl

_ALERT = "_ALERT_"


def explain(error: BaseException | None) -> str:
    """One line on what ended a handshake, or the connection after it.

    @param error: as the L{ssl} module raises it, or what else ended the connection.
    """
    if isinstance(error, ssl.SSLCertVerificationError):
        told = (error.verify_message or "unknown reason").rstrip(".")
        start = told[:1] if told[1:2].isupper() else told[:1].lower()
        return f"its certificate is not trusted: {start}{told[1:]}"
    if isinstance(error, ssl.SSLError) and error.reason:
        if _ALERT in error.reason:
            alert = error.reason.rpartition(_ALERT)[2]
            return f"it refused the connection: {alert.replace('_', ' ').lower()}"
        return error.reason.replace("_", " ").lower()
    if isinstance(error, TimeoutError):
        return "it took too long"
    return "it closed the connection"
