"""The storage of a configuration."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Any

from kongtx.pdk.node import Node
from kongtx.plugins.acme.storages.consul import ConsulStorage
from kongtx.plugins.acme.storages.database import DatabaseStorage
from kongtx.plugins.acme.storages.files import FileStorage
from kongtx.plugins.acme.storages.interfaces import IStorage
from kongtx.plugins.acme.storages.redis import RedisStorage
from kongtx.plugins.acme.storages.vault import VaultStorage
from kongtx.plugins.counting.redis import RedisSettings, client_of

#: Of C{shm}, below the prefix; a folder for each C{shm_name}.
FOLDER = "acme"


def storage_of(config: Mapping[str, Any], node: Node, now: Callable[[], float]) -> IStorage:
    """Where a configuration keeps things."""
    kind = config["storage"]
    options = config["storage_config"][kind] or {}
    if kind == "kong":
        return DatabaseStorage(node.store)
    if kind == "shm":
        name = str(options["shm_name"])
        folder = "".join(each if each.isalnum() or each in "-_" else "_" for each in name)
        return FileStorage(node.configuration.prefixed(os.path.join(FOLDER, folder)), now)
    if kind == "redis":
        extra = options["extra_options"]
        client = client_of(RedisSettings.of(options), node)
        return RedisStorage(client, extra["namespace"] or "", int(extra["scan_count"] or 10))
    # One for the life of the worker: it may have to log in.
    told = json.dumps([kind, dict(options)], sort_keys=True, default=str)
    key = IStorage, sha256(told.encode()).digest()
    storage: IStorage | None = node.shared.get(key)
    if storage is None:
        if kind == "consul":
            storage = ConsulStorage(options, node, now)
        else:
            storage = VaultStorage(options, node)
        node.shared[key] = storage
    return storage
