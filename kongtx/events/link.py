"""What both ends of a connection of the bus have in common: payloads in pieces, and calls."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from attrs import frozen
from twisted.internet.defer import Deferred, ensureDeferred, maybeDeferred
from twisted.logger import Logger
from twisted.protocols import amp
from twisted.python.failure import Failure

from kongtx.events.chunks import MAX_PAYLOAD, Assembler, check_name, decode, encode, split
from kongtx.events.commands import Call, Piece
from kongtx.events.errors import CallError, EventsError

#: The worker_id of events and calls that the master sends.
MASTER = -1
#: The channel of each process's own news about its bus; never sent to others.
BUS_CHANNEL = "bus"

#: The call by which a worker asks all workers.
GATHER = "bus.gather"

log = Logger()


@frozen
class Peer:
    """Who is at the other end.

    @ivar worker_id: its number, L{MASTER} for the master.
    @ivar instance: unlike the number, never used again by another process.
    """

    worker_id: int
    pid: int
    instance: str


#: Answers a call: data of the question and who asks; data, a Deferred or a coroutine of it.
Handler = Callable[[Any, Peer], object]


def answer(handlers: Mapping[str, Handler], name: str, data: Any, peer: Peer) -> Deferred[Any]:
    """Let the handler of a call answer it.

    @return: a Deferred of the answer's data; it fails with L{CallError} and nothing else.
    """
    handler = handlers.get(name)
    if handler is None:
        return _refused(f"nobody answers {name}")

    def run() -> object:
        result = handler(data, peer)
        return ensureDeferred(result) if inspect.iscoroutine(result) else result

    def refuse(failure: Failure) -> Failure:
        if not failure.check(EventsError):
            log.failure("the handler of call {name} failed", failure=failure, name=name)
        return Failure(CallError(f"{name}: {failure.getErrorMessage()}"))

    return maybeDeferred(run).addErrback(refuse)


def _refused(message: str) -> Deferred[Any]:
    refused: Deferred[Any] = Deferred()
    refused.errback(CallError(message))
    return refused


class Link(amp.AMP):
    """One end of a connection.

    @param handlers: who answers the calls that come in.
    @param numbers: where message numbers come from; ends that share bytes share it too.
    @param limit: the most bytes of unfinished payloads to keep.
    """

    noisy = False

    def __init__(
        self, handlers: Mapping[str, Handler], numbers: Iterator[int], limit: int = MAX_PAYLOAD
    ) -> None:
        amp.AMP.__init__(self)
        self._handlers = handlers
        self._numbers = numbers
        self.assembler = Assembler(limit)
        self.limit = limit
        self.peer: Peer | None = None

    def say(self, command: type[amp.Command], **arguments: Any) -> Deferred[dict[str, Any]]:
        """Send a command; a Deferred of the answer, if the command asks for one."""
        answered: Deferred[dict[str, Any]] = amp.AMP.callRemote(self, command, **arguments)
        return answered

    def send_ahead(self, payload: bytes) -> dict[str, Any]:
        """Send all of a payload but its tail.

        @return: the arguments C{message} and C{tail} of the box that ends it.
        """
        pieces, tail = split(payload)
        message = next(self._numbers) if pieces else 0
        for piece in pieces:
            self.say(Piece, message=message, piece=piece)
        return {"message": message, "tail": tail}

    def ask(self, name: str, data: Any = None) -> Deferred[Any]:
        """Call the other end.

        @return: a Deferred of the answer's data; fails with L{CallError}, or with the reason
            why the connection ended.
        """
        payload = encode(data, self.limit)
        asked = self.say(Call, name=check_name("call's name", name), **self.send_ahead(payload))
        return asked.addCallback(
            lambda box: decode(self.assembler.finish(box["message"], box["tail"]))
        )

    @Piece.responder
    def piece_came(self, message: int, piece: bytes) -> dict[str, Any]:
        """Keep a piece until its message ends."""
        self.assembler.add(message, piece)
        return {}

    @Call.responder
    def call_came(self, name: str, message: int, tail: bytes) -> Deferred[dict[str, Any]]:
        """Answer the other end's question."""
        data = decode(self.assembler.finish(message, tail))
        if self.peer is None:
            return _refused("say hello first")
        answered = answer(self._handlers, name, data, self.peer)
        return answered.addCallback(lambda result: self.send_ahead(encode(result, self.limit)))
