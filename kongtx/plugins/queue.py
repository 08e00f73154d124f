"""Batch queues: what log plugins send goes out beside requests, in batches, with retries.

A queue is bounded; when it is full the oldest entries make room, so that a collector that is away
costs memory up to a limit and no request anything (Kong: C{kong/tools/queue.lua}).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Any, Final

import attrs
from twisted.internet.defer import Deferred, DeferredList, ensureDeferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

#: Sends a batch; its failure means that the batch is to be sent again.
Send = Callable[[Sequence[bytes]], Awaitable[None]]

_WARN_AT: Final = 0.8
#: Fields that plugins had before C{queue}: what they are called there, and their old defaults.
_OLD_FIELDS: Final = {
    "queue_size": ("max_batch_size", 1),
    "flush_timeout": ("max_coalescing_delay", 2),
}
_SHORTEST_DELAY: Final = 0.05


@attrs.frozen
class QueueSettings:
    """The C{queue} record of a plugin's configuration; seconds and bytes."""

    max_batch_size: int = 1
    max_coalescing_delay: float = 1
    max_entries: int = 10000
    max_bytes: int | None = None
    max_retry_time: float = 60
    initial_retry_delay: float = 0.01
    max_retry_delay: float = 60
    concurrency_limit: int = 1

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> QueueSettings:
        """Those of a configuration; what is null there stays at its default."""
        names = {field.name for field in attrs.fields(cls)}
        given = {k: v for k, v in config.items() if k in names and v is not None}
        return cls(**given)

    @classmethod
    def of_plugin(cls, config: Mapping[str, Any]) -> QueueSettings:
        """Those of a plugin's whole configuration; old fields that somebody has set win."""
        queue = dict(config["queue"])
        for old, (name, default) in _OLD_FIELDS.items():
            if config.get(old) not in (None, default):
                queue[name] = config[old]
        return cls.of(queue)


class Queue:
    """One queue, from its first entry until it is empty.

    @param send: sends a batch.
    @param owner: the plugin entity that began it, for log lines.
    @param drained: called when nothing is left.
    """

    _log = Logger()

    def __init__(
        self,
        name: str,
        settings: QueueSettings,
        send: Send,
        clock: IReactorTime,
        drained: Callable[[Queue], object] = lambda queue: None,
        owner: Mapping[str, Any] | None = None,
    ) -> None:
        self.name = name
        self._shown = f"queue {name}" if owner is None else f"[{_tag(owner)}] queue {name}"
        self.settings = settings
        self.send = send
        self._clock = clock
        self._drained = drained
        self._entries: deque[bytes] = deque()
        self._bytes = 0
        self._is_working = False
        self._busy = 0
        self._idle: list[Deferred[None]] = []
        self._full: Deferred[None] | None = None
        self._is_closing = False
        self._warned = self._dropping = False

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, entry: bytes) -> None:
        """Take an entry over; never waits."""
        settings = self.settings
        if settings.concurrency_limit == -1:
            self._begin(self._send([entry]))
            return
        if settings.max_bytes is not None and not self._make_room_for(len(entry)):
            return
        if len(self._entries) >= settings.max_entries:
            self._take()
            if not self._dropping:
                self._dropping = True
                self._log.error(
                    "{queue}: queue full, dropping old entries until processing is "
                    "successful again",
                    queue=self._shown,
                )
        self._entries.append(entry)
        self._bytes += len(entry)
        self._watch_capacity()
        if self._full is not None and len(self._entries) >= settings.max_batch_size:
            full, self._full = self._full, None
            full.callback(None)
        if not self._is_working:
            self._is_working = True
            self._begin(self._work())

    def close(self) -> Deferred[Any]:
        """Send what is left without waiting for more.

        @return: a Deferred that fires when all has been sent or given up.
        """
        self._is_closing = True
        if self._full is not None:
            full, self._full = self._full, None
            full.callback(None)
        if not self._busy:
            return succeed(None)
        idle: Deferred[None] = Deferred()
        self._idle.append(idle)
        return idle

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        self._busy += 1
        ensureDeferred(work).addBoth(self._ended)

    def _ended(self, result: Any) -> Any:
        self._busy -= 1
        if not self._busy:
            self._drained(self)
            waiting, self._idle = self._idle, []
            for idle in waiting:
                idle.callback(None)
        return result

    def _take(self) -> bytes:
        entry = self._entries.popleft()
        self._bytes -= len(entry)
        return entry

    def _make_room_for(self, size: int) -> bool:
        most = self.settings.max_bytes
        assert most is not None
        if size > most:
            self._log.error(
                "{queue}: string to be queued is longer ({size} bytes) than the queue's "
                "max_bytes ({most} bytes)",
                queue=self._shown,
                size=size,
                most=most,
            )
            return False
        dropped = 0
        while self._bytes + size > most:
            self._take()
            dropped += 1
        if dropped:
            self._log.error(
                "{queue}: byte capacity exceeded, {count} queue entries were dropped",
                queue=self._shown,
                count=dropped,
            )
        return True

    def _watch_capacity(self) -> None:
        crowded = len(self._entries) >= self.settings.max_entries * _WARN_AT
        if crowded and not self._warned:
            self._log.warn("{queue}: queue at 80% capacity", queue=self._shown)
        self._warned = crowded

    async def _work(self) -> None:
        try:
            while self._entries:
                await self._coalesce()
                count = min(len(self._entries), self.settings.max_batch_size)
                await self._send([self._take() for _ in range(count)])
                if self._dropping and len(self._entries) < self.settings.max_entries:
                    self._dropping = False
                    self._log.info("{queue}: queue resumed processing", queue=self._shown)
        finally:
            self._is_working = False

    async def _coalesce(self) -> None:
        """Wait for a whole batch, but not for long."""
        settings = self.settings
        if self._is_closing or len(self._entries) >= settings.max_batch_size:
            return
        if settings.max_coalescing_delay < _SHORTEST_DELAY:
            return
        full: Deferred[None] = Deferred()
        self._full = full
        late: IDelayedCall = self._clock.callLater(settings.max_coalescing_delay, self._enough)
        await full
        if late.active():
            late.cancel()

    def _enough(self) -> None:
        if self._full is not None:
            full, self._full = self._full, None
            full.callback(None)

    async def _send(self, batch: Sequence[bytes]) -> None:
        settings = self.settings
        started, delay = self._clock.seconds(), settings.initial_retry_delay
        while True:
            try:
                await self.send(batch)
                return
            except Exception as error:
                self._log.warn(
                    "{queue}: handler could not process entries: {error}",
                    queue=self._shown,
                    error=str(error) or type(error).__name__,
                )
            if self._clock.seconds() - started + delay > settings.max_retry_time:
                self._log.error(
                    "{queue}: could not send entries due to max_retry_time exceeded. "
                    "{count} queue entries were lost",
                    queue=self._shown,
                    count=len(batch),
                )
                return
            await deferLater(self._clock, min(settings.max_retry_delay, delay), _nothing)
            delay *= 2


class Queues:
    """The queues of a worker, by name.

    Plugins with the same name for their queue share it. One lives from its first entry until it is
    empty, and has the settings of the first; how it sends is always the newest's.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._queues: dict[str, Queue] = {}

    def add(
        self,
        name: str,
        settings: QueueSettings,
        send: Send,
        entry: bytes,
        owner: Mapping[str, Any] | None = None,
    ) -> None:
        """Put an entry into the queue of a name.

        @param owner: the plugin entity whose configuration is in use.
        """
        queue = self._queues.get(name)
        if queue is None:
            queue = Queue(name, settings, send, self._clock, self._forget, owner)
            self._queues[name] = queue
        queue.send = send
        queue.add(entry)

    def close(self) -> Deferred[Any]:
        """Send what is left; a Deferred that fires when it has been sent or given up."""
        closing = [queue.close() for queue in list(self._queues.values())]
        # Who has waited long enough cancels this; what has not been sent by then is no error.
        return DeferredList(closing, consumeErrors=True)

    def _forget(self, queue: Queue) -> None:
        if self._queues.get(queue.name) is queue and not queue:
            del self._queues[queue.name]


def _tag(row: Mapping[str, Any]) -> str:
    """What tells one configuration of a plugin from others (Kong: the same)."""
    instance = row.get("instance_name")
    return f"{row['name']} plugin {row['id']}" + (f" ({instance})" if instance else "")


def _nothing() -> None:
    """What is done after waiting."""
