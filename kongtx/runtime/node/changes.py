"""The way of a change: from the worker that wrote it to all workers of all nodes."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from kongtx.cache.multilevel import MultiLevelCache
from kongtx.cluster.events import NoClusterEvents
from kongtx.cluster.interfaces import IClusterEvents
from kongtx.db.store import ChangeEvent, Store
from kongtx.events.interfaces import IEventBus
from kongtx.lib import ids
from kongtx.runtime.host import RUNTIME_CHANNEL
from kongtx.runtime.node.invalidation import ENTITIES_CHANNEL, Effects
from kongtx.runtime.node.snapshot import SnapshotKeeper

#: The channel on which workers tell each other what they wrote to the store.
STORE_CHANNEL = "store"
#: The channel on which nodes tell each other which keys plugins dropped. Kong: the same.
INVALIDATIONS_CHANNEL = "invalidations"
#: From so many stale keys on the whole cache is dropped instead.
MANY_KEYS = 5000


class Changes:
    """Brings what is written here, at other workers and at other nodes into caches and snapshot.

    Other nodes are told by the database, with the write itself; see
    L{kongtx.runtime.node.invalidation.announcer}.
    """

    _log = Logger()

    def __init__(
        self,
        store: Store,
        cache: MultiLevelCache,
        keeper: SnapshotKeeper,
        bus: IEventBus,
        events: IClusterEvents,
    ) -> None:
        self._store = store
        self._cache = cache
        self._keeper = keeper
        self._bus = bus
        self._events = events
        self._token = ids.uuid4()
        self._endings: list[Callable[[], None]] = [
            store.subscribe(self._written_here),
            store.when_in_doubt(events.doubt),
            bus.subscribe(STORE_CHANNEL, None, self._written_elsewhere),
            bus.subscribe("bus", "reconnected", self._bus_reconnected),
            bus.subscribe(RUNTIME_CHANNEL, "worker_lost", self._worker_lost),
            bus.subscribe("cluster", "invalidate", self._invalidated_here),
            events.subscribe(ENTITIES_CHANNEL, self._written_at_another_node, "node"),
            events.subscribe(INVALIDATIONS_CHANNEL, self._invalidated_at_another_node, "node"),
        ]

    def stop(self) -> None:
        """Bring nothing any more."""
        for end in self._endings:
            end()
        self._endings = []

    async def replaced(self) -> None:
        """Take over a configuration that was loaded here as a whole."""
        self._publish("replaced", [])
        await self._cache.purge()
        await self._keeper.reload()

    async def resync(self) -> None:
        """Bring the whole node up to date with the database, whatever it missed.

        The database may have just come back, and not for every worker yet.
        """
        await self._cache.expire()
        await self._publish("replaced", [], for_all=True)

    # What was written

    async def _written_here(self, events: Sequence[ChangeEvent]) -> None:
        """Make a write known; over when this worker serves by it."""
        effects = Effects.of(events, self._store.registry)
        await self._drop(effects.keys)
        self._publish("changed", effects.changed)
        await self._keeper.changed(effects.changed)

    async def _written_at_another_node(self, text: str) -> None:
        """In one worker: the second level of the cache is the node's, the rest goes by the bus."""
        effects = Effects.parse(text)
        await self._drop(effects.keys)
        await self._publish("changed", effects.changed, for_all=True)

    def _written_elsewhere(self, data: Any, _channel: str, event: str, _worker: int) -> None:
        token, changes = data
        if token == self._token:
            return
        if event == "replaced":
            self._keeper.reload()
        else:
            self._keeper.changed((schema, key) for schema, key in changes)

    async def _drop(self, keys: Sequence[str]) -> None:
        if len(keys) > MANY_KEYS:
            await self._cache.purge()
            return
        for key in keys:
            await self._cache.delete(key)

    def _publish(
        self, event: str, changes: Sequence[Sequence[str]], for_all: bool = False
    ) -> Deferred[None]:
        """Tell the workers of the node.

        @param for_all: this worker, too, hears it by the bus.
        """
        token = "" if for_all else self._token
        published = self._bus.publish(STORE_CHANNEL, event, [token, changes])
        return published.addErrback(
            lambda failure: self._log.failure(
                "the other workers could not be told of a change", failure=failure
            )
        )

    def _bus_reconnected(self, _data: Any, _channel: str, _event: str, _worker: int) -> None:
        """What the others wrote meanwhile was not heard here."""
        self._cache.forget()
        self._keeper.reload()

    def _worker_lost(self, _data: Any, _channel: str, _event: str, _worker: int) -> None:
        """What it wrote last it may not have told; where the database has a log, that tells."""
        if isinstance(self._events, NoClusterEvents):
            Deferred.fromCoroutine(self.resync()).addErrback(
                lambda failure: self._log.failure(
                    "what a lost worker wrote could not be looked for", failure=failure
                )
            )

    # What plugins dropped

    def _invalidated_here(self, data: Any, _channel: str, _event: str, _worker: int) -> None:
        told = self._events.broadcast(INVALIDATIONS_CHANNEL, json.dumps(data))
        told.addErrback(
            lambda failure: self._log.warn(
                "other nodes could not be told to drop a key of the cache: {reason}",
                reason=failure.getErrorMessage(),
            )
        )

    async def _invalidated_at_another_node(self, text: str) -> None:
        data = json.loads(text)
        if data["cache"] == self._cache.name:
            await self._cache.delete(data["key"])
