"""C{consul}: in the key-value store of HashiCorp Consul, which nodes share.

Kong: the same paths and flags (lua-resty-acme), so that both read each other's storage.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

from zope.interface import implementer

from kongtx.pdk.node import Node
from kongtx.plugins.acme.errors import ACMEError
from kongtx.plugins.acme.storages.interfaces import IStorage
from kongtx.plugins.acme.storages.remote import Answer, Remote, path_of

_PORT = 8500
_FOLDER = "acme"


@implementer(IStorage)
class ConsulStorage:
    """Keys below a path. A key's flags say until when it lives, in milliseconds since 1970.

    @param config: C{storage_config.consul}.
    @param now: gives seconds since 1970.
    """

    def __init__(self, config: Mapping[str, Any], node: Node, now: Callable[[], float]) -> None:
        self._server = Remote("Consul", config, _PORT, node)
        self._headers = {"X-Consul-Token": config["token"]}
        folder = (config["kv_path"] or _FOLDER).strip("/")
        self._folder = f"kv/{quote(folder)}/"
        self._cut = len(folder) + 1
        self._now = now

    async def get(self, key: str) -> str | None:
        """See L{IStorage.get}."""
        found = await self._entry(key)
        return None if found is None or self._is_over(found) else _value(found)

    async def put(self, key: str, value: str, ttl: float | None = None) -> None:
        """See L{IStorage.put}."""
        if not await self._put(key, value, ttl, ""):
            raise ACMEError("Consul: it does not keep the value")

    async def add(self, key: str, value: str, ttl: float) -> bool:
        """See L{IStorage.add}."""
        found = await self._entry(key)
        if found is not None and not self._is_over(found):
            return False
        # 0: there must be none; else the one that is there must not have changed.
        index = 0 if found is None else int(found["ModifyIndex"])
        return await self._put(key, value, ttl, f"cas={index}")

    async def delete(self, key: str) -> None:
        """See L{IStorage.delete}."""
        await self._ask("DELETE", self._folder + path_of(key))

    async def keys(self, prefix: str) -> list[str]:
        """See L{IStorage.keys}."""
        path = f"{self._folder}{path_of(prefix)}?recurse=true"
        answer = await self._ask("GET", path)
        entries = answer.data if answer.status == 200 else []
        return sorted(each["Key"][self._cut :] for each in entries if not self._is_over(each))

    async def _entry(self, key: str) -> Mapping[str, Any] | None:
        answer = await self._ask("GET", self._folder + path_of(key))
        if answer.status == 404:
            return None
        try:
            entry: Mapping[str, Any] = answer.data[0]
        except (LookupError, TypeError):
            raise ACMEError(f"Consul: it answers with status {answer.status}") from None
        return entry

    async def _put(self, key: str, value: str, ttl: float | None, condition: str) -> bool:
        flags = "" if ttl is None else f"flags={math.ceil((self._now() + ttl) * 1000)}"
        query = "&".join(each for each in (flags, condition) if each)
        path = f"{self._folder}{path_of(key)}?{query}"
        answer = await self._ask("PUT", path, value)
        return answer.data is True

    async def _ask(self, method: str, path: str, body: str | None = None) -> Answer:
        answer = await self._server.ask(method, path, self._headers, body)
        if answer.status in (401, 403):
            raise ACMEError(f"Consul: the token is not allowed to {method} /v1/{path}")
        return answer

    def _is_over(self, entry: Mapping[str, Any]) -> bool:
        flags: int = entry["Flags"]
        return 0 < flags < self._now() * 1000


def _value(entry: Mapping[str, Any]) -> str | None:
    value = entry["Value"]
    return None if value is None else base64.b64decode(value).decode()
