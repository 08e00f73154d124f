"""Nodes for the runtime's tests: what workers run there."""

import os
import signal

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol
from twisted.logger import Logger
from zope.interface import implementer

from kongtx.lib.loglevel import notice
from kongtx.runtime.errors import WorkerError
from kongtx.runtime.host import change_log_level
from kongtx.runtime.interfaces import INode

log = Logger()

#: Seconds that some paths take.
DELAYS = {"/slow": 0.5, "/endless": 60}


class Echo(Protocol):
    """One request a connection. The answer's body is C{pid worker_id}; C{/slow} takes 0.5 s and
    C{/endless} a minute, both being logged as they come.

    C{/die} kills the worker, C{/publish} tells every worker to remember, C{/remember} answers.
    """

    def __init__(self, node):
        self.node = node
        self.received = b""
        self.answering = None

    def connectionMade(self):
        self.node.open.add(self)

    def dataReceived(self, data):
        self.received += data
        if self.answering is None and b"\r\n\r\n" in self.received:
            path = self.received.split(b" ", 2)[1].decode()
            if path == "/die":
                os.kill(os.getpid(), signal.SIGKILL)
            delay = DELAYS.get(path, 0)
            if delay:
                notice(log, "waiting for {path}", path=path)
            self.answering = self.node.context.clock.callLater(delay, self.answer, path)

    def answer(self, path):
        body = self.node.body(path).encode()
        self.transport.write(
            b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s"
            % (len(body), body)
        )
        self.transport.loseConnection()

    def connectionLost(self, reason):
        if self.answering is not None and self.answering.active():
            self.answering.cancel()
        self.node.gone(self)


class EchoFactory(Factory):
    noisy = False

    def __init__(self, node):
        self.node = node

    def buildProtocol(self, addr):
        return Echo(self.node)


@implementer(INode)
class EchoNode(Service):
    def __init__(self, context):
        self.context = context
        self.open = set()
        self.ports = []
        self.remembered = []
        self.drained = None

    def startService(self):
        Service.startService(self)
        self.context.bus.subscribe("test", None, lambda data, *_: self.remembered.append(data))
        for listener in self.context.listeners:
            self.ports += listener.adopt(self.context.clock, EchoFactory(self))

    def body(self, path):
        if path == "/publish":
            self.context.bus.publish("test", "e", os.getpid())
        if path == "/reactor":
            return type(self.context.clock).__name__
        if path == "/level":
            return self.context.logs.control.level.label
        if path == "/debug":
            change_log_level(self.context.bus, "debug", 60)
        if path == "/pids":
            self.context.bus.call("runtime.pids").addCallback(self.remembered.append)
        if path == "/remember":
            return ",".join(map(str, self.remembered))
        return f"{os.getpid()} {self.context.worker_id}"

    def gone(self, connection):
        self.open.discard(connection)
        if self.drained is not None and not self.open and not self.drained.called:
            self.drained.callback(None)

    def stop_listening(self):
        for port in self.ports:
            port.stopListening()
        self.ports = []

    def drain(self):
        self.stop_listening()
        self.drained = Deferred()
        if not self.open:
            self.drained.callback(None)
        return self.drained

    def stopService(self):
        self.stop_listening()
        for connection in list(self.open):
            connection.transport.abortConnection()
        return Service.stopService(self)


def echo(context):
    """Builds an L{EchoNode}."""
    return EchoNode(context)


class AskingNode(EchoNode):
    """Asks which processes there are while it starts, and remembers the answer."""

    async def startService(self):
        super().startService()
        answer = await self.context.bus.call("runtime.pids")
        self.remembered.append(answer["workers"])


def asks(context):
    """Builds an L{AskingNode}."""
    return AskingNode(context)


async def fails(context):
    """A node that cannot be built."""
    raise WorkerError("error parsing declarative config file kong.yml")


def fails_oddly(context):
    """A node with a mistake."""
    return 1 / 0


def exits(context):
    """A worker that dies before it is ready."""
    os._exit(7)


def fails_by_file(context):
    """A node that cannot be built while there is a file C{broken} in the prefix."""
    if os.path.exists(os.path.join(context.conf.prefix, "broken")):
        raise WorkerError("broken on purpose")
    return EchoNode(context)
