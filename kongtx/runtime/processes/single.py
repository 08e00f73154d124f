"""The engine without worker processes: everything in this one."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, ensureDeferred
from twisted.logger import Logger
from zope.interface import implementer

from kongtx.conf import Configuration
from kongtx.events.local import LocalEventBus, LocalLeases
from kongtx.lib.loglevel import notice
from kongtx.runtime.dev import forget
from kongtx.runtime.host import NodeHost, find_builder
from kongtx.runtime.listeners import Listener, ListenerSet
from kongtx.runtime.logs import Logs
from kongtx.runtime.processes.engine import IEngine

log = Logger()


class _Run:
    """The node of one configuration, with its bus."""

    def __init__(self, host: NodeHost, bus: LocalEventBus, timeout_s: float | None) -> None:
        self.host = host
        self._bus = bus
        self._timeout_s = timeout_s

    async def drain(self) -> None:
        await self.host.drain(self._timeout_s)
        self._bus.close()

    async def stop(self) -> None:
        await self.host.stop()
        self._bus.close()


@implementer(IEngine)
class SingleProcess:
    """Runs the node's services here.

    @param node: dotted name of what to run.
    @param logs: those of the process.
    @param reload: called when code has changed, in development mode.
    @param progress: told what the node waits for while it starts.
    """

    def __init__(
        self,
        reactor: Any,
        *,
        node: str,
        logs: Logs,
        reload: Callable[[], object] = lambda: None,
        progress: Callable[[str], object] = lambda text: None,
    ) -> None:
        self._reactor = reactor
        self._node = node
        self._logs = logs
        self._reload = reload
        self._progress = progress
        self._current: _Run | None = None
        self._leaving: list[_Run] = []
        self._generation = 0

    def pids(self) -> list[int]:
        """See L{IEngine.pids}."""
        return [os.getpid()]

    def start(self, conf: Configuration, listeners: ListenerSet) -> Deferred[None]:
        """See L{IEngine.start}."""
        return self.reload(conf, listeners)

    def reload(self, conf: Configuration, listeners: ListenerSet) -> Deferred[None]:
        """See L{IEngine.reload}."""
        return ensureDeferred(self._replace(conf, listeners))

    async def _replace(self, conf: Configuration, listeners: ListenerSet) -> None:
        new = self._make(conf, listeners)
        try:
            await new.host.start(find_builder(self._node))
        except BaseException:
            await new.stop()
            raise
        old, self._current = self._current, new
        notice(log, "serving in one process, {pid}", pid=os.getpid())
        if old is not None:
            self._leaving.append(old)
            leaving = ensureDeferred(old.drain())
            leaving.addErrback(lambda failure: log.failure("could not drain", failure=failure))
            leaving.addCallback(lambda _: self._leaving.remove(old))

    def _make(self, conf: Configuration, listeners: ListenerSet) -> _Run:
        self._generation += 1
        bus = LocalEventBus(self._reactor, pid=os.getpid())
        bus.serve("runtime.pids", lambda data, peer: self._pids())
        bus.serve("runtime.waiting", lambda data, peer: self._progress(data))
        bus.serve("runtime.reload", lambda data, peer: self._code_changed(data))
        host = NodeHost(
            conf,
            self._reactor,
            bus=bus,
            leases=LocalLeases(),
            logs=self._logs,
            listeners=[Listener(each.kind, each.listen, each.sockets) for each in listeners.bound],
            worker_id=0,
            worker_count=1,
            generation=self._generation,
        )
        return _Run(host, bus, conf.nginx_main_worker_shutdown_timeout_seconds)

    def _code_changed(self, packages: list[str]) -> None:
        """Plugins' code is imported anew; kongtx's own stays as it is in this process."""
        forget(packages)
        self._reactor.callLater(0, self._reload)

    @staticmethod
    def _pids() -> dict[str, Any]:
        return {"master": os.getpid(), "workers": [os.getpid()]}

    def _runs(self) -> list[_Run]:
        current = [] if self._current is None else [self._current]
        return [*current, *self._leaving]

    def drain(self) -> Deferred[None]:
        """See L{IEngine.drain}."""
        return ensureDeferred(self._end("drain"))

    def stop(self) -> Deferred[None]:
        """See L{IEngine.stop}."""
        return ensureDeferred(self._end("stop"))

    async def _end(self, how: str) -> None:
        for run in self._runs():
            await getattr(run, how)()
        self._current = None
        self._leaving.clear()

    def reopen(self) -> None:
        """See L{IEngine.reopen}. The logs are the process's own."""
