"""C{kong.log}: log lines, and the entry that log plugins send."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from typing import Any, ClassVar

from twisted.logger import Logger, LogLevel, formatEvent

from kongtx.lib.loglevel import LEVEL_KEY, Level
from kongtx.pdk.entry import Entry, add_value, http_entry
from kongtx.pdk.errors import ArgumentError
from kongtx.pdk.node import Node
from kongtx.pdk.phases import LOG, REQUEST, only_in
from kongtx.proxy.interfaces import IRequestContext

_LEVELS = {
    Level.DEBUG: LogLevel.debug,
    Level.INFO: LogLevel.info,
    Level.NOTICE: LogLevel.info,
    Level.WARN: LogLevel.warn,
    Level.ERROR: LogLevel.error,
    Level.CRIT: LogLevel.critical,
    Level.ALERT: LogLevel.critical,
    Level.EMERG: LogLevel.critical,
}
_LOGGERS: dict[str, Logger] = {}
_VARIABLE = re.compile("%(message|namespace|file_src|line_src|func_name)")


class Log:
    """Lines of the running plugin; calling it is L{notice}.

    The first argument is a template with C{{fields}}, as everywhere in Twisted.
    """

    __slots__ = ("_formats", "_namespace", "_node", "_own_namespace", "_request")

    def __init__(self, request: IRequestContext, node: Node) -> None:
        self._request = request
        self._node = node
        self._namespace = "kong"
        self._own_namespace = False
        self._formats: dict[str, str] = {}

    def __call__(self, template: str, **fields: Any) -> None:
        self._emit(Level.NOTICE, template, fields)

    def debug(self, template: str, **fields: Any) -> None:
        """For whoever looks for a fault."""
        self._emit(Level.DEBUG, template, fields)

    def info(self, template: str, **fields: Any) -> None:
        """What happens in normal operation."""
        self._emit(Level.INFO, template, fields)

    def notice(self, template: str, **fields: Any) -> None:
        """What is normal and worth to be seen."""
        self._emit(Level.NOTICE, template, fields)

    def warn(self, template: str, **fields: Any) -> None:
        """What may lead to a fault."""
        self._emit(Level.WARN, template, fields)

    def err(self, template: str, **fields: Any) -> None:
        """A fault."""
        self._emit(Level.ERROR, template, fields)

    def crit(self, template: str, **fields: Any) -> None:
        """A fault that takes a part of the gateway out."""
        self._emit(Level.CRIT, template, fields)

    def alert(self, template: str, **fields: Any) -> None:
        """A fault that someone must act on now."""
        self._emit(Level.ALERT, template, fields)

    def emerg(self, template: str, **fields: Any) -> None:
        """The gateway cannot serve."""
        self._emit(Level.EMERG, template, fields)

    @property
    def inspect(self) -> Inspect:
        """Values as Python writes them, at the debug level: C{kong.log.inspect(value, ...)}."""
        return Inspect(self)

    def _name_after(self, plugin: str) -> Log:
        """The same, in the name of the plugin that runs now; loggers made by L{new} keep theirs."""
        if not self._own_namespace:
            self._namespace = plugin
        return self

    def new(self, namespace: str, template: str = "") -> Log:
        """A logger of another name.

        @param template: see L{set_format}.
        """
        if not namespace:
            raise ArgumentError("a logger needs a namespace")
        other = Log(self._request, self._node)
        other._namespace, other._own_namespace = namespace, True
        if template:
            other.set_format(template)
        return other

    def set_format(self, template: str) -> None:
        """Shape the further lines of this plugin, or of this logger, about this request.

        @param template: text with C{%message}, C{%namespace}, and where the line was logged:
            C{%file_src}, C{%line_src}, C{%func_name}.
        """
        if not template:
            raise ArgumentError("format: must not be empty")
        self._formats[self._namespace] = template

    def deprecation(
        self, message: str, after: str | None = None, removal: str | None = None
    ) -> None:
        """Warn of something that will go away.

        @param after: the version since which it is deprecated.
        @param removal: the version without it.
        """
        if after:
            message += f" (deprecated after {after}{f', removed in {removal}' if removal else ''})"
        self._emit(Level.WARN, "{message}", {"message": message})

    @only_in(REQUEST - {"balancer"}, "log.set_serialize_value")
    def set_serialize_value(self, key: str, value: Any, mode: str = "set") -> None:
        """Put a value into the log entry of this request.

        @param key: dots nest.
        @param value: L{None} removes; else a number, text, boolean or a mapping of these.
        @param mode: C{set}; C{add} only where there is nothing; C{replace} only where there is.
        @raise ArgumentError: for another mode, or a value that no log entry can hold.
        """
        if mode not in ("set", "add", "replace"):
            raise ArgumentError(f"mode {mode!r}: must be 'set', 'add' or 'replace'")
        _check_value(value, ())
        self._request.log_values.append((key, value, mode))

    @only_in(frozenset({LOG}), "log.serialize")
    def serialize(self) -> Entry:
        """The log entry of this request, as log plugins send it."""
        entry = http_entry(self._request, self._node)
        for key, value, mode in self._request.log_values:
            add_value(entry, key, value, mode)
        return entry

    def _emit(self, level: Level, template: str, fields: Mapping[str, Any]) -> None:
        logger = _LOGGERS.get(self._namespace)
        if logger is None:
            logger = _LOGGERS[self._namespace] = Logger(namespace=self._namespace)
        if self._namespace in self._formats:
            template, fields = "{message}", {**fields, "message": self._shape(template, fields)}
        own = {
            LEVEL_KEY: level,
            "plugin": self._namespace,
            "request_id": self._request.request_id.decode(),
        }
        logger.emit(_LEVELS[level], template, **{**fields, **own})

    def _shape(self, template: str, fields: Mapping[str, Any]) -> str:
        caller = sys._getframe(3)  # of the method that called _emit
        told = {
            "message": formatEvent({"log_format": template, **fields}),
            "namespace": self._namespace,
            "file_src": os.path.basename(caller.f_code.co_filename),
            "line_src": str(caller.f_lineno),
            "func_name": caller.f_code.co_name,
        }
        return _VARIABLE.sub(lambda found: told[found[1]], self._formats[self._namespace])


class Inspect:
    """Writes values, and can be told to be still."""

    __slots__ = ("_log",)
    _still: ClassVar[set[str]] = set()

    def __init__(self, log: Log) -> None:
        self._log = log

    def __call__(self, *values: Any) -> None:
        if self._log._namespace not in self._still:
            self._log._emit(Level.DEBUG, "{values}", {"values": ", ".join(map(repr, values))})

    def on(self) -> None:
        """Write again what this plugin inspects."""
        self._still.discard(self._log._namespace)

    def off(self) -> None:
        """Write nothing of what this plugin inspects, in this worker."""
        self._still.add(self._log._namespace)


def _check_value(value: Any, above: tuple[int, ...]) -> None:
    if value is None or isinstance(value, (str, int, float)):  # bool is an int
        return
    if isinstance(value, Mapping) and id(value) not in above:
        for key, each in value.items():
            if not isinstance(key, str):
                break
            _check_value(each, (*above, id(value)))
        else:
            return
    raise ArgumentError(
        "value must be nil, a number, string, boolean or a non-self-referencial table "
        "containing numbers, string and booleans"
    )
