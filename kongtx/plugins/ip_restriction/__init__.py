"""The ip-restriction plugin."""

from kongtx.plugins.ip_restriction.handler import IPRestriction

plugin = IPRestriction()
