"""Which reactor a process runs on."""

from __future__ import annotations

import sys
from importlib import import_module

from twisted.application.reactors import NoSuchReactor, installReactor
from twisted.logger import Logger

from kongtx.runtime.errors import RuntimeSetupError

log = Logger()


def install_reactor(name: str) -> None:
    """Install a reactor, unless one is there already.

    @param name: C{kongtx} for the native one, which falls back to epoll; or one of Twisted's.
    @raise RuntimeSetupError: there is none of that name.
    """
    if "twisted.internet.reactor" in sys.modules:
        return
    if name != "kongtx":
        try:
            installReactor(name)
        except NoSuchReactor:
            raise RuntimeSetupError(f"there is no reactor named {name}") from None
        return
    try:
        native = import_module("kongtx.net.reactor")
    except ImportError as error:
        log.warn("the native reactor is missing ({reason}); using epoll", reason=str(error))
        installReactor("epoll")
    else:
        native.install()
