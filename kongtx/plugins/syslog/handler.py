"""syslog: entries as JSON to the machine's own log (RFC 3164)."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from logging.handlers import SysLogHandler
from typing import Any

from kongtx.pdk.kong import Kong
from kongtx.plugins.logging import LogPlugin, to_json
from kongtx.plugins.syslog.schema import subschema

#: Severities as they are configured, and their numbers (RFC 3164 §4.1.1): the lower, the worse.
SEVERITIES = {
    "emerg": SysLogHandler.LOG_EMERG,
    "alert": SysLogHandler.LOG_ALERT,
    "crit": SysLogHandler.LOG_CRIT,
    "err": SysLogHandler.LOG_ERR,
    "warning": SysLogHandler.LOG_WARNING,
    "notice": SysLogHandler.LOG_NOTICE,
    "info": SysLogHandler.LOG_INFO,
    "debug": SysLogHandler.LOG_DEBUG,
}


class Syslog(LogPlugin):
    """Sends entries to the local syslog.

    @param path: its socket.
    """

    name = "syslog"
    priority = 4
    subschema = subschema()

    def __init__(self, path: str = "/dev/log") -> None:
        self._path = path
        self._socket: socket.socket | None = None

    def send(self, entry: Mapping[str, Any], config: Mapping[str, Any], kong: Kong) -> None:
        """Send an entry, if it is severe enough to be sent."""
        severity = SEVERITIES[config[severity_field(entry["response"]["status"])]]
        if severity > SEVERITIES[config["log_level"]]:
            return
        facility = SysLogHandler.facility_names[config["facility"]]
        head = f"<{facility << 3 | severity}>kong[{os.getpid()}]: ".encode()
        try:
            self._connected().send(head + to_json(entry))
        except OSError as error:
            self._socket = None
            kong.log.err("could not write to {path}: {error}", path=self._path, error=str(error))

    def _connected(self) -> socket.socket:
        if self._socket is None:
            made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
            try:
                made.connect(self._path)
            except OSError:
                made.close()
                raise
            self._socket = made
        return self._socket


def severity_field(status: int) -> str:
    """The property that has the severity of a response's status."""
    if status >= 500:
        return "server_errors_severity"
    return "client_errors_severity" if status >= 400 else "successful_severity"
