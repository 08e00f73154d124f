"""The engine with worker processes, of which this process is the master."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from typing import Any

from twisted.internet.defer import Deferred, DeferredList, ensureDeferred, maybeDeferred
from twisted.logger import Logger
from zope.interface import implementer

from kongtx.conf import Configuration
from kongtx.events.broker import EventBroker
from kongtx.events.link import Peer
from kongtx.lib.loglevel import notice
from kongtx.runtime.host import DRAINING, RUNTIME_CHANNEL, set_level
from kongtx.runtime.listeners import ListenerSet
from kongtx.runtime.logs import Logs
from kongtx.runtime.prefix import events_socket
from kongtx.runtime.privileges import User
from kongtx.runtime.processes.engine import IEngine
from kongtx.runtime.processes.launch import Launch
from kongtx.runtime.processes.spawn import spawner
from kongtx.runtime.processes.supervisor import READY_TIMEOUT, Generation

log = Logger()


@implementer(IEngine)
class Workers:
    """Starts generations of workers and is their event broker.

    @param node: dotted name of what each worker runs.
    @param reactor_name: of the reactor that each worker installs.
    @param user: whom workers become.
    @param logs: gives the logs of this process, whose level is that of the node.
    @param reload: called when a worker asks for it, in development mode.
    @param progress: told what a worker waits for that starts.
    """

    def __init__(
        self,
        reactor: Any,
        conf: Configuration,
        *,
        node: str,
        reactor_name: str,
        user: User | None,
        logs: Callable[[], Logs],
        reload: Callable[[], object] = lambda: None,
        progress: Callable[[str], object] = lambda text: None,
    ) -> None:
        self._reactor = reactor
        self._prefix = conf.prefix
        self._node = node
        self._reactor_name = reactor_name
        self._user = user
        self._logs = logs
        self._number = 0
        self._current: Generation | None = None
        self._leaving: list[Generation] = []
        self._draining: Generation | None = None
        self.broker = EventBroker(reactor, events_socket(conf))
        self.broker.serve("runtime.ready", self._worker_is_ready)
        self.broker.serve("runtime.pids", lambda data, peer: self._pids(peer))
        self.broker.serve("runtime.reload", lambda data, peer: self._asked_to(reload))
        self.broker.serve("runtime.waiting", lambda data, peer: progress(data))
        self.broker.subscribe(
            RUNTIME_CHANNEL, "log_level", lambda data, *_: set_level(self._logs(), data)
        )
        self.broker.subscribe(RUNTIME_CHANNEL, DRAINING, self._is_drained)

    def _is_drained(self, _data: Any, _channel: str, _event: str, _worker: int) -> None:
        # Those of the next generation begin anew, as after a reload of Kong.
        self._draining = self._current

    def _worker_is_ready(self, data: Any, peer: Peer) -> list[tuple[str, Any]]:
        generation = next(
            (each for each in self._generations() if each.worker_is_ready(peer.pid)), None
        )
        if generation is None:
            log.warn("a process that is no worker says it is ready: {pid}", pid=peer.pid)
        return list(self._missed(generation))

    def _missed(self, generation: Generation | None) -> Iterator[tuple[str, Any]]:
        """The runtime's events, with their data, that a worker started again has not heard."""
        control = self._logs().control
        if control.level is not control.configured:
            yield "log_level", {"level": control.level.label, "timeout_s": control.remaining_s()}
        if generation is not None and generation is self._draining:
            yield DRAINING, None

    def _asked_to(self, reload: Callable[[], object]) -> None:
        """A worker asks to be replaced: it gets its answer first."""
        self._reactor.callLater(0, reload)

    def _pids(self, peer: Peer) -> dict[str, Any]:
        """The processes of the generation of a worker that asks, as it does while it starts."""
        mine = (each.pids() for each in self._generations())
        workers = next((pids for pids in mine if peer.pid in pids), self.pids())
        return {"master": os.getpid(), "workers": workers}

    def _generations(self) -> list[Generation]:
        current = [] if self._current is None else [self._current]
        return [*current, *self._leaving]

    def pids(self) -> list[int]:
        """See L{IEngine.pids}."""
        return [] if self._current is None else self._current.pids()

    def start(self, conf: Configuration, listeners: ListenerSet) -> Deferred[None]:
        """See L{IEngine.start}."""
        self.broker.startService()
        if self._user is not None:
            os.chown(self.broker.path, self._user.uid, self._user.gid)
        return self.reload(conf, listeners)

    def reload(self, conf: Configuration, listeners: ListenerSet) -> Deferred[None]:
        """See L{IEngine.reload}."""
        return ensureDeferred(self._replace(conf, listeners))

    async def _replace(self, conf: Configuration, listeners: ListenerSet) -> None:
        new = self._generation(conf.worker_count, listeners)
        # It is asked who is ready before it takes the place of the old one.
        self._leaving.append(new)
        try:
            await new.start(READY_TIMEOUT + conf.db_start_timeout)
        except BaseException:
            self._leave(new, new.terminate)
            raise
        self._leaving.remove(new)
        old, self._current = self._current, new
        notice(
            log,
            "generation {number} serves with {count} workers: {pids}",
            number=new.number,
            count=conf.worker_count,
            pids=new.pids(),
        )
        if old is not None:
            self._leaving.append(old)
            self._leave(old, old.drain)

    def _leave(self, generation: Generation, end: Callable[[], Deferred[None]]) -> None:
        gone = maybeDeferred(end)
        gone.addCallback(lambda _: self._leaving.remove(generation))
        gone.addErrback(lambda failure: log.failure("could not stop workers", failure=failure))

    def _generation(self, worker_count: int, listeners: ListenerSet) -> Generation:
        self._number = number = self._number + 1

        def launch(worker_id: int) -> Launch:
            return Launch(
                worker_id=worker_id,
                worker_count=worker_count,
                generation=number,
                prefix=self._prefix,
                events_path=self.broker.path,
                node=self._node,
                reactor=self._reactor_name,
                user=self._user,
            )

        spawn = spawner(self._reactor, launch, listeners.bound, worker_count)
        return Generation(self._reactor, spawn, number, worker_count, self._worker_lost)

    def _worker_lost(self, pid: int | None) -> None:
        """It may have written something that it could not tell the others: let one of them see."""
        self.broker.publish(RUNTIME_CHANNEL, "worker_lost", unique=f"worker_lost:{pid}")

    def drain(self) -> Deferred[None]:
        """See L{IEngine.drain}."""
        return self._all([generation.drain() for generation in self._generations()])

    def stop(self) -> Deferred[None]:
        """See L{IEngine.stop}."""
        stopped = self._all([generation.terminate() for generation in self._generations()])
        return stopped.addBoth(lambda _: self.broker.stopService())

    @staticmethod
    def _all(waited: list[Deferred[None]]) -> Deferred[None]:
        return DeferredList(waited).addCallback(lambda _: None)

    def reopen(self) -> None:
        """See L{IEngine.reopen}."""
        for generation in self._generations():
            generation.signal(signal.SIGUSR1)
