"""Error log lines, as nginx and Kong write them or as JSON."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from twisted.logger import ILogObserver, LogEvent, formatEvent
from zope.interface import implementer

from kongtx.lib.loglevel import LEVEL_KEY, Level, level_of
from kongtx.runtime.logs.control import LogLevelControl
from kongtx.runtime.logs.files import LogFile

#: Makes a line, with its end, of an event.
Formatter = Callable[[LogEvent, Level], bytes]

#: Fields that a text line shows after the message, in this order, as nginx does.
CONTEXT_FIELDS = ("client", "server", "request", "upstream", "host", "request_id")

_CONTROL = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]")
_INTERNAL = frozenset(
    (LEVEL_KEY, "message", "format", "time", "system", "isError", "failure", "why", "printed")
)


def _escape(text: str) -> str:
    """Text that stays on one line, whoever made it."""
    if _CONTROL.search(text) is None:
        return text
    return _CONTROL.sub(lambda match: f"\\x{ord(match[0]):02X}", text)


def message_of(event: LogEvent) -> str:
    """What an event says, on one line."""
    text = formatEvent(event)
    failure = event.get("log_failure")
    if failure is not None:
        name = getattr(failure.type, "__name__", failure.type)
        told = f"{name}: {failure.getErrorMessage()}"
        text = f"{text}: {told}" if text else told
    return _escape(text)


def _traceback(event: LogEvent) -> list[str]:
    failure = event.get("log_failure")
    if failure is None:
        return []
    return [_escape(line) for line in failure.getTraceback().rstrip().split("\n")]


def _where(event: LogEvent) -> str:
    if "log_file" in event:
        name = os.path.basename(event["log_file"])
        return f"{name}:{event['log_line']}: {event['log_function']}(): "
    namespace = event.get("log_namespace")
    return f"[{namespace}] " if namespace and namespace != "log_legacy" else ""


def format_text(event: LogEvent, level: Level) -> bytes:
    """C{YYYY/MM/DD HH:MM:SS [level] pid#0: [namespace] message, client: ...}; a traceback follows,
    each line indented."""
    stamp = time.strftime("%Y/%m/%d %H:%M:%S", time.localtime(event.get("log_time")))
    context = "".join(
        f", {name}: {_escape(str(event[name]))}"
        for name in CONTEXT_FIELDS
        if isinstance(event.get(name), (str, int))
    )
    lines = [
        f"{stamp} [{level.label}] {os.getpid()}#0: {_where(event)}{message_of(event)}{context}",
        *(f"  {line}" for line in _traceback(event)),
    ]
    return ("\n".join(lines) + "\n").encode("utf-8", "backslashreplace")


def _fields(event: LogEvent) -> Mapping[str, Any]:
    """What the caller of the logger gave along."""
    return {
        key: value
        for key, value in event.items()
        if not key.startswith("log_") and key not in _INTERNAL
    }


def format_json(event: LogEvent, level: Level) -> bytes:
    """One JSON object: time (UTC), level, pid, logger, message, fields, and for failures exception
    and traceback."""
    at = datetime.fromtimestamp(event.get("log_time", time.time()), UTC)
    entry: dict[str, Any] = {
        "time": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "level": level.label,
        "pid": os.getpid(),
        "logger": event.get("log_namespace"),
        "message": message_of(event),
    }
    if "log_file" in event:
        entry["file"] = event["log_file"]
        entry["line"] = event["log_line"]
        entry["function"] = event["log_function"]
    failure = event.get("log_failure")
    if failure is not None:
        entry["exception"] = getattr(failure.type, "__name__", str(failure.type))
        entry["traceback"] = failure.getTraceback()
    fields = _fields(event)
    if fields:
        entry["fields"] = fields
    return json.dumps(entry, ensure_ascii=False, default=str).encode("utf-8", "replace") + b"\n"


FORMATTERS: Mapping[str, Formatter] = {"text": format_text, "json": format_json}


@implementer(ILogObserver)
class ErrorLog:
    """Writes what is severe enough to the error logs.

    @param default: the file for everything; L{None} for none.
    @param by_namespace: files for what comes from a package, by the start of its name.
    """

    def __init__(
        self,
        control: LogLevelControl,
        formatter: Formatter,
        default: LogFile | None,
        by_namespace: Mapping[str, LogFile | None],
    ) -> None:
        self._control = control
        self._format = formatter
        self._default = default
        self._by_namespace = tuple(by_namespace.items())

    def __call__(self, event: LogEvent) -> None:
        """Write an event."""
        level = level_of(event)
        if level > self._control.level:
            return
        file = self._file_for(event.get("log_namespace") or "")
        if file is None:
            return
        try:
            line = self._format(event, level)
        except Exception as error:
            # A field that cannot be shown must not silence the entry.
            line = (
                f"{time.strftime('%Y/%m/%d %H:%M:%S')} [error] {os.getpid()}#0: a log entry of "
                f"{event.get('log_namespace')} could not be shown: {type(error).__name__}\n"
            ).encode()
        file.write(line)

    def _file_for(self, namespace: str) -> LogFile | None:
        for start, file in self._by_namespace:
            if namespace.startswith(start):
                return file
        return self._default
