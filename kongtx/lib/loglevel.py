"""Kong's log levels on top of Twisted's logger, and log entries with a chosen place in the code.

Kong: ngx.log levels; lua-resty-core's ngx.errlog.raw_log.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from enum import IntEnum
from typing import Any

from twisted.logger import Logger, LogLevel, globalLogPublisher

#: The key under which an event carries its L{Level}, where Twisted's levels are too coarse.
LEVEL_KEY = "kong_level"


class Level(IntEnum):
    """Severity as nginx numbers it: the lower, the worse."""

    EMERG = 1
    ALERT = 2
    CRIT = 3
    ERROR = 4
    WARN = 5
    NOTICE = 6
    INFO = 7
    DEBUG = 8

    @property
    def label(self) -> str:
        """The name in configuration and logs, such as C{notice}."""
        return self.name.lower()


#: Names in configuration, from the least severe to the most.
LEVEL_NAMES = tuple(level.label for level in reversed(Level))

_FROM_TWISTED: Mapping[Any, Level] = {
    LogLevel.debug: Level.DEBUG,
    LogLevel.info: Level.INFO,
    LogLevel.warn: Level.WARN,
    LogLevel.error: Level.ERROR,
    LogLevel.critical: Level.CRIT,
}
_TO_TWISTED: Mapping[Level, Any] = {
    Level.DEBUG: LogLevel.debug,
    Level.INFO: LogLevel.info,
    Level.NOTICE: LogLevel.info,
    Level.WARN: LogLevel.warn,
    Level.ERROR: LogLevel.error,
    Level.CRIT: LogLevel.critical,
    Level.ALERT: LogLevel.critical,
    Level.EMERG: LogLevel.critical,
}


def parse_level(name: str) -> Level:
    """The level of a name; C{err} is C{error} as in C{ngx.ERR}.

    @raise ValueError: there is none of that name.
    """
    try:
        return Level["ERROR" if name.lower() == "err" else name.upper()]
    except KeyError:
        raise ValueError(
            f"{name!r} is not a log level; the levels are {', '.join(LEVEL_NAMES)}"
        ) from None


def level_of(event: Mapping[str, Any]) -> Level:
    """The level of a L{twisted.logger} event."""
    level = event.get(LEVEL_KEY)
    if level is not None:
        return Level(level)
    return _FROM_TWISTED.get(event.get("log_level"), Level.INFO)


def notice(log: Logger, template: str, **fields: Any) -> None:
    """Log what an administrator should see in normal times: a start, a reload, a stop.

    @param log: whose namespace and source the event carries.
    @param template: as for L{Logger.info}.
    """
    log.emit(LogLevel.info, template, **{LEVEL_KEY: Level.NOTICE}, **fields)


def raw_log(level: Level | str, message: str, stack_level: int = 1, /, **fields: Any) -> None:
    """Log a message as it is, with the file, line and function that it is about.

    @param level: a L{Level} or its name.
    @param message: text, not a template.
    @param stack_level: 1 for the caller of this function, 2 for the caller of that, and so on;
        when there are fewer callers, the outermost.
    @param fields: facts about the event; JSON logs show them all.
    @raise ValueError: there is no such level.
    """
    level = parse_level(level) if isinstance(level, str) else Level(level)
    frame = sys._getframe(1)
    for _ in range(stack_level - 1):
        if frame.f_back is None:
            break
        frame = frame.f_back
    globalLogPublisher(
        {
            **fields,
            "log_format": "{message}",
            "message": message,
            "log_level": _TO_TWISTED[level],
            LEVEL_KEY: level,
            "log_namespace": frame.f_globals.get("__name__", "?"),
            "log_source": None,
            "log_time": time.time(),
            "log_file": frame.f_code.co_filename,
            "log_line": frame.f_lineno,
            "log_function": frame.f_code.co_qualname,
        }
    )
