"""Runs a node's services in this process: what a worker and a single process have in common."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any, cast

from twisted.application.service import Service
from twisted.internet import defer
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.logger import Logger
from twisted.python.reflect import namedAny

from kongtx.conf import Configuration
from kongtx.events.interfaces import IEventBus, ILeases
from kongtx.lib.loglevel import notice, parse_level
from kongtx.runtime.errors import WorkerError
from kongtx.runtime.interfaces import INode, NodeBuilder, NodeContext
from kongtx.runtime.listeners import Listener
from kongtx.runtime.logs import Logs
from kongtx.runtime.timers import Timers

#: The channel of the runtime's own events. C{log_level} with C{{"level", "timeout_s"}} changes the
#: level of every worker; with L{DRAINING} all report that the node is to be sent no more traffic;
#: C{worker_lost} comes to one worker after another has died.
RUNTIME_CHANNEL = "runtime"
DRAINING = "draining"

log = Logger()


def find_builder(name: str) -> NodeBuilder:
    """The function of a dotted name.

    @raise WorkerError: there is none.
    """
    try:
        found = namedAny(name)
    except Exception as error:
        raise WorkerError(f"cannot import {name}: {error}") from error
    if not callable(found):
        raise WorkerError(f"{name} cannot be called")
    return cast(NodeBuilder, found)


async def settled(result: object) -> Any:
    """The value of what may be a Deferred or a coroutine."""
    if inspect.iscoroutine(result):
        return await ensureDeferred(result)
    if isinstance(result, Deferred):
        return await result
    return result


def change_log_level(bus: IEventBus, level: str, timeout_s: float = 0) -> Deferred[None]:
    """Change the log level of the whole node: of its master and of every worker.

    @param level: as in C{notice}.
    @param timeout_s: seconds until the configured level comes back; 0 for never.
    @raise ValueError: there is no such level.
    """
    data = {"level": parse_level(level).label, "timeout_s": timeout_s}
    return bus.publish(RUNTIME_CHANNEL, "log_level", data)


def set_level(logs: Logs, data: Any) -> None:
    """Change the log level as an event on L{RUNTIME_CHANNEL} says."""
    logs.control.set(parse_level(data["level"]), data.get("timeout_s", 0))


class NodeHost:
    """One node, from its making to its end.

    @param bus: also provides L{kongtx.events.interfaces.IMasterLink}.
    """

    def __init__(
        self,
        conf: Configuration,
        clock: Any,
        *,
        bus: Any,
        leases: ILeases,
        logs: Logs,
        listeners: Sequence[Listener],
        worker_id: int,
        worker_count: int,
        generation: int,
    ) -> None:
        self._conf = conf
        self._clock = clock
        self._leases = leases
        self._node: INode | None = None
        self.timers = Timers(
            clock, IEventBus(bus), leases, worker_id=worker_id, worker_count=worker_count
        )
        self._logs = logs
        self._end = bus.subscribe(RUNTIME_CHANNEL, "log_level", self._set_level)
        self._context = NodeContext(
            conf=conf,
            listeners=listeners,
            bus=bus,
            leases=leases,
            worker_id=worker_id,
            worker_count=worker_count,
            generation=generation,
            clock=clock,
            logs=logs,
            timers=self.timers,
        )

    def _set_level(self, data: Any, channel: str, event: str, worker_id: int) -> None:
        set_level(self._logs, data)

    async def start(self, build: NodeBuilder) -> None:
        """Make the node and start it; back when it takes connections."""
        Service.startService(self.timers)
        node: Any = INode(await settled(build(self._context)))
        self._node = node
        await settled(node.startService())

    async def drain(self, timeout_s: float | None) -> None:
        """Let what has begun finish, then stop.

        @param timeout_s: seconds after which it is cut off; L{None} waits as long as it takes.
        """
        node = self._node
        # What one worker of the node does, another should take over now, not when this one ends.
        self._leases.close()
        if node is not None:
            draining = ensureDeferred(settled(node.drain()))
            if timeout_s is not None:
                draining.addTimeout(timeout_s, self._clock)
            try:
                await draining
            except defer.TimeoutError:
                notice(log, "requests that went on for {time} s are cut off", time=timeout_s)
        await self.stop()

    async def stop(self) -> None:
        """Stop now."""
        node: Any = self._node
        self._node = None
        self._end()
        self._leases.close()
        await self.timers.stopService()
        if node is not None:
            await settled(node.stopService())
