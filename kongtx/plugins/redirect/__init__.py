"""The redirect plugin."""

from kongtx.plugins.redirect.handler import Redirect

plugin = Redirect()
