"""The tls-handshake-modifier plugin."""

from kongtx.plugins.tls_handshake_modifier.handler import TLSHandshakeModifier

plugin = TLSHandshakeModifier()
