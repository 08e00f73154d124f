"""The http-log plugin."""

from kongtx.plugins.http_log.handler import HTTPLog

plugin = HTTPLog()
