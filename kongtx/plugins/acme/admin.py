"""The Admin API's view: C{/acme}. Kong: C{kong/plugins/acme/api.lua}."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import treq
from twisted.internet.defer import TimeoutError as TooLong
from twisted.internet.error import ConnectError, DNSLookupError
from twisted.web.client import Agent, ResponseNeverReceived

from kongtx.errors import KongtxError
from kongtx.pdk.node import Node
from kongtx.plugins.acme.domains import shown
from kongtx.plugins.acme.errors import ACMEError
from kongtx.plugins.acme.settings import Settings
from kongtx.plugins.acme.worker import Worker

Reply = tuple[int, Any, Mapping[str, str]]
Handler = Callable[[Any], Awaitable[Reply]]

_NOT_FOUND: Reply = (404, None, {})
_SANITY_TIMEOUT = 10


def admin_endpoints(
    node: Node, worker: Callable[[], Worker], now: Callable[[], float]
) -> Mapping[str, Mapping[str, Handler]]:
    """The endpoints, by path and method."""
    view = _View(node, worker, now)
    return {
        "/acme": {"POST": view.ask, "PATCH": view.renew},
        "/acme/certificates": {"GET": view.list},
        "/acme/certificates/{certificates}": {"GET": view.show},
    }


def _message(status: int, text: str) -> Reply:
    return status, {"message": text}, {}


class _View:
    def __init__(self, node: Node, worker: Callable[[], Worker], now: Callable[[], float]) -> None:
        self._node = node
        self._worker = worker
        self._now = now

    async def ask(self, call: Any) -> Reply:
        """Ask for a certificate, or just try whether an authority would see the proof."""
        settings = self._worker().settings
        if settings is None:
            return _NOT_FOUND
        host = call.body.fields.get("host")
        if not isinstance(host, str) or not host:
            return _message(400, "host must be provided and containing a single domain")
        if ":" in host:
            return _message(400, "port is not allowed in host")
        if call.body.fields.get("test_http_challenge_flow") in (True, "true"):
            return await self._try(settings, host)
        try:
            done = await self._worker().update(settings, host.lower())
        except ACMEError as error:
            return _message(500, f"failed to update certificate: {error}")
        if not done:
            return _message(202, f"certificate for host {host} is being created")
        return _message(201, f"certificate for host {host} is created")

    async def _try(self, settings: Settings, host: str) -> Reply:
        problem = f"problem found running sanity check for {host}: "
        if host not in settings.domains:
            return _message(400, f"{problem}host is not included in plugin config.domains")
        path = f"http://{host}/.well-known/acme-challenge/"
        try:
            response = await treq.get(
                f"{path}x",
                agent=Agent(self._node.reactor),
                timeout=_SANITY_TIMEOUT,
                allow_redirects=False,
            )
            body = (await response.content()).decode("utf-8", "replace")
        except (ConnectError, DNSLookupError, ResponseNeverReceived, TooLong) as error:
            return _message(400, f"{problem}{error}")
        if body == "Not found\n":
            return _message(200, f"sanity test for host {host} passed")
        if "no Route matched with those values" in body:
            return _message(
                400,
                f"{problem}{path}* doesn't map to a Route in Kong; please refer to docs on how to "
                "create dummy Route and Service",
            )
        status = "" if response.code == 404 else f", unexpected status code: {response.code}"
        return _message(400, f'{problem}unexpected response: "{body[:200]}"{status}')

    async def renew(self, call: Any) -> Reply:
        """Renew what is about to expire, now."""
        self._worker().renew_all()
        return _message(202, "Renewal process started successfully")

    async def list(self, call: Any) -> Reply:
        """All certificates, or those that are not valid."""
        settings = self._worker().settings
        if settings is None:
            return _NOT_FOUND
        found = []
        try:
            for host in await self._worker().renewed_hosts(settings):
                told = await self._shown(settings, host)
                if told and not (told["valid"] and call.first("invalid_only")):
                    found.append(told)
        except KongtxError as error:
            return _message(500, str(error))
        return 200, {"data": found}, {}

    async def show(self, call: Any) -> Reply:
        """One certificate."""
        settings = self._worker().settings
        if settings is None:
            return _NOT_FOUND
        host = call.parameter("certificates")
        try:
            told = await self._shown(settings, host)
        except KongtxError as error:
            return _message(500, str(error))
        if told is None:
            return _message(404, f"Certificate for host {host} not found in storage")
        return 200, {"data": told}, {}

    async def _shown(self, settings: Settings, host: str) -> dict[str, Any] | None:
        found = await self._worker().load(settings, host)
        try:
            return None if found is None else shown(found[0], self._now())
        except ValueError:
            return None
