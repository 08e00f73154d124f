"""Who a node is: an id that outlives restarts, and a master that does not."""

from __future__ import annotations

import os

from kongtx.cache.shared import process_start
from kongtx.conf import Configuration
from kongtx.db.errors import PrimaryKeyViolationError
from kongtx.db.store import Store
from kongtx.lib import ids


def node_id(conf: Configuration) -> str:
    """The node's UUID: the configured one, else that of the prefix, made when first asked for."""
    if conf.node_id:
        return conf.node_id
    path = conf.prefixed("node.id")
    known = _read(path)
    if known is not None:
        return known
    made = ids.uuid4()
    draft = f"{path}.{os.getpid()}"
    with open(draft, "w", encoding="ascii") as file:
        file.write(made + "\n")
    try:
        # Of several workers that begin at once, the first to link it names the node.
        os.link(draft, path)
    except FileExistsError:
        made = _read(path) or made
    finally:
        os.unlink(draft)
    return made


def master_pid(conf: Configuration) -> int:
    """The process id of this worker's master."""
    return os.getpid() if conf.worker_count == 0 else os.getppid()


def master_of(conf: Configuration) -> str:
    """What this worker's master is called, and no other process of this machine since its boot."""
    master = master_pid(conf)
    return f"{master} {process_start(master)}"


def _read(path: str) -> str | None:
    try:
        with open(path, encoding="ascii") as file:
            text = file.read().strip()
    except OSError:
        return None
    return text if ids.is_uuid(text) else None


async def cluster_id(store: Store) -> str | None:
    """The id that all nodes of a database share; chosen by the first of them.

    @return: L{None} if there is none and the store cannot be written to.
    """
    parameters = store["parameters"]
    found = await parameters.select("cluster_id")
    if found is None and not store.connector.read_only:
        try:
            found = await parameters.insert({"key": "cluster_id", "value": ids.uuid4()})
        except PrimaryKeyViolationError:  # another node was faster
            found = await parameters.select("cluster_id")
    return None if found is None else str(found["value"])
