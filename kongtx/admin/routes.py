"""Why requests get the routes they get."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from kongtx.admin.answers import Answer, abort
from kongtx.admin.call import Call
from kongtx.admin.interfaces import INodeInfo
from kongtx.admin.routing import Endpoint
from kongtx.errors import KongtxError


class RouteTools:
    """C{/routes/explain} and C{/routes/lint}."""

    def __init__(self, node: INodeInfo) -> None:
        self._node = node

    def endpoints(self) -> Iterator[Endpoint]:
        """Both."""
        yield Endpoint("/routes/explain", {"GET": self.explain_query, "POST": self.explain})
        yield Endpoint("/routes/lint", {"GET": self.lint})

    async def explain_query(self, call: Call) -> Answer:
        """C{GET /routes/explain?method=GET&url=...&header=name:value}."""
        given = {name: call.first(name) for name in ("method", "url", "source")}
        headers = call.query.get("header", [])
        lines = headers if isinstance(headers, list) else [headers]
        pairs = [line.partition(":")[::2] for line in lines if isinstance(line, str)]
        return await self._explain(given, [(name.strip(), value.strip()) for name, value in pairs])

    async def explain(self, call: Call) -> Answer:
        """C{POST /routes/explain} with C{method}, C{url}, C{headers} and C{source}."""
        given = call.body.plain()
        headers = given.get("headers") or {}
        if not isinstance(headers, dict):
            raise abort(400, "headers: expected an object of names and values")
        pairs = [
            (name, text)
            for name, value in headers.items()
            for text in (value if isinstance(value, list) else [value])
        ]
        if not all(isinstance(text, str) for _, text in pairs):
            raise abort(400, "headers: expected texts")
        return await self._explain(given, pairs)

    async def lint(self, call: Call) -> Answer:
        """C{GET /routes/lint}."""
        return Answer(200, await self._node.lint())

    async def _explain(self, given: Mapping[str, Any], headers: list[tuple[str, str]]) -> Answer:
        method, url = given.get("method") or "GET", given.get("url")
        source = given.get("source") or "127.0.0.1"
        for name, value in (("method", method), ("url", url), ("source", source)):
            if not isinstance(value, str) or not value:
                raise abort(400, f"{name}: expected a text")
        try:
            return Answer(200, await self._node.explain(method, str(url), headers, source))
        except (KongtxError, ValueError) as error:
            raise abort(400, str(error)) from None
