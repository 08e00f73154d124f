"""A Twisted reactor on uvloop whose stream transports are uvloop's own.

Install it before anything imports C{twisted.internet.reactor}::

    from kongtx.net import reactor
    reactor.install()

or by name: C{twistd --reactor=kongtx}.
"""

from __future__ import annotations

import asyncio
import math
import signal
import socket
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from attrs import frozen
from twisted.internet import error, process
from twisted.internet._signals import SignalHandling, _MultiSignalHandling
from twisted.internet.asyncioreactor import AsyncioSelectorReactor
from twisted.internet.base import DelayedCall, ReactorBase
from twisted.internet.main import installReactor
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from kongtx.net.connections import ServerConnection
from kongtx.net.connectors import TCPConnector, UNIXConnector, take_over
from kongtx.net.descriptors import UNIXServerConnection
from kongtx.net.interfaces import INativeReactor
from kongtx.net.ports import TCPPort, UNIXPort
from kongtx.net.transports import StreamConnection

if TYPE_CHECKING:
    from types import FrameType

_log = Logger()

NATIVE = (StreamConnection, TCPPort, UNIXPort)


@frozen
class _ChildSignal:
    """Reaps child processes; uvloop's own wake-up descriptor carries the signal to the loop."""

    _loop: Any

    def install(self) -> None:
        signal.signal(signal.SIGCHLD, self._handle)
        signal.siginterrupt(signal.SIGCHLD, False)
        process.reapAllProcesses()

    def uninstall(self) -> None:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self._loop.call_soon_threadsafe(process.reapAllProcesses)


@implementer(INativeReactor)
class KongtxReactor(AsyncioSelectorReactor):
    """The reactor.

    @ivar loop: the uvloop event loop it runs on.
    @ivar connections: the open native connections.
    @ivar ports: the listening native ports.
    """

    _timerHandle: Any

    def __init__(self, eventloop: asyncio.AbstractEventLoop | None = None) -> None:
        """Make a reactor.

        @param eventloop: a uvloop loop; a new one, made current, by default.
        """
        if eventloop is None:
            import uvloop  # noqa: PLC0415 - optional: install() falls back without it

            eventloop = uvloop.new_event_loop()
            asyncio.set_event_loop(eventloop)
        self.loop: Any = eventloop
        self.connections: set[StreamConnection] = set()
        self.ports: set[Any] = set()
        self._wakeup_at = math.inf
        self.loop.set_exception_handler(self._unhandled)
        super().__init__(eventloop)

    def _unhandled(self, loop: Any, context: dict[str, Any]) -> None:
        exception = context.get("exception")
        if exception is None:
            _log.error("{message}", message=context["message"])
        else:
            _log.failure("{message}", Failure(exception), message=context["message"])

    # Waking up, threads, signals.

    def installWaker(self) -> None:
        """Do nothing: the loop has its own way to be woken."""

    def wakeUp(self) -> None:
        """Let the loop turn once more; may be called from any thread."""
        self.loop.call_soon_threadsafe(self._turn)

    callFromThread = ReactorBase.callFromThread  # type: ignore[assignment]

    def _signalsFactory(self) -> SignalHandling:
        return _MultiSignalHandling((ReactorBase._signalsFactory(self), _ChildSignal(self.loop)))

    # IReactorTime.

    def callLater(
        self,
        delay: float,
        callable: Callable[..., Any],  # noqa: A002 - the interface's name
        *args: object,
        **kw: object,
    ) -> DelayedCall:
        """See L{twisted.internet.interfaces.IReactorTime.callLater}."""
        assert delay >= 0, f"{delay} is not greater than or equal to 0 seconds"
        when = self.seconds() + delay
        call = DelayedCall(
            when,
            callable,
            args,
            kw,
            self._cancelCallLater,
            self._moveCallLaterSooner,
            seconds=self.seconds,
        )
        self._newTimedCalls.append(call)
        if when < self._wakeup_at:
            self._wake_at(when)
        return call

    def _wake_at(self, when: float) -> None:
        if self._timerHandle is not None:
            self._timerHandle.cancel()
        self._wakeup_at = when
        delay = when - self.seconds()
        # uvloop counts in milliseconds and rounds: never wake too early and turn for nothing.
        if delay > 0:
            delay = min(math.ceil(delay * 1000) / 1000, 2147483)
        self._timerHandle = self.loop.call_later(delay, self._onTimer)

    def _onTimer(self) -> None:
        self._timerHandle = None
        self._wakeup_at = math.inf
        self._turn()

    def run_due(self) -> None:
        """Make the calls that are due already; only where nothing else is on the stack."""
        if self._wakeup_at <= self.seconds():
            self._timerHandle.cancel()
            self._onTimer()

    def _turn(self) -> None:
        """Make the calls that are due, from threads and timed."""
        try:
            self.runUntilCurrent()
        finally:
            self._reschedule()

    def _reschedule(self) -> None:
        self._insertNewDelayedCalls()
        if self._pendingTimedCalls:
            when = self._pendingTimedCalls[0].time
            if when < self._wakeup_at:
                self._wake_at(when)

    # IReactorTCP, IReactorUNIX; IReactorSSL is made of these by the base class.

    def listenTCP(self, port: Any, factory: Any, backlog: int = 50, interface: str = "") -> Any:
        """See L{twisted.internet.interfaces.IReactorTCP.listenTCP}."""
        listening = TCPPort(port, factory, backlog, interface, self)
        listening.startListening()
        return listening

    def connectTCP(
        self, host: str, port: Any, factory: Any, timeout: float = 30, bindAddress: Any = None
    ) -> Any:
        """See L{twisted.internet.interfaces.IReactorTCP.connectTCP}."""
        connector = TCPConnector(host, port, factory, timeout, bindAddress, self)
        connector.connect()
        return connector

    def listenUNIX(
        self, address: Any, factory: Any, backlog: int = 50, mode: int = 0o666, wantPID: int = 0
    ) -> Any:
        """See L{twisted.internet.interfaces.IReactorUNIX.listenUNIX}."""
        listening = UNIXPort(address, factory, backlog, mode, self, wantPID)
        listening.startListening()  # type: ignore[no-untyped-call]
        return listening

    def connectUNIX(
        self, address: Any, factory: Any, timeout: float = 30, checkPID: int = 0
    ) -> Any:
        """See L{twisted.internet.interfaces.IReactorUNIX.connectUNIX}."""
        connector = UNIXConnector(address, factory, timeout, self, checkPID)  # type: ignore[no-untyped-call]
        connector.connect()
        return connector

    # IReactorSocket.

    def adoptStreamPort(self, fileDescriptor: int, addressFamily: int, factory: Any) -> Any:
        """See L{twisted.internet.interfaces.IReactorSocket.adoptStreamPort}."""
        port = self.adopted_port(fileDescriptor, addressFamily, factory)
        port.startListening()
        return port

    def adopted_port(self, descriptor: int, family: int, factory: Any) -> Any:
        """See L{kongtx.net.interfaces.INativeReactor.adopted_port}."""
        if family not in self._supportedAddressFamilies:
            raise error.UnsupportedAddressFamily(family)
        adopt: Any
        if family == socket.AF_UNIX:
            adopt = partial(UNIXPort._fromListeningDescriptor, self, descriptor)
        else:
            adopt = partial(TCPPort._fromListeningDescriptor, self, descriptor, family)
        return adopt(factory)

    def adoptStreamConnection(self, fileDescriptor: int, addressFamily: int, factory: Any) -> None:
        """See L{twisted.internet.interfaces.IReactorSocket.adoptStreamConnection}."""
        if addressFamily not in self._supportedAddressFamilies:
            raise error.UnsupportedAddressFamily(addressFamily)
        skt = socket.fromfd(fileDescriptor, addressFamily, socket.SOCK_STREAM)
        accepted = UNIXServerConnection if addressFamily == socket.AF_UNIX else ServerConnection
        take_over(self.loop, accepted(self, factory, None), skt)

    # IReactorFDSet: native ports and connections count as descriptors that are read.

    def addReader(self, reader: Any) -> None:
        """See L{twisted.internet.interfaces.IReactorFDSet.addReader}."""
        if isinstance(reader, NATIVE):
            reader.startReading()
        else:
            super().addReader(reader)  # type: ignore[no-untyped-call]

    def removeReader(self, reader: Any) -> None:
        """See L{twisted.internet.interfaces.IReactorFDSet.removeReader}."""
        if isinstance(reader, NATIVE):
            reader.stopReading()
        else:
            super().removeReader(reader)  # type: ignore[no-untyped-call]

    def getReaders(self) -> list[Any]:
        """See L{twisted.internet.interfaces.IReactorFDSet.getReaders}."""
        reading = [connection for connection in self.connections if connection.reading]
        return [*super().getReaders(), *self.ports, *reading]  # type: ignore[no-untyped-call]

    def removeAll(self) -> list[Any]:
        """See L{twisted.internet.interfaces.IReactorFDSet.removeAll}."""
        reading = [connection for connection in self.connections if connection.reading]
        ports = list(self.ports)
        for each in [*ports, *reading]:
            each.stopReading()
        return [*super().removeAll(), *ports, *reading]  # type: ignore[no-untyped-call]

    def disconnectAll(self) -> None:
        """End everything, connections that are paused too."""
        super().disconnectAll()
        for connection in list(self.connections):
            connection.connectionLost(Failure(error.ConnectionLost()))


def install(eventloop: asyncio.AbstractEventLoop | None = None) -> None:
    """Make a L{KongtxReactor} the global reactor; without uvloop, Twisted's epoll reactor.

    @param eventloop: a uvloop loop to run on; a new one by default.
    """
    try:
        import uvloop  # noqa: F401, PLC0415
    except ImportError as missing:
        from twisted.internet import epollreactor  # noqa: PLC0415

        epollreactor.install()
        _log.warn(
            "uvloop cannot be imported ({reason}): the epoll reactor serves in its place",
            reason=missing,
        )
        return
    installReactor(KongtxReactor(eventloop))
