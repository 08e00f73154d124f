"""The node and worker that plugins run in: one object a worker, shared by all requests."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from kongtx.cache.interfaces import ICache
from kongtx.cache.shared import SharedMemory
from kongtx.cluster.events import NoClusterEvents
from kongtx.cluster.interfaces import IClusterEvents
from kongtx.events.interfaces import IEventBus, ILeases
from kongtx.lib.ids import is_uuid
from kongtx.lib.memory import resident_bytes, shown_size
from kongtx.pdk.errors import ArgumentError
from kongtx.pdk.telemetry import LogRecords
from kongtx.tls.expiry import CertificateInUse
from kongtx.tls.interfaces import IServerNames

Consumer = Mapping[str, Any]


@attrs.define
class Node:
    """What a worker lends to its plugins.

    @ivar node_id: a UUID, the same in all workers of the node.
    @ivar worker_id: 0 for the first worker of the node.
    @ivar configuration: L{kongtx.conf.Configuration}, or anything with its attributes.
    @ivar cache: the node's cache; C{kong.cache}.
    @ivar store: the configuration store; C{kong.db}.
    @ivar memory: memory that the workers of the node share, for counters.
    @ivar bus: the event bus of the node.
    @ivar clock: schedules what plugins do later.
    @ivar reactor: connects plugins to servers of their own.
    @ivar is_trusted: whether an address is one of C{trusted_ips}.
    @ivar has_upstream: whether the configuration has an upstream of a name.
    @ivar resolve_vault: what a C{{vault://…}} reference stands for.
    @ivar statistics: counts of connections and requests, as C{GET /status} shows them.
    @ivar upstream_health: the name and the targets of each upstream, with their health.
    @ivar cluster_id: the same in all nodes of a database.
    @ivar cluster_events: tells other nodes, and hears them; C{kong.cluster_events}.
    @ivar leases: names that one worker of the node holds at a time; L{None} for a worker alone.
    @ivar server_names: certificates that plugins keep, at proxy listeners; L{None} without any.
    @ivar certificates_in_use: all that the node shows or trusts.
    @ivar telemetry: what plugins gave to C{kong.telemetry.log}, for whoever exports it.
    @ivar shared: for plugins, whatever they keep for the life of the worker, by keys of their own.
    @ivar closing: called when the worker stops; may return Deferreds, which are waited for a while.
    """

    node_id: str
    worker_id: int
    configuration: Any
    cache: ICache
    store: Any
    memory: SharedMemory
    bus: IEventBus
    clock: IReactorTime
    reactor: Any
    is_trusted: Callable[[str], bool]
    has_upstream: Callable[[str], bool]
    resolve_vault: Callable[[str], str]
    statistics: Callable[[], Mapping[str, int]]
    cluster_id: str | None = None
    upstream_health: Callable[[], Iterable[tuple[str, list[dict[str, Any]]]]] = tuple
    cluster_events: IClusterEvents = attrs.Factory(NoClusterEvents)
    leases: ILeases | None = None
    server_names: IServerNames | None = None
    certificates_in_use: Callable[[], Iterable[CertificateInUse]] = tuple
    telemetry: LogRecords = attrs.Factory(LogRecords)
    hostname: str = attrs.Factory(socket.gethostname)
    shared: dict[Any, Any] = attrs.Factory(dict)
    closing: list[Callable[[], Any]] = attrs.Factory(list)

    def get_id(self) -> str:
        """A UUID, the same in all workers of the node."""
        return self.node_id

    def get_hostname(self) -> str:
        """The name of the machine."""
        return self.hostname

    def get_memory_stats(self, unit: str = "b", scale: int = 2) -> dict[str, Any]:
        """Memory of this worker, and of what the workers share; keys are Kong's.

        @param unit: C{b} for numbers of bytes; C{k}, C{m} or C{g} for text such as C{1.50 MiB}.
        @param scale: digits behind the point.
        @raise ArgumentError: for another unit or a negative scale.
        """
        try:
            own = shown_size(resident_bytes(), unit, scale)
        except ValueError as error:
            raise ArgumentError(str(error)) from None
        shared = self.memory.statistics()
        return {
            "workers_lua_vms": [{"pid": os.getpid(), "http_allocated_gc": own}],
            "lua_shared_dicts": {
                "kong_db_cache": {
                    "allocated_slabs": shown_size(shared["used"], unit, scale),
                    "capacity": shown_size(shared["capacity"], unit, scale),
                }
            },
        }

    def consumer(
        self, key: str, by_username: bool = False
    ) -> Consumer | Deferred[Consumer | None] | None:
        """A consumer by id, or by username where that is allowed, through the cache."""
        if is_uuid(key):
            return self.consumer_by_id(key)
        if by_username:
            return self.cache.get(
                f"consumers_by_username:{key}", self._load_consumer, "username", key
            )
        return None

    def consumer_by_id(self, key: str) -> Consumer | Deferred[Consumer | None] | None:
        """A consumer by id, through the cache."""
        return self.cache.get(consumer_key(key), self._load_consumer, "id", key)

    def forwarded_port(self, port: int) -> int:
        """The port that clients see for a listener's port (C{port_maps})."""
        outside: int = self.configuration.host_ports.get(port, port)
        return outside

    def _load_consumer(self, field: str, value: str) -> Any:
        consumers = self.store["consumers"]
        return consumers.select(value) if field == "id" else consumers.select_by(field, value)


def consumer_key(consumer_id: str) -> str:
    """The cache key of a consumer, as C{Schema.cache_key_of} writes it."""
    return f"consumers:{consumer_id}:::::"
