"""Error and access logs: lines as Kong writes them, or JSON; levels, reopening, no secrets."""

from kongtx.lib.loglevel import LEVEL_NAMES, Level, notice, parse_level, raw_log
from kongtx.runtime.logs.control import LogLevelControl
from kongtx.runtime.logs.redact import Redactor
from kongtx.runtime.logs.service import Logs, LogSettings

__all__ = [
    "LEVEL_NAMES",
    "Level",
    "LogLevelControl",
    "LogSettings",
    "Logs",
    "Redactor",
    "notice",
    "parse_level",
    "raw_log",
]
