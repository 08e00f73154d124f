"""One question over UDP or TCP, to the name servers in turn: the only sockets of this package."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from random import Random, SystemRandom
from typing import Any

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IDelayedCall, IReadDescriptor
from twisted.internet.protocol import ClientFactory, Protocol, connectionDone
from twisted.logger import Logger
from twisted.protocols.basic import Int16StringReceiver
from twisted.python.failure import Failure
from zope.interface import implementer

from kongtx.dns.errors import ServersUnreachable
from kongtx.dns.interfaces import IExchanger
from kongtx.dns.message import BadMessage, Response, decode_response, encode_query
from kongtx.dns.records import ip_version
from kongtx.errors import KongtxError

_FORMAT_ERROR = 1
_ASK_ANOTHER = frozenset((2, 4, 5))  # server failure, not implemented, refused


class NoReply(KongtxError):
    """One transmission brought no usable answer."""


@attrs.frozen(slots=True)
class Question:
    """What is put to a server, and how its answer is recognised."""

    ident: int
    name: str
    rtype: int
    edns: bool = True

    def encode(self) -> bytes:
        """The query's bytes."""
        return encode_query(self.ident, self.name, self.rtype, self.edns)

    def decode(self, data: bytes) -> Response:
        """The response in C{data}; L{BadMessage} if it is none to this question."""
        return decode_response(data, self.ident, self.name, self.rtype)


@implementer(IReadDescriptor)
class _Datagram:
    """One transmission: its own socket, so that each query leaves from a port of its own.

    A plain socket, as Twisted's UDP ports write two lines into the log for each.
    """

    def __init__(self, reactor: Any, server: tuple[str, int], question: Question) -> None:
        self._reactor = reactor
        self._server = server
        self._question = question
        self._timer: IDelayedCall | None = None
        self._socket: socket.socket | None = None
        self.done: Deferred[Response] = Deferred(lambda _: self._close())

    def send(self, timeout: float) -> Deferred[Response]:
        self._timer = self._reactor.callLater(
            timeout, self._finish, NoReply(f"timeout after {timeout:g} s")
        )
        family = socket.AF_INET6 if ip_version(self._server[0]) == 6 else socket.AF_INET
        try:
            self._socket = socket.socket(family, socket.SOCK_DGRAM)
            self._socket.setblocking(False)
            # Connected, the kernel drops datagrams of others and reports a closed port at once.
            self._socket.connect(self._server)
            self._socket.send(self._question.encode())
        except OSError as problem:
            self._finish(NoReply(str(problem)))
        else:
            self._reactor.addReader(self)
        return self.done

    def fileno(self) -> int:
        """See L{IReadDescriptor}."""
        return -1 if self._socket is None else self._socket.fileno()

    def logPrefix(self) -> str:
        """See L{IReadDescriptor}."""
        return "DNS"

    def doRead(self) -> None:
        """See L{IReadDescriptor}."""
        assert self._socket is not None
        try:
            datagram = self._socket.recv(65535)
        except (BlockingIOError, InterruptedError):
            return
        except ConnectionRefusedError:
            self._finish(NoReply("connection refused"))
            return
        except OSError as problem:
            self._finish(NoReply(str(problem)))
            return
        try:
            response = self._question.decode(datagram)
        except BadMessage:
            return  # the true answer may still come: a forger must not be able to spoil it
        self._finish(response)

    def connectionLost(self, reason: Failure) -> None:
        """See L{IReadDescriptor}.

        The epoll reactor drops a socket with a pending error; here that is the ICMP message of a
        closed port.
        """
        self._finish(NoReply("connection refused"))

    def _finish(self, outcome: Response | NoReply) -> None:
        self._close()
        if self.done.called:
            return
        if isinstance(outcome, NoReply):
            self.done.errback(outcome)
        else:
            self.done.callback(outcome)

    def _close(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        if self._socket is not None:
            self._reactor.removeReader(self)
            self._socket.close()
            self._socket = None


class _Stream(Int16StringReceiver):
    """The same over TCP (RFC 7766), for what a datagram cannot hold."""

    MAX_LENGTH = 65535
    factory: _StreamFactory

    def connectionMade(self) -> None:
        self.sendString(self.factory.question.encode())  # type: ignore[no-untyped-call]

    def stringReceived(self, string: bytes) -> None:
        try:
            self.factory.finish(self.factory.question.decode(string))
        except BadMessage as problem:
            self.factory.finish(NoReply(str(problem)))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.factory.finish(NoReply("connection closed before the answer"))


class _StreamFactory(ClientFactory):
    noisy = False

    def __init__(self, question: Question) -> None:
        self.question = question
        self.connector: Any = None
        self.done: Deferred[Response] = Deferred(lambda _: self.connector.disconnect())

    def buildProtocol(self, addr: IAddress | None) -> Protocol:
        protocol = _Stream()
        protocol.factory = self
        return protocol

    def clientConnectionFailed(self, connector: Any, reason: Failure) -> None:
        self.finish(NoReply(reason.getErrorMessage()))

    def finish(self, outcome: Response | NoReply) -> None:
        if self.done.called:
            return
        if isinstance(outcome, NoReply):
            self.done.errback(outcome)
        else:
            self.done.callback(outcome)
        self.connector.disconnect()


@implementer(IExchanger)
class Exchanger:
    """Asks the name servers in turn until one answers.

    @param reactor: provides C{IReactorTime}, C{IReactorFDSet} and C{IReactorTCP}.
    @param servers: C{(address, port)} pairs.
    @param timeout: seconds for one transmission.
    @param attempts: transmissions altogether; at least one for each server.
    @param rotate: begin with the next server each time, instead of always with the first.
    @param use_tcp: never use UDP.
    @param random: makes the ids; L{SystemRandom} where unset, as they must not be guessed.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        servers: Sequence[tuple[str, int]],
        *,
        timeout: float = 2,
        attempts: int = 5,
        rotate: bool = False,
        use_tcp: bool = False,
        random: Random | None = None,
    ) -> None:
        self._reactor = reactor
        self._servers = tuple(servers)
        self._timeout = timeout
        self._attempts = max(attempts, len(self._servers)) if self._servers else 0
        self._rotate = rotate
        self._use_tcp = use_tcp
        self._random = random or SystemRandom()
        self._turn = 0

    def ask(self, name: str, rtype: int) -> Deferred[Response]:
        """See L{IExchanger}."""
        return Deferred.fromCoroutine(self._ask(name, rtype))

    async def _ask(self, name: str, rtype: int) -> Response:
        count = len(self._servers)
        start = self._turn
        if self._rotate:
            self._turn += 1
        problems: list[str] = []
        unhelpful: Response | None = None
        for attempt in range(self._attempts):
            if unhelpful is not None and attempt >= count:
                break
            server = self._servers[(start + attempt) % count]
            try:
                response = await self._ask_server(server, name, rtype)
            except NoReply as problem:
                problems.append(f"{_show(server)}: {problem}")
                continue
            if response.code not in _ASK_ANOTHER:
                return response
            unhelpful = response
        if unhelpful is not None:
            return unhelpful
        tried = "; ".join(dict.fromkeys(problems)) or "there is no name server to ask"
        self._log.debug("no name server answered for {name}: {tried}", name=name, tried=tried)
        raise ServersUnreachable(f"dns server error: no answer for {name}: {tried}")

    async def _ask_server(self, server: tuple[str, int], name: str, rtype: int) -> Response:
        question = Question(self._random.randrange(65536), name, rtype)
        response = await self._transmit(server, question)
        if response.code == _FORMAT_ERROR:
            # A server from before EDNS; RFC 6891 §7 asks again without it.
            question = Question(self._random.randrange(65536), name, rtype, edns=False)
            response = await self._transmit(server, question)
        return response

    async def _transmit(self, server: tuple[str, int], question: Question) -> Response:
        if not self._use_tcp:
            response = await _Datagram(self._reactor, server, question).send(self._timeout)
            if not response.truncated:
                return response
        factory = _StreamFactory(question)
        factory.connector = self._reactor.connectTCP(*server, factory, timeout=self._timeout)
        timer = self._reactor.callLater(
            self._timeout, factory.finish, NoReply(f"timeout after {self._timeout:g} s over TCP")
        )
        try:
            return await factory.done
        finally:
            if timer.active():
                timer.cancel()


def _show(server: tuple[str, int]) -> str:
    address, port = server
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
