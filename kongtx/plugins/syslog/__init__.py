"""The syslog plugin."""

from kongtx.plugins.syslog.handler import Syslog

plugin = Syslog()
