"""The file-log plugin."""

from kongtx.plugins.file_log.handler import FileLog

plugin = FileLog()
