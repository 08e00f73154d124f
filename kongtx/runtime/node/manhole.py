"""A Python prompt in a running worker, for looking at what is going on; off by default.

It speaks a terminal's bytes over a UNIX socket that only the node's own user and root may connect
to: whoever can, can do whatever the worker can. C{kongtx manhole} is a client.
"""

from __future__ import annotations

import os
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from twisted.application.service import Service
from twisted.conch.insults.insults import ServerProtocol
from twisted.conch.manhole import Manhole as Prompt
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.interfaces import IListeningPort
from twisted.internet.protocol import Factory
from twisted.logger import Logger

from kongtx.lib.loglevel import notice
from kongtx.runtime.prefix import manhole_socket

if TYPE_CHECKING:
    from kongtx.runtime.node.composition import GatewayNode

_BANNER = (
    "kongtx worker {worker}, process {pid}. Names: node, conf, gateway, snapshot(), store, cache, "
    "plugins, balancers, reactor.\r\nwait(coroutine) shows what it gives. Ctrl-D leaves.\r\n"
)

log = Logger()


class _Prompt(Prompt):
    """A prompt that says where it is."""

    def __init__(self, names: dict[str, Any], banner: str) -> None:
        super().__init__(names)  # type: ignore[no-untyped-call]
        self._banner = banner
        self._is_leaving = False

    def initializeScreen(self) -> None:
        """Greet."""
        self.terminal.write(self._banner.encode())
        super().initializeScreen()  # type: ignore[no-untyped-call]

    def handle_EOF(self) -> None:
        """Leave once everything that was asked for is shown; told a second time, at once."""
        if self.lineBuffer or self._is_leaving or not self.interpreter._pendingDeferreds:
            super().handle_EOF()  # type: ignore[no-untyped-call]
        else:
            self._is_leaving = True

    def lineReceived(self, line: bytes) -> None:
        """Run a statement; whoever writes one has changed their mind about leaving."""
        self._is_leaving = False
        super().lineReceived(line)  # type: ignore[no-untyped-call]

    def addOutput(self, data: str, isAsync: bool | None = None) -> None:
        """Show something; what is shown asynchronously is still among what is waited for."""
        super().addOutput(data, isAsync)  # type: ignore[no-untyped-call]
        if isAsync and self._is_leaving and len(self.interpreter._pendingDeferreds) <= 1:
            self.handle_QUIT()  # type: ignore[no-untyped-call]


class _Factory(Factory):
    noisy = False

    def __init__(self, names: dict[str, Any], banner: str) -> None:
        self._names = names
        self._banner = banner

    def buildProtocol(self, addr: Any) -> Any:
        """A terminal with a prompt; names that one sets are its own."""
        return ServerProtocol(_Prompt, dict(self._names), self._banner)


class Manhole(Service):
    """The prompt of one worker, at C{sockets/manhole-WORKER.PID.sock} below the prefix."""

    def __init__(self, node: GatewayNode) -> None:
        self._node = node
        self._port: IListeningPort | None = None
        self.path = manhole_socket(node.conf, node.context.worker_id, os.getpid())

    def startService(self) -> None:
        """Listen."""
        Service.startService(self)
        banner = _BANNER.format(worker=self._node.context.worker_id, pid=os.getpid())
        factory = _Factory(names_of(self._node), banner)
        reactor: Any = self._node.context.clock
        # Nobody may connect between the making of the socket and the change of its mode.
        mask = os.umask(0o177)
        try:
            self._port = reactor.listenUNIX(self.path, factory, mode=0o600)
        finally:
            os.umask(mask)
        notice(log, "there is a Python prompt into this worker at {path}", path=self.path)

    def stopService(self) -> Any:
        """Listen no more; the socket is removed."""
        Service.stopService(self)
        port, self._port = self._port, None
        return None if port is None else port.stopListening()


def names_of(node: GatewayNode) -> dict[str, Any]:
    """What the prompt knows by name."""

    def wait(coroutine: Coroutine[Any, Any, Any]) -> Deferred[Any]:
        return ensureDeferred(coroutine)

    return {
        "node": node,
        "conf": node.conf,
        "gateway": node.gateway,
        "snapshot": lambda: node.keeper.current,
        "store": node.store,
        "cache": node.cache,
        "plugins": node.plugins,
        "balancers": node.balancers,
        "reactor": node.context.clock,
        "wait": wait,
    }
