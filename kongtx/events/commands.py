"""What workers and the broker say to each other over AMP.

Pieces of a payload go ahead of the box that ends it; both carry the same message number
(L{kongtx.events.chunks}). 0 means that the payload fits into that box.
"""

from __future__ import annotations

from typing import ClassVar

from twisted.protocols import amp

from kongtx.events.errors import CallError

_PAYLOAD = [(b"message", amp.Integer()), (b"tail", amp.String())]


class Hello(amp.Command):
    """A worker's first word.

    The answer: the last of its events that the broker has taken, and the most bytes in a payload.
    """

    arguments: ClassVar = [
        (b"worker_id", amp.Integer()),
        (b"pid", amp.Integer()),
        (b"instance", amp.String()),
    ]
    response: ClassVar = [(b"taken", amp.Integer()), (b"limit", amp.Integer())]


class Piece(amp.Command):
    """A part of a payload whose end is still to come."""

    requiresAnswer = False
    arguments: ClassVar = [(b"message", amp.Integer()), (b"piece", amp.String())]


class Publish(amp.Command):
    """Worker to broker: an event. The answer says that the broker has taken it."""

    arguments: ClassVar = [
        (b"sequence", amp.Integer()),
        (b"channel", amp.Unicode()),
        (b"event", amp.Unicode()),
        (b"unique", amp.Unicode(optional=True)),
        *_PAYLOAD,
    ]


class Deliver(amp.Command):
    """Broker to every worker: an event."""

    requiresAnswer = False
    arguments: ClassVar = [
        (b"sender", amp.Integer()),
        (b"channel", amp.Unicode()),
        (b"event", amp.Unicode()),
        *_PAYLOAD,
    ]


class Hand(amp.Command):
    """Broker to one worker: a unique event; the answer says that it has been handled."""

    arguments: ClassVar = Deliver.arguments


class Call(amp.Command):
    """Either way: a question by name."""

    arguments: ClassVar = [(b"name", amp.Unicode()), *_PAYLOAD]
    response: ClassVar = _PAYLOAD
    errors: ClassVar = {CallError: b"CALL_FAILED"}
