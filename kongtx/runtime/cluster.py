"""The events of the cluster, where the database has a log for them."""

from __future__ import annotations

from collections.abc import Callable

from kongtx.cluster.events import LIVES, ClusterEvents, NoClusterEvents
from kongtx.db.interfaces import IClusterLog
from kongtx.db.store import Store
from kongtx.runtime.identity import node_id
from kongtx.runtime.interfaces import NodeContext
from kongtx.runtime.invalidation import announcer


def make_cluster_events(
    store: Store, context: NodeContext, resync: Callable[[], object]
) -> ClusterEvents | NoClusterEvents:
    """The events of a worker; from now on the database tells other nodes of each write.

    @param resync: brings the node up to date when events may have been missed.
    """
    conf = context.conf
    name = node_id(conf)
    if not announce_changes(store, name, conf.db_update_propagation):
        return NoClusterEvents()
    return ClusterEvents(
        IClusterLog(store.primary),
        name,
        context.bus,
        context.leases,
        context.clock,
        frequency=conf.db_update_frequency,
        propagation=conf.db_update_propagation,
        resync=resync,
    )


def announce_changes(store: Store, name: str, delay: float = 0.0) -> bool:
    """Have the database tell nodes of what is written through a store.

    @param name: of who writes; the node of that name is not told.
    @param delay: seconds that a write takes to reach all replicas of the database.
    @return: whether the database can.
    """
    log = store.primary
    if not IClusterLog.providedBy(log):
        return False
    announce = announcer(store.registry, store.event_of, delay)
    IClusterLog(log).announce_with(announce, name, LIVES)
    return True
