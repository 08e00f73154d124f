"""C{twistd kongtx}: the node as a twistd service, the same as the command line starts."""

from __future__ import annotations

import os
from typing import Any, ClassVar

from twisted.internet.defer import Deferred
from twisted.python.usage import Options as _Options
from twisted.python.usage import UsageError

from kongtx.conf import Configuration, ConfigurationError, load
from kongtx.conf.properties import PROPERTIES
from kongtx.errors import KongtxError
from kongtx.runtime.errors import UserError
from kongtx.runtime.privileges import find_user
from kongtx.runtime.processes.master import MainService


class Options(_Options):
    """What can be said on the command line; C{--set} takes every property of the configuration."""

    synopsis = "[options]"
    longdesc = (
        "Run a kongtx gateway. Without --conf the usual places are looked through. twistd stays in "
        "the foreground with -n; choose the reactor of a single process (--workers=0) with "
        "twistd's --reactor=kongtx."
    )
    optParameters: ClassVar = [
        ["conf", "c", None, "The configuration file."],
        ["prefix", "p", None, "The working directory of the node; wins over the file."],
        ["workers", "w", None, "Number of worker processes; 0 for a single process, or 'auto'."],
    ]

    def __init__(self) -> None:
        _Options.__init__(self)
        self._assignments: dict[str, str] = {}

    def opt_set(self, assignment: str) -> None:
        """Set a property: name=value. Wins over the file and the environment; may be repeated."""
        name, equals, value = assignment.partition("=")
        name = name.strip()
        if not equals or not name:
            raise UsageError(f"--set takes name=value, not {assignment!r}")
        if name not in PROPERTIES and "_" not in name:
            raise UsageError(f"--set: there is no property named {name}")
        self._assignments[name] = value.strip()

    def postOptions(self) -> None:
        """Check everything, so that twistd can show what is wrong beside how to use it."""
        try:
            find_user(self.configuration().nginx_user, os.geteuid() == 0)
        except (ConfigurationError, UserError) as error:
            raise UsageError(str(error)) from error

    def configuration(self) -> Configuration:
        """The configuration that the options ask for, as it is now.

        @raise ConfigurationError: with all that is wrong.
        """
        overrides = dict(self._assignments)
        for option, name in (("prefix", "prefix"), ("workers", "nginx_worker_processes")):
            if self[option] is not None:
                overrides[name] = self[option]
        return load(self["conf"], overrides=overrides)


class TwistdService(MainService):
    """A node that ends twistd when it cannot start."""

    def privilegedStartService(self) -> None:
        """See L{MainService.privilegedStartService}."""
        try:
            MainService.privilegedStartService(self)
        except KongtxError as error:
            raise SystemExit(f"kongtx: {error}") from error

    def startService(self) -> Deferred[None]:
        """See L{MainService.startService}."""
        return MainService.startService(self).addErrback(lambda _: self.end())


def makeService(options: Any) -> MainService:
    """The service of a node.

    @param options: a parsed L{Options}.
    """
    # On SIGHUP the file and the environment are read again, under the same options.
    return TwistdService(options.configuration(), reread=options.configuration)
