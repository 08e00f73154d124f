"""An HTTP client for tests, bound to the proxy or to the Admin API of a gateway."""

from __future__ import annotations

import json as _json
from collections.abc import Mapping
from typing import Any

import attrs
import treq

Headers = Mapping[str, str | list[str]]


@attrs.frozen
class Response:
    """What came back; header names in lower case."""

    status: int
    headers: Mapping[str, list[str]]
    body: bytes

    def header(self, name: str) -> str | None:
        """The values of a header, joined by commas; L{None} if it was not sent."""
        values = self.headers.get(name.lower())
        return None if values is None else ", ".join(values)

    @property
    def text(self) -> str:
        """The body as UTF-8."""
        return self.body.decode()

    @property
    def json(self) -> Any:
        """What the body says as JSON."""
        return _json.loads(self.body)


class Client:
    """Makes requests, each on a connection of its own; follows no redirects.

    @ivar url: what comes before each path, without a slash at the end.
    """

    def __init__(self, url: str) -> None:
        self.url = url

    async def request(
        self,
        method: str,
        path: str = "/",
        *,
        headers: Headers | None = None,
        data: bytes | None = None,
        json: Any = None,
        form: Mapping[str, str] | None = None,
    ) -> Response:
        """Make a request.

        @param path: path and query.
        @param headers: values, or lists of them, by name.
        @param data: the body; C{json} is sent as JSON instead, C{form} as a form.
        """
        body: dict[str, Any] = {}
        if json is not None:
            body["json"] = json
        elif data is not None or form is not None:
            body["data"] = data if data is not None else form
        fields: Any = dict(headers or {})
        response = await treq.request(
            method,
            self.url + path,
            headers=fields,
            persistent=False,
            allow_redirects=False,
            **body,
        )
        received: dict[str, list[str]] = {}
        for name, values in response.headers.getAllRawHeaders():
            received[name.decode().lower()] = [value.decode("latin-1") for value in values]
        if received.get("content-encoding") == [""]:  # Twisted's trace of what it has decoded
            del received["content-encoding"]
        return Response(response.code, received, await response.content())

    async def get(self, path: str = "/", **options: Any) -> Response:
        """L{request} with GET."""
        return await self.request("GET", path, **options)

    async def post(self, path: str = "/", **options: Any) -> Response:
        """L{request} with POST."""
        return await self.request("POST", path, **options)

    async def put(self, path: str = "/", **options: Any) -> Response:
        """L{request} with PUT."""
        return await self.request("PUT", path, **options)

    async def patch(self, path: str = "/", **options: Any) -> Response:
        """L{request} with PATCH."""
        return await self.request("PATCH", path, **options)

    async def delete(self, path: str = "/", **options: Any) -> Response:
        """L{request} with DELETE."""
        return await self.request("DELETE", path, **options)
