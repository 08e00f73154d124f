"""What can go wrong while a node starts, runs and stops."""

from __future__ import annotations

from kongtx.errors import KongtxError


class RuntimeSetupError(KongtxError):
    """The node cannot start like this."""


class LogFileError(RuntimeSetupError):
    """A log cannot be opened."""


class LogFormatError(RuntimeSetupError):
    """The format of the access log names something that is not there."""


class PrefixError(RuntimeSetupError):
    """The prefix directory cannot be used."""


class AlreadyRunningError(PrefixError):
    """A node runs in the prefix.

    @ivar pid: its master, 0 when not known.
    """

    def __init__(self, prefix: str, pid: int) -> None:
        super().__init__(f"kongtx is already running in {prefix}")
        self.pid = pid


class ListenError(RuntimeSetupError):
    """An address cannot be listened on."""


class UserError(RuntimeSetupError):
    """The user or group to run as is not known, or cannot be taken."""


class WorkerError(RuntimeSetupError):
    """A worker could not be started, or did not become ready."""


class TimerError(KongtxError):
    """A timer cannot be made like this."""


class DatabaseAwayError(RuntimeSetupError):
    """The database did not answer for as long as a start waits for it.

    @ivar reason: what it, or the system, said.
    """

    def __init__(self, seconds: float, reason: str) -> None:
        within = f" within {seconds:g} seconds (db_start_timeout)" if seconds else ""
        super().__init__(f"the database did not answer{within}: {reason}")
        self.reason = reason
