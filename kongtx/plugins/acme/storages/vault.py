"""C{vault}: in a key-value engine (version 2) of HashiCorp Vault, which nodes share.

Kong: the same paths and members (lua-resty-acme), so that both read each other's storage.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from zope.interface import implementer

from kongtx.pdk.node import Node
from kongtx.plugins.acme.errors import ACMEError
from kongtx.plugins.acme.storages.interfaces import IStorage
from kongtx.plugins.acme.storages.remote import Answer, Remote, path_of

_PORT = 8200
_FOLDER = "acme"
_JWT = "/var/run/secrets/kubernetes.io/serviceaccount/token"


@implementer(IStorage)
class VaultStorage:
    """Keys below a path, whose first part is where the engine is mounted.

    @param config: C{storage_config.vault}.
    """

    def __init__(self, config: Mapping[str, Any], node: Node) -> None:
        self._server = Remote("Vault", config, _PORT, node)
        self._config = config
        self._token: str | None = None
        mount, _, folder = (config["kv_path"] or _FOLDER).strip("/").partition("/")
        below = f"{quote(folder)}/" if folder else ""
        self._data = f"{quote(mount)}/data/{below}"
        self._metadata = f"{quote(mount)}/metadata/{below}"

    async def get(self, key: str) -> str | None:
        """See L{IStorage.get}."""
        return _value(await self._ask("GET", self._data + path_of(key)))

    async def put(self, key: str, value: str, ttl: float | None = None) -> None:
        """See L{IStorage.put}."""
        answer = await self._put(key, value, ttl, {})
        if answer.status != 200:
            raise ACMEError(f"Vault: it does not keep the value: {_errors(answer)}")

    async def add(self, key: str, value: str, ttl: float) -> bool:
        """See L{IStorage.add}."""
        found = await self._ask("GET", self._data + path_of(key))
        if _value(found) is not None:
            return False
        # What is over is still the version that the next one has to follow; 0: there is none.
        metadata = ((found.data or {}).get("data") or {}).get("metadata") or {}
        answer = await self._put(key, value, ttl, {"cas": metadata.get("version", 0)})
        if answer.status == 400 and "check-and-set" in _errors(answer):
            return False
        if answer.status != 200:
            raise ACMEError(f"Vault: it does not keep the value: {_errors(answer)}")
        return True

    async def delete(self, key: str) -> None:
        """See L{IStorage.delete}."""
        await self._ask("DELETE", self._metadata + path_of(key))

    async def keys(self, prefix: str) -> list[str]:
        """See L{IStorage.keys}."""
        answer = await self._ask("GET", f"{self._metadata}?list=true")
        listed = answer.data["data"]["keys"] if answer.status == 200 else []
        start = prefix.replace("/", "-")
        wanted = [key for key in listed if key.startswith(start) and not key.endswith("/")]
        # Those that are over are listed, too.
        return sorted([key for key in wanted if await self.get(key) is not None])

    async def _put(
        self, key: str, value: str, ttl: float | None, options: Mapping[str, Any]
    ) -> Answer:
        # It holds for the version that is written next.
        lives = {"delete_version_after": f"{0 if ttl is None else round(ttl * 1000)}ms"}
        answer = await self._ask("POST", self._metadata + path_of(key), lives)
        if answer.status not in (200, 204):
            return answer
        body = {"data": {"value": value, "note": "managed by kongtx"}, "options": options}
        return await self._ask("POST", self._data + path_of(key), body)

    async def _ask(self, method: str, path: str, body: Any = None) -> Answer:
        token = self._token
        if token is not None:
            answer = await self._server.ask(method, path, {"X-Vault-Token": token}, body)
            if answer.status != 403:
                return answer
            self._token = None  # it may be over
        token = await self._log_in()
        answer = await self._server.ask(method, path, {"X-Vault-Token": token}, body)
        if answer.status == 403:
            raise ACMEError(f"Vault: the token is not allowed to {method} /v1/{path}")
        self._token = token
        return answer

    async def _log_in(self) -> str:
        config = self._config
        if config["auth_method"] != "kubernetes":
            return str(config["token"] or "")
        path = config["jwt_path"] or _JWT
        try:
            jwt = Path(path).read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            raise ACMEError(f"Vault: {path} cannot be read") from error
        where = f"auth/{quote(config['auth_path'] or 'kubernetes')}/login"
        body = {"role": config["auth_role"], "jwt": jwt}
        answer = await self._server.ask("POST", where, {}, body)
        try:
            return str(answer.data["auth"]["client_token"])
        except (LookupError, TypeError):
            raise ACMEError(f"Vault: nobody can log in: {_errors(answer)}") from None


def _value(answer: Answer) -> str | None:
    if answer.status == 404:
        return None
    if answer.status != 200:
        raise ACMEError(f"Vault: it does not tell the value: {_errors(answer)}")
    value = (answer.data["data"]["data"] or {}).get("value")
    return None if value is None else str(value)


def _errors(answer: Answer) -> str:
    """Vault's own words, which hold no values."""
    told = answer.data.get("errors") if isinstance(answer.data, dict) else None
    words = " ".join(map(str, told)) if isinstance(told, list) else ""
    return " ".join(words.split()) or f"status {answer.status}"
