"""The main process: takes the prefix and the sockets, runs an engine, obeys signals.

L{run} is for the command line; L{MainService} is the same as a Twisted service.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, ensureDeferred, succeed
from twisted.internet.error import ReactorNotRunning
from twisted.logger import Logger
from twisted.python.failure import Failure

from kongtx.conf import Configuration, effective
from kongtx.errors import KongtxError
from kongtx.lib.loglevel import notice
from kongtx.runtime import heap, prefix
from kongtx.runtime.certificates import make_default_certificates
from kongtx.runtime.listeners import KINDS, ListenerSet, wanted
from kongtx.runtime.logs import Logs
from kongtx.runtime.logs.files import log_path
from kongtx.runtime.logs.fromconf import log_settings
from kongtx.runtime.privileges import become, find_user, forbid_core_dumps, limit_files
from kongtx.runtime.processes import notify
from kongtx.runtime.processes.daemon import StartReport, redirect_output, to_background
from kongtx.runtime.processes.engine import IEngine
from kongtx.runtime.processes.launch import DEFAULT_NODE
from kongtx.runtime.processes.pidfile import PidFile
from kongtx.runtime.processes.single import SingleProcess
from kongtx.runtime.processes.workers import Workers
from kongtx.runtime.reactors import install_reactor

log = Logger()


class MainService(Service):
    """A whole node as a service.

    @param reread: gives the configuration for a reload; by default the effective configuration in
        the prefix, which C{kongtx reload} writes.
    @param node: dotted name of what workers run.
    @param reactor_name: of the reactor that workers install.
    @param kinds: which listeners to open, of L{kongtx.runtime.listeners.KINDS}.
    @param handles_signals: whether to obey SIGHUP, SIGQUIT, SIGUSR1, SIGTERM and SIGINT.
    @param owns_logging: see L{Logs}.
    @ivar is_in_background: whether the standard streams are of no use.
    @ivar failure: why the node could not start, or L{None}.
    """

    def __init__(
        self,
        conf: Configuration,
        reactor: Any = None,
        *,
        reread: Callable[[], Configuration] | None = None,
        node: str = DEFAULT_NODE,
        reactor_name: str = "kongtx",
        kinds: Sequence[str] = KINDS,
        handles_signals: bool = True,
        owns_logging: bool = False,
    ) -> None:
        self.conf = conf
        self._reactor = reactor
        self._reread = reread or self._effective
        self._node = node
        self._reactor_name = reactor_name
        self._kinds = kinds
        self._handles_signals = handles_signals
        self._owns_logging = owns_logging
        self._pid_file = PidFile(conf.pid_file, conf.prefix)
        self._listeners = ListenerSet()
        self._user = find_user(conf.nginx_user, os.geteuid() == 0)
        self._is_open = False
        self._is_ending = False
        self._reloading: Deferred[None] | None = None
        self._reload_again = False
        self._logs: Logs | None = None
        self._engine: Any = None
        self.is_in_background = False
        self.progress: Callable[[str], object] = lambda text: None
        self.failure: Failure | None = None

    def _effective(self) -> Configuration:
        return effective.read(self.conf.prefix, strict=True)

    def open(self) -> None:
        """Take the prefix and the sockets: what can fail at once, before anything runs.

        @raise kongtx.runtime.errors.RuntimeSetupError: with what is wrong; nothing is left taken.
        @raise kongtx.conf.ConfigurationError: the configuration asks for what is not there.
        """
        self.conf.require_supported()
        prefix.make_directories(self.conf, self._user)
        self._pid_file.acquire()
        try:
            prefix.prepare(self.conf, self._user)
            self._listeners = ListenerSet().changed(
                wanted(self.conf, self._kinds), self.conf.worker_count
            )
            if self.conf.worker_count == 0 and self._user is not None:
                # It will be read again by this process, which will no longer be root.
                os.chown(self.conf.environment_file, self._user.uid, self._user.gid)
        except KongtxError:
            self._pid_file.release()
            raise
        self._is_open = True

    def privilegedStartService(self) -> None:
        """Open what only root may open."""
        if not self._is_open:
            self.open()

    def startService(self) -> Deferred[None]:
        """Start to serve.

        @return: a Deferred that fires when requests are served; fails with the reason why not,
            after everything has been stopped again.
        """
        if self._reactor is None:
            from twisted.internet import reactor  # noqa: PLC0415 - not before it is needed

            self._reactor = reactor
        Service.startService(self)
        if not self._is_open:
            self.open()
        self._pid_file.write()
        if self._handles_signals:
            self._reactor.callWhenRunning(self._obey_signals)
        return ensureDeferred(self._start()).addErrback(self._cannot_start)

    async def _start(self) -> None:
        if self.conf.core_dumps == "off":
            forbid_core_dumps()
        limit_files(self.conf.nginx_main_worker_rlimit_nofile)
        self._logs = self._start_logs(self.conf)
        self._redirect_output()
        for warning in self.conf.warnings:
            log.warn("{warning}", warning=warning)
        self._engine = IEngine(self._make_engine(self._logs))
        if self.conf.worker_count == 0 and self._user is not None:
            become(self._user)
        await self._engine.start(self.conf, self._listeners)
        notice(log, "kongtx has started in {prefix}", prefix=self.conf.prefix)
        notify.ready()

    def _start_logs(self, conf: Configuration) -> Logs:
        takes_over, self._owns_logging = self._owns_logging, False
        logs = Logs(log_settings(conf), self._reactor, takes_over, owner=self._user)
        logs.startService()
        return logs

    def _make_engine(self, logs: Logs) -> Any:
        if self.conf.worker_count == 0:
            return SingleProcess(
                self._reactor,
                node=self._node,
                logs=logs,
                reload=self.reload,
                progress=self.progress,
            )
        return Workers(
            self._reactor,
            self.conf,
            node=self._node,
            reactor_name=self._reactor_name,
            user=self._user,
            logs=lambda: self._logs or logs,
            reload=self.reload,
            progress=self.progress,
        )

    def _cannot_start(self, failure: Failure) -> Deferred[None]:
        self.failure = failure
        if failure.check(KongtxError):
            log.critical("kongtx cannot start: {reason}", reason=failure.getErrorMessage())
        else:
            log.failure("kongtx cannot start", failure=failure)
        return self.stopService().addCallback(lambda _: failure)

    def stopService(self) -> Deferred[None]:
        """Stop now, and leave nothing behind."""
        if not self.running:
            return succeed(None)
        Service.stopService(self)
        if not self._is_ending:
            self._is_ending = True
            notify.stopping()
        stopped = self._engine.stop() if self._engine is not None else succeed(None)
        stopped.addErrback(lambda failure: log.failure("could not stop cleanly", failure=failure))
        return stopped.addCallback(lambda _: self._let_go())

    def _let_go(self) -> None:
        self._listeners.close()
        prefix.remove_shared_memory(self.conf)
        notice(log, "kongtx has stopped in {prefix}", prefix=self.conf.prefix)
        if self._logs is not None:
            self._logs.stopService()
        self._pid_file.release()

    def leave_to_child(self) -> None:
        """Forget everything in the process that went on after a fork."""
        self._pid_file.close()
        for each in self._listeners.bound:
            each.close()

    def _redirect_output(self) -> None:
        """In the background, what a worker writes to its standard error, such as the trace of a
        crash in C, goes to the error log."""
        if self.is_in_background:
            redirect_output(log_path(self.conf.prefix, self.conf.proxy_error_log))

    # Signals.

    def _obey_signals(self) -> None:
        for number, act in (
            (signal.SIGHUP, self.reload),
            (signal.SIGQUIT, self.quit),
            (signal.SIGUSR1, self.reopen_logs),
            (signal.SIGTERM, self.end),
            (signal.SIGINT, self.end),
        ):
            self._on_signal(number, act)

    def _on_signal(self, number: signal.Signals, act: Callable[[], object]) -> None:
        def received(*_: object) -> None:
            self._reactor.callFromThread(notice, log, "signal {name}", name=number.name)
            self._reactor.callFromThread(act)

        signal.signal(number, received)

    def end(self) -> None:
        """Stop the process now; if the reactor is still to run, as soon as it does."""
        self._reactor.callWhenRunning(self._stop_reactor)

    def _stop_reactor(self) -> None:
        try:
            self._reactor.stop()
        except ReactorNotRunning:
            log.debug("the reactor was told twice to stop")

    def quit(self) -> Deferred[None]:
        """Let the requests in flight finish, then stop the process."""
        if self._is_ending:
            return succeed(None)
        self._is_ending = True
        notify.stopping()
        drained = self._engine.drain() if self._engine is not None else succeed(None)
        drained.addErrback(lambda failure: log.failure("could not drain", failure=failure))
        return drained.addCallback(lambda _: self.end())

    def reopen_logs(self) -> None:
        """Go on in the files that have the logs' paths now, here and in the workers."""
        if self._logs is not None:
            self._logs.reopen()
        self._redirect_output()
        if self._engine is not None:
            self._engine.reopen()

    def reload(self) -> Deferred[None]:
        """Serve with the configuration as it is now. When that cannot be, nothing changes.

        @return: a Deferred that fires when it is done, well or not.
        """
        if self._is_ending or self._engine is None:
            return succeed(None)
        if self._reloading is not None:
            # What is being started may not have seen the last change.
            self._reload_again = True
            return succeed(None)
        notify.reloading()
        self._reloading = ensureDeferred(self._reload())
        self._reloading.addErrback(self._cannot_reload)
        return self._reloading.addCallback(lambda _: self._reloaded())

    async def _reload(self) -> None:
        old = self.conf
        conf = self._reread()
        conf.require_supported()
        if conf.prefix != old.prefix or (conf.worker_count == 0) != (old.worker_count == 0):
            raise KongtxError("the prefix, and whether there are workers, change with a restart")
        listeners = self._listeners.changed(wanted(conf, self._kinds), conf.worker_count)
        try:
            effective.write(conf)
            make_default_certificates(conf, self._user)
            self._learn_secrets(conf)
            await self._engine.reload(conf, listeners)
        except BaseException:
            effective.write(old)
            listeners.close(keep=self._listeners)
            raise
        self._listeners.close(keep=listeners)
        self._listeners, self.conf = listeners, conf
        self._renew_logs(conf)

    def _learn_secrets(self, conf: Configuration) -> None:
        """Keep them out of the logs there are, which a single process goes on with."""
        if self._logs is not None:
            self._logs.redactor.add(*log_settings(conf).secrets)

    def _renew_logs(self, conf: Configuration) -> None:
        if self._logs is None or self._logs.settings == log_settings(conf):
            return
        if isinstance(self._engine, SingleProcess):
            # The node that was just started writes to the logs there are.
            self._logs.control.set(log_settings(conf).level)
            return
        old, self._logs = self._logs, self._start_logs(conf)
        old.stopService()

    def _cannot_reload(self, failure: Failure) -> None:
        log.error(
            "the configuration was not reloaded, the one before stays in force: {reason}",
            reason=failure.getErrorMessage(),
        )
        if not failure.check(KongtxError):
            log.failure("reload failed", failure=failure)

    def _reloaded(self) -> None:
        self._reloading = None
        notify.ready()
        if self._reload_again:
            self._reload_again = False
            self.reload()


def run(
    conf: Configuration,
    foreground: bool | None = None,
    *,
    reread: Callable[[], Configuration] | None = None,
    node: str = DEFAULT_NODE,
    reactor_name: str = "kongtx",
    kinds: Sequence[str] = KINDS,
) -> None:
    """Run a node: in the foreground until it ends, else return when it serves.

    @param foreground: L{None} for what the configuration says (C{nginx_daemon}).
    @raise KongtxError: it could not start.
    """
    if foreground is None:
        foreground = not conf.is_daemon
    service = MainService(
        conf,
        reread=reread,
        node=node,
        reactor_name=reactor_name,
        kinds=kinds,
        owns_logging=True,
    )
    service.open()
    if foreground:
        _serve(service, StartReport(), reactor_name)
        return
    report = to_background()
    if report is None:
        service.leave_to_child()
        return
    service.is_in_background = True
    try:
        _serve(service, report, reactor_name)
    except BaseException as error:
        report.failed(str(error))
        os._exit(1)
    os._exit(0)


def _serve(service: MainService, report: StartReport, reactor_name: str) -> None:
    # Workers carry the traffic; the master needs the native reactor only when it is alone.
    install_reactor(reactor_name if service.conf.worker_count == 0 else "epoll")
    from twisted.internet import reactor as _reactor  # noqa: PLC0415 - installed a line above

    reactor: Any = _reactor

    heap.hold_off()
    service.progress = report.progress

    def started() -> None:
        report.ready()
        heap.resume()

    def begin() -> None:
        starting = service.startService()
        starting.addCallbacks(lambda _: started(), lambda _: service.end())

    reactor.callWhenRunning(begin)
    reactor.addSystemEventTrigger("before", "shutdown", service.stopService)
    reactor.run()
    sys.stdout.flush()
    if service.failure is not None:
        service.failure.raiseException()
