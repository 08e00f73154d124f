"""The cors plugin."""

from kongtx.plugins.cors.handler import CORS

plugin = CORS()
