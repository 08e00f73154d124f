"""A worker process, started by a master and by nobody else.

Its command is C{python -m kongtx.runtime.processes.worker}.

See L{kongtx.runtime.processes.launch} for what its descriptors are.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.error import ReactorNotRunning
from twisted.internet.interfaces import IReadDescriptor
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from kongtx.conf import Configuration, effective
from kongtx.errors import KongtxError
from kongtx.events.bus import EventBus
from kongtx.events.leases import BusLeases
from kongtx.lib.loglevel import notice
from kongtx.runtime import heap
from kongtx.runtime.host import RUNTIME_CHANNEL, NodeHost, find_builder
from kongtx.runtime.interfaces import NodeBuilder
from kongtx.runtime.listeners import inherit
from kongtx.runtime.logs import Logs
from kongtx.runtime.logs.fromconf import log_settings
from kongtx.runtime.privileges import become, forbid_core_dumps, limit_files
from kongtx.runtime.processes.launch import REPORT_FD, Launch, read_launch
from kongtx.runtime.reactors import install_reactor

#: Seconds that a worker whose master is gone gives to its requests, when no limit is configured.
ORPHAN_DRAIN = 30.0
#: Seconds in which the master must answer.
MASTER_TIMEOUT = 10.0

# Run as a program, this module is called __main__.
log = Logger("kongtx.runtime.processes.worker")


@implementer(IReadDescriptor)
class MasterPipe:
    """Notices the end of the master's pipe.

    @param gone: called when the master is gone, and when the reactor stops.
    """

    def __init__(self, reactor: Any, fd: int, gone: Callable[[], object]) -> None:
        self._reactor = reactor
        self._fd = fd
        self._gone = gone

    def fileno(self) -> int:
        """The pipe."""
        return self._fd

    def doRead(self) -> None:
        """The pipe has something, which can only be its end."""
        if not os.read(self._fd, 4096):
            self._reactor.removeReader(self)
            self._gone()

    def connectionLost(self, reason: Failure) -> None:
        """The pipe's end, as reactors on epoll notice it; or the reactor stops."""
        self._gone()

    def logPrefix(self) -> str:
        """For the reactor's logs."""
        return "master"


class Worker:
    """Connects to the master, runs the node, and ends it as the master wishes.

    @ivar exit_code: what the process should end with.
    """

    def __init__(self, reactor: Any, launch: Launch, conf: Configuration) -> None:
        self._reactor = reactor
        self._launch = launch
        self._conf = conf
        self._is_ending = False
        self.exit_code = 0
        self.logs = Logs(log_settings(conf), reactor, takes_over=True)
        self.bus = EventBus(reactor, launch.events_path, launch.worker_id)
        self._listeners = inherit(launch.listeners)
        self._host = NodeHost(
            conf,
            reactor,
            bus=self.bus,
            leases=BusLeases(self.bus),
            logs=self.logs,
            listeners=self._listeners,
            worker_id=launch.worker_id,
            worker_count=launch.worker_count,
            generation=launch.generation,
        )

    def run(self, build: NodeBuilder) -> None:
        """Run until the end."""
        self.logs.startService()
        self._reactor.callWhenRunning(self._begin, build)
        self._reactor.addSystemEventTrigger("before", "shutdown", self._shut_down)
        self._reactor.addSystemEventTrigger("after", "shutdown", self.logs.stopService)
        self._reactor.run()

    def _begin(self, build: NodeBuilder) -> None:
        for number, act in (
            (signal.SIGQUIT, self.drain),
            (signal.SIGTERM, self.stop),
            (signal.SIGUSR1, self.logs.reopen),
        ):
            self._on_signal(number, act)
        # The terminal sends Ctrl-C to every process; what to do about it is the master's matter.
        for ignored in (signal.SIGINT, signal.SIGHUP):
            signal.signal(ignored, signal.SIG_IGN)
        self._reactor.addReader(MasterPipe(self._reactor, 0, self._orphaned))
        ensureDeferred(self._start(build)).addErrback(self._cannot_start)

    def _on_signal(self, number: int, act: Callable[[], None]) -> None:
        signal.signal(number, lambda *_: self._reactor.callFromThread(act))

    async def _start(self, build: NodeBuilder) -> None:
        self.bus.startService()
        await self.bus.when_connected().addTimeout(MASTER_TIMEOUT, self._reactor)
        await self._host.start(build)
        for event, data in await self.bus.call("runtime.ready"):
            self.bus.publish_local(RUNTIME_CHANNEL, event, data)
        os.close(REPORT_FD)
        heap.resume()
        notice(log, "worker {worker} is ready", worker=self._launch.worker_id)

    def _cannot_start(self, failure: Failure) -> None:
        if self._is_ending:
            return
        log.failure("the worker cannot start", failure=failure)
        report(failure.value)
        self.exit_code = 1
        self.stop()

    def drain(self) -> None:
        """Accept no more, let the requests in flight finish, end."""
        self._drain(self._conf.nginx_main_worker_shutdown_timeout_seconds)

    def _drain(self, timeout_s: float | None) -> None:
        if self._is_ending:
            return
        self._is_ending = True
        notice(log, "worker {worker} finishes its requests", worker=self._launch.worker_id)
        draining = ensureDeferred(self._host.drain(timeout_s))
        draining.addErrback(lambda failure: log.failure("could not drain", failure=failure))
        draining.addBoth(lambda _: self._stop_reactor())

    def _orphaned(self) -> None:
        if self._is_ending:
            return
        log.error("the master is gone: worker {worker} ends", worker=self._launch.worker_id)
        # Nobody comes after this worker to accept from them, and a new master wants the addresses.
        for listener in self._listeners:
            for each in listener.sockets:
                each.close()
        self._drain(self._conf.nginx_main_worker_shutdown_timeout_seconds or ORPHAN_DRAIN)

    def stop(self) -> None:
        """End now."""
        self._is_ending = True
        self._stop_reactor()

    def _stop_reactor(self) -> None:
        try:
            self._reactor.stop()
        except ReactorNotRunning:
            log.debug("the reactor was told twice to stop")

    def _shut_down(self) -> Deferred[None]:
        ending = ensureDeferred(self._host.stop())
        ending.addErrback(lambda failure: log.failure("could not stop cleanly", failure=failure))
        return ending.addCallback(lambda _: self.bus.stopService())


def report(error: BaseException | None) -> None:
    """Tell the master why this worker cannot start."""
    text = str(error) if isinstance(error, KongtxError) else f"{type(error).__name__}: {error}"
    try:
        os.write(REPORT_FD, text.encode("utf-8", "replace"))
    except OSError:
        sys.stderr.write(f"kongtx worker: {text}\n")


def main() -> int:
    """Run a worker; its exit code."""
    for ignored in (signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
        signal.signal(ignored, signal.SIG_IGN)
    heap.hold_off()
    launch = read_launch(0)
    try:
        install_reactor(launch.reactor)
        from twisted.internet import reactor  # noqa: PLC0415 - installed a line above

        conf = effective.read(launch.prefix, strict=True)
        build = find_builder(launch.node)
        if conf.core_dumps == "off":
            forbid_core_dumps()
        limit_files(conf.nginx_main_worker_rlimit_nofile)
        if launch.user is not None:
            become(launch.user)
        worker = Worker(reactor, launch, conf)
        worker.run(build)
    except Exception as error:
        report(error)
        if not isinstance(error, KongtxError):
            raise
        return 1
    return worker.exit_code


if __name__ == "__main__":
    sys.exit(main())
