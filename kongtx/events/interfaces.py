"""The contract of the event bus between the workers of a node."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from zope.interface import Interface


class IEventBus(Interface):
    """Channels of named events; data is anything JSON can hold.

    Events of one sender arrive in the order in which they were published.
    """

    def publish(
        channel: str, event: str, data: Any = None, unique: str | None = None
    ) -> Deferred[None]:
        """Tell every worker of the node, this one included.

        @param unique: a key; of the events published with the same key within a short time only
            the first is delivered, and to one worker alone.
        @return: a Deferred that fires when the broker has taken the event.
        """

    def publish_local(channel: str, event: str, data: Any = None) -> None:
        """Tell this worker's subscribers alone; they have run when this returns."""

    def subscribe(
        channel: str,
        event: str | None,
        callback: Callable[[Any, str, str, int], object],
        weak: bool = False,
    ) -> Callable[[], None]:
        """Call C{callback(data, channel, event, worker_id)} for matching events.

        @param event: a name, or L{None} for every event of the channel.
        @param weak: keep no reference that would keep the callback's object alive.
        @return: a function that ends the subscription.
        """


class IMasterLink(Interface):
    """Questions between a worker and its master."""

    def call(name: str, data: Any = None) -> Deferred[Any]:
        """Ask the master.

        @param data: anything JSON can hold.
        @return: a Deferred of the answer's data; fails with L{kongtx.events.errors.CallError}.
        """

    def gather(name: str, data: Any = None) -> Deferred[list[dict[str, Any]]]:
        """Ask every worker of the node, this one included, through the master.

        @return: a Deferred of C{[{"worker_id": int, "pid": int, "answer": data}, ...]} in the order
            of the workers; without those that have no answer, or none within two seconds. During a
            reload workers of both generations answer.
        """

    def serve(name: str, handler: Callable[..., object]) -> None:
        """Answer questions: C{handler(data, peer)} returns data, a Deferred or a coroutine."""


class ILeases(Interface):
    """Names that one worker of the node holds at a time."""

    def hold(name: str, tell: Callable[[bool], object]) -> Callable[[], None]:
        """Ask to be the one worker that holds a name, until the returned function is called.

        @param tell: called with L{True} when the name is this worker's, with L{False} when it no
            longer is. A name whose holder stops or dies is offered to the others.
        @return: a function that gives the name back, or stops asking for it.
        """

    def close() -> None:
        """Give every name back, and hold none any more."""
