"""Plugins in a whole gateway: what tests of them through a real proxy share."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import attrs
import treq

from kongtx.testing.gateway import GatewayUnderTest
from kongtx.testing.upstream import Upstream

Make = Callable[..., Awaitable[GatewayUnderTest]]


@attrs.frozen
class Got:
    """A response; header names in lower case."""

    status: int
    headers: dict[str, list[str]]
    body: bytes

    def header(self, name: str) -> str | None:
        """The values of a header, joined."""
        values = self.headers.get(name.lower())
        return None if values is None else ", ".join(values)

    @property
    def json(self) -> Any:
        """The body, parsed."""
        return json.loads(self.body)


async def ask(url: str, method: str = "GET", data: bytes | None = None, **headers: Any) -> Got:
    """Make a request; C{_} in names of headers stands for C{-}, a list repeats one."""
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    response = await treq.request(
        method, url, headers=names, data=data, persistent=False, allow_redirects=False
    )
    received: dict[str, list[str]] = {}
    for name, values in response.headers.getAllRawHeaders():
        received[name.decode().lower()] = [value.decode("latin-1") for value in values]
    return Got(response.code, received, await response.content())


def declared(upstream: Upstream, *plugins: dict[str, Any], **route: Any) -> dict[str, Any]:
    """A service with one route for all paths, and plugins on it."""
    return {
        "services": [
            {
                "name": "s",
                "url": upstream.url,
                "routes": [{"name": "r", "paths": ["/"], "plugins": list(plugins), **route}],
            }
        ]
    }
