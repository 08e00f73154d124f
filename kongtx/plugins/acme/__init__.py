"""The acme plugin."""

from kongtx.plugins.acme.handler import ACME

plugin = ACME()
