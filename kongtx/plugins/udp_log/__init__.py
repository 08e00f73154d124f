"""The udp-log plugin."""

from kongtx.plugins.udp_log.handler import UDPLog

plugin = UDPLog()
