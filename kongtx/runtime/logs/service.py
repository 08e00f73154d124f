"""The logs of one process, put together from its configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import field, frozen
from twisted.application.service import Service
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger, globalLogBeginner, globalLogPublisher

from kongtx.lib.loglevel import Level, parse_level
from kongtx.runtime.logs.control import LogLevelControl
from kongtx.runtime.logs.errorlog import FORMATTERS, ErrorLog
from kongtx.runtime.logs.files import LogFiles, Owner
from kongtx.runtime.logs.redact import Redactor

if TYPE_CHECKING:
    from kongtx.proxy.interfaces import ILogSink

log = Logger()


def _level(value: Level | str) -> Level:
    return parse_level(value) if isinstance(value, str) else value


@frozen
class LogSettings:
    """What of the configuration is about logs; paths may be relative to the prefix, or C{off}."""

    prefix: str
    level: Level = field(default=Level.NOTICE, converter=_level)
    log_format: str = "text"
    error_log: str | None = "logs/error.log"
    admin_error_log: str | None = None
    status_error_log: str | None = None
    access_log_format: str | None = None
    secrets: tuple[str, ...] = field(default=(), repr=False)


class Logs(Service):
    """Opens the logs, writes what is logged to them and closes them.

    @ivar control: the level.
    @ivar redactor: what is known to be secret.
    @param takes_over: whether this process logs nowhere else; what was logged before is written
        too, and Python warnings are logged. Otherwise the logs are added to what is there.
    @param owner: whom the files belong to, when workers run as another user than this process.
    """

    def __init__(
        self,
        settings: LogSettings,
        clock: IReactorTime,
        takes_over: bool = False,
        owner: Owner | None = None,
    ) -> None:
        self.settings = settings
        self.redactor = Redactor(settings.secrets)
        self.control = LogLevelControl(clock, settings.level)
        self.files = LogFiles(settings.prefix, clock, self.redactor, owner)
        self._takes_over = takes_over
        self._observer: ErrorLog | None = None

    def startService(self) -> None:
        """Start to write.

        @raise LogFileError: a log cannot be opened.
        """
        Service.startService(self)
        default = self.files.get(self.settings.error_log)
        by_namespace = {}
        for package, value in (
            ("kongtx.admin", self.settings.admin_error_log),
            ("kongtx.status", self.settings.status_error_log),
        ):
            if value is not None:
                by_namespace[package] = self.files.get(value)
        self._observer = ErrorLog(
            self.control, FORMATTERS[self.settings.log_format], default, by_namespace
        )
        if self._takes_over:
            globalLogBeginner.beginLoggingTo([self._observer], redirectStandardIO=False)
        else:
            globalLogPublisher.addObserver(self._observer)

    def stopService(self) -> None:
        """Write what waits and close."""
        Service.stopService(self)
        self.control.close()
        if self._observer is not None:
            globalLogPublisher.removeObserver(self._observer)
            self._observer = None
        self.files.close()

    def access_log(self, value: str | None) -> ILogSink:
        """The access log of a listener.

        @param value: as configured: a path, perhaps with the name of a format, or C{off}.
        @raise LogFileError: it cannot be opened.
        @raise kongtx.runtime.errors.LogFormatError: the format names an unknown variable.
        """
        # A master has no access log and starts the faster without this.
        from kongtx.runtime.logs.access import (  # noqa: PLC0415
            AccessLog,
            NoAccessLog,
            renderer_for,
            split_access_log,
        )

        if value is None:
            return NoAccessLog()
        path, name = split_access_log(value)
        render = renderer_for(name, self.settings.access_log_format, self.settings.log_format)
        file = self.files.get(path)
        return NoAccessLog() if file is None else AccessLog(file, render)

    def reopen(self) -> None:
        """Go on in the files that have the paths now: after a rotation."""
        for error in self.files.reopen():
            log.error("{error}", error=str(error))
        log.info("the logs have been reopened")
