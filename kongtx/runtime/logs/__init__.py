"""Error and access logs: lines as Kong writes them, or JSON; levels, reopening, no secrets."""

from kongtx.lib.loglevel import LEVEL_NAMES, Level, notice, parse_level, raw_log
from kongtx.runtime.logs.access import AccessLog, NoAccessLog, compile_format
from kongtx.runtime.logs.control import LogLevelControl
from kongtx.runtime.logs.redact import Redactor
from kongtx.runtime.logs.service import Logs, LogSettings

__all__ = [
    "LEVEL_NAMES",
    "AccessLog",
    "Level",
    "LogLevelControl",
    "LogSettings",
    "Logs",
    "NoAccessLog",
    "Redactor",
    "compile_format",
    "notice",
    "parse_level",
    "raw_log",
]
