"""What the runtime asks of what it runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from attrs import frozen
from twisted.application.service import IService
from twisted.internet.defer import Deferred

from kongtx.events.interfaces import IEventBus, ILeases

if TYPE_CHECKING:
    from kongtx.conf import Configuration
    from kongtx.runtime.listeners import Listener
    from kongtx.runtime.logs import Logs
    from kongtx.runtime.timers import Timers


class INode(IService):
    """The services of one worker: everything that serves requests.

    C{startService} may return a Deferred: the worker is ready, and takes connections, when it has
    fired; its failure ends the worker.
    """

    def drain() -> Deferred[None]:
        """Accept no more connections; let the requests in flight finish.

        Connections whose first request is still to come are served, idle ones are closed.

        @return: a Deferred (or a coroutine) that fires when the last connection is gone.
        """


@frozen(eq=False)
class NodeContext:
    """What a worker gives to the node that it runs.

    @ivar listeners: the listening sockets of this worker; L{Listener.adopt} starts to accept.
    @ivar bus: the event bus; also provides L{kongtx.events.interfaces.IMasterLink}.
    @ivar leases: what one worker of the node does at a time.
    @ivar worker_id: 0 to C{worker_count - 1}; the same again after a respawn and a reload.
    @ivar worker_count: how many workers the node has.
    @ivar generation: counts the reloads, from 1; the same again after a respawn.
    @ivar clock: the reactor.
    @ivar logs: access logs (L{Logs.access_log}) and the log level (C{logs.control}).
    @ivar timers: jobs by name; stopped by the worker.
    """

    conf: Configuration
    listeners: Sequence[Listener]
    bus: IEventBus
    leases: ILeases
    worker_id: int
    worker_count: int
    generation: int
    clock: Any
    logs: Logs
    timers: Timers


#: What the dotted name of a node stands for; it may be a coroutine function.
NodeBuilder = Callable[[NodeContext], object]
