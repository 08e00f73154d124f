"""What runs under the main service: worker processes, or everything in one process."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from zope.interface import Interface

from kongtx.conf import Configuration
from kongtx.runtime.listeners import ListenerSet


class IEngine(Interface):
    """Serves requests with a configuration, and passes over to another one."""

    def start(conf: Configuration, listeners: ListenerSet) -> Deferred[None]:
        """Start; fires when requests are served."""

    def reload(conf: Configuration, listeners: ListenerSet) -> Deferred[None]:
        """Serve with another configuration: first start what is new, then let the old finish.

        @return: a Deferred that fires when the new serves; when it fails, the old still does.
        """

    def drain() -> Deferred[None]:
        """Let what has begun finish; fires when all is done."""

    def stop() -> Deferred[None]:
        """Stop now."""

    def reopen() -> None:
        """The logs have been rotated."""

    def pids() -> list[int]:
        """The processes that serve."""
