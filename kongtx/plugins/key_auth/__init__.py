"""The key-auth plugin."""

from kongtx.plugins.key_auth.handler import KeyAuth

plugin = KeyAuth()
