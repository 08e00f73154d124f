"""The mtls-auth plugin."""

from kongtx.plugins.mtls_auth.handler import MutualTLSAuth

plugin = MutualTLSAuth()
