"""The contract of events between the nodes that share a database."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from twisted.internet.defer import Deferred
from zope.interface import Interface

#: Whether each worker hears of an event, or one worker of the node.
Scope = Literal["worker", "node"]


class IClusterEvents(Interface):
    """Channels on which nodes tell each other what happened. Kong: C{kong.cluster_events}.

    An event reaches every other node that runs; one that is away meanwhile reads it when it is
    back, or, after too long a time, begins anew with all that the database has. A node whose worker
    dies while it acts on an event may act on it again.
    """

    def broadcast(channel: str, data: str, delay: float = 0.0) -> Deferred[None]:
        """Tell the other nodes.

        @param delay: seconds before which they are not to act on it.
        @return: a Deferred that fires when the database has the event; fails with
            L{kongtx.db.errors.DatabaseError}.
        """

    def subscribe(
        channel: str, callback: Callable[[str], object], scope: Scope = "worker"
    ) -> Callable[[], None]:
        """Hear what other nodes tell on a channel; never what this node tells.

        @param callback: called with the data. Its failure is logged.
        @param scope: C{worker} calls it in every worker of the node that has subscribed, C{node} in
            one of those that have.
        @return: a function that ends the subscription.
        """

    def doubt() -> None:
        """A write of this worker was not answered: for a while, what its writes tell is heard here.

        Else other nodes would have it, should it have been done, and this one not.
        """
