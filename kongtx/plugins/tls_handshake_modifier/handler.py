"""tls-handshake-modifier: clients are asked for a certificate, and may have none."""

from __future__ import annotations

from kongtx.plugins.base import Plugin
from kongtx.plugins.tls_handshake_modifier.schema import subschema


class TLSHandshakeModifier(Plugin):
    """Has clients asked for a certificate; other plugins look at it.

    What it does is done in the handshake, by the gateway: see L{kongtx.tls.asking}.
    """

    name = "tls-handshake-modifier"
    priority = 997
    subschema = subschema()
    asks_client_certificate = True
