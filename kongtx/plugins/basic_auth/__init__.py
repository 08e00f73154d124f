"""The basic-auth plugin."""

from kongtx.plugins.basic_auth.handler import BasicAuth

plugin = BasicAuth()
