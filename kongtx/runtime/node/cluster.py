"""The events of the cluster, where the database has a log for them."""

from __future__ import annotations

import socket
from collections.abc import Callable

from kongtx.cluster.events import ClusterEvents, NoClusterEvents, life_of
from kongtx.conf import Configuration
from kongtx.db.interfaces import IClusterLog
from kongtx.db.store import Store
from kongtx.lib import ids
from kongtx.runtime.interfaces import NodeContext
from kongtx.runtime.node.identity import master_of, node_id
from kongtx.runtime.node.invalidation import announcer


def make_cluster_events(
    store: Store, context: NodeContext, resync: Callable[[], object]
) -> ClusterEvents | NoClusterEvents:
    """The events of a worker; from now on the database tells other nodes of each write.

    @param resync: brings the node up to date when events may have been missed.
    """
    conf = context.conf
    worker = ids.uuid4()
    if not announce_changes(store, conf, worker):
        return NoClusterEvents()
    return ClusterEvents(
        IClusterLog(store.primary),
        node_name(conf),
        worker,
        context.bus,
        context.leases,
        context.clock,
        frequency=conf.db_update_frequency,
        propagation=conf.db_update_propagation,
        resync=resync,
    )


def announce_changes(store: Store, conf: Configuration, name: str) -> bool:
    """Have the database tell nodes of what is written through a store.

    @param name: of who writes; who has it is not told.
    @return: whether the database can.
    """
    log = store.primary
    if not IClusterLog.providedBy(log):
        return False
    propagation = conf.db_update_propagation
    announce = announcer(store.registry, store.event_of, propagation)
    lives = life_of(conf.db_update_frequency, propagation)
    IClusterLog(log).announce_with(announce, name, lives)
    return True


def node_name(conf: Configuration) -> str:
    """What the workers of one master are called together in the log.

    Not the node's id alone: two nodes that were given the same, such as by a copied prefix, would
    take each other's events for their own, and miss them.
    """
    return ids.uuid5(node_id(conf), f"{socket.gethostname()} {master_of(conf)}")
