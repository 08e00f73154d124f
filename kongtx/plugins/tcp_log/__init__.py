"""The tcp-log plugin."""

from kongtx.plugins.tcp_log.handler import TCPLog

plugin = TCPLog()
