"""The jwt plugin."""

from kongtx.plugins.jwt.handler import JWT

plugin = JWT()
