"""Who a node is: an id that outlives restarts."""

from __future__ import annotations

import os

from kongtx.conf import Configuration
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


def _read(path: str) -> str | None:
    try:
        with open(path, encoding="ascii") as file:
            text = file.read().strip()
    except OSError:
        return None
    return text if ids.is_uuid(text) else None
