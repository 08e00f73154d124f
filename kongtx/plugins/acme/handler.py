"""acme: certificates from Let's Encrypt and others, asked for when the first client wants one."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from twisted.logger import Logger

from kongtx.entities.credentials import acme as entities
from kongtx.errors import KongtxError
from kongtx.pdk.kong import Kong
from kongtx.pdk.node import Node
from kongtx.plugins.acme.admin import admin_endpoints
from kongtx.plugins.acme.schema import subschema
from kongtx.plugins.acme.settings import Settings
from kongtx.plugins.acme.storages.interfaces import HTTP_PROOF
from kongtx.plugins.acme.worker import Worker
from kongtx.plugins.base import Plugin

_PATH = "/.well-known/acme-challenge/"
_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,256}")


class ACME(Plugin):
    """Gets certificates for server names from an authority, and renews them.

    @param now: gives seconds since 1970.
    """

    name = "acme"
    #: Above authentication, which would keep the authority from seeing proofs.
    priority = 1705
    subschema = subschema()
    entities = entities()

    _log = Logger()

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._workers: list[Worker] = []

    def prepare(self, config: Mapping[str, Any]) -> Settings:
        """See L{Settings}."""
        return Settings.of(config)

    def init_worker(self, node: Node) -> None:
        """Begin to look after certificates."""
        worker = node.shared[Worker] = Worker(node, self._now)
        self._workers.append(worker)
        node.closing.append(lambda: self._workers.remove(worker))

    def configure(self, configs: Sequence[Settings]) -> None:
        """The first configuration counts; the plugin is meant to be global."""
        for worker in self._workers:
            worker.configure(configs[0] if configs else None)

    def certificate(self, settings: Settings, kong: Kong) -> None:
        """Ask for a certificate where the handshake has none to show."""
        request: Any = kong.raw
        handshake = request.handshake
        host = handshake.server_name
        if host and handshake.is_default and settings.allows(host):
            kong.node.shared[Worker].wanted(settings, host)

    def access(self, settings: Settings, kong: Kong) -> Any:
        """Show the authority what it looks for over HTTP."""
        if kong.client.get_protocol() != "http":
            return None
        path = kong.request.get_path()
        if not path.startswith(_PATH) or not settings.allows(kong.request.get_host()):
            return None
        return self._prove(path.removeprefix(_PATH), settings, kong)

    async def _prove(self, token: str, settings: Settings, kong: Kong) -> None:
        proof = None
        if _TOKEN.fullmatch(token):
            try:
                storage = kong.node.shared[Worker].storage(settings)
                proof = await storage.get(HTTP_PROOF + token)
            except KongtxError as error:
                kong.log.err("the storage cannot be read: {error}", error=str(error))
        if proof is None:
            kong.response.exit(404, "Not found\n")
        else:
            kong.response.exit(200, proof, {"Content-Type": "application/octet-stream"})

    def admin_endpoints(self, node: Node) -> Mapping[str, Any]:
        """C{/acme} of the Admin API."""
        return admin_endpoints(node, lambda: node.shared[Worker], self._now)
