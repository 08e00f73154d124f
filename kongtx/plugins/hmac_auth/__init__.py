"""The hmac-auth plugin."""

from kongtx.plugins.hmac_auth.handler import HMACAuth

plugin = HMACAuth()
