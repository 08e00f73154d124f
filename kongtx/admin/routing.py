"""Paths with parameters, and the handlers of their methods."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

import attrs

from kongtx.admin.answers import Answer

if TYPE_CHECKING:
    from kongtx.admin.call import Call

Handler = Callable[["Call"], Awaitable[Answer]]


@attrs.frozen
class Endpoint:
    """One path.

    @ivar path: C{/services/{services}/routes}; a segment in braces matches any text.
    @ivar methods: the handlers; C{HEAD} and C{OPTIONS} follow from them.
    @ivar yaml: whether bodies may be YAML, or of no type.
    @ivar entity: the schema whose entities are read and written here; empty for other things.
    @ivar collection: whether C{GET} gives a page of them.
    """

    path: str
    methods: Mapping[str, Handler]
    yaml: bool = False
    entity: str = ""
    collection: bool = False

    @property
    def allowed(self) -> list[str]:
        """All methods that are answered, sorted."""
        extra = {"OPTIONS", "HEAD"} if "GET" in self.methods else {"OPTIONS"}
        return sorted({*self.methods, *extra})


class _Node:
    __slots__ = ("any", "endpoint", "fixed")

    def __init__(self) -> None:
        self.fixed: dict[str, _Node] = {}
        self.any: tuple[str, _Node] | None = None
        self.endpoint: Endpoint | None = None


class Router:
    """Finds the endpoint of a path; a fixed segment wins over a parameter."""

    def __init__(self, endpoints: Iterable[Endpoint] = ()) -> None:
        self._root = _Node()
        for endpoint in endpoints:
            self.add(endpoint)

    def add(self, endpoint: Endpoint) -> None:
        """Add an endpoint; methods of one with the same path are kept unless given anew."""
        node = self._root
        for segment in _segments(endpoint.path):
            if segment.startswith("{"):
                if node.any is None:
                    node.any = (segment[1:-1], _Node())
                node = node.any[1]
            else:
                node = node.fixed.setdefault(segment, _Node())
        before = node.endpoint
        if before is not None:
            endpoint = attrs.evolve(
                before,
                methods={**before.methods, **endpoint.methods},
                yaml=endpoint.yaml or before.yaml,
                collection=endpoint.collection or before.collection,
            )
        node.endpoint = endpoint

    def remove(self, path: str) -> None:
        """Forget an endpoint; what is below its path stays."""
        for node in _walk(self._root):
            if node.endpoint is not None and node.endpoint.path == path:
                node.endpoint = None

    def find(self, path: str) -> tuple[Endpoint, list[str]] | None:
        """The endpoint of a raw path, with the raw texts of its parameters in order."""
        return _find(self._root, list(_segments(path)), [])

    def __iter__(self) -> Iterator[Endpoint]:
        return (node.endpoint for node in _walk(self._root) if node.endpoint is not None)


def _segments(path: str) -> Iterator[str]:
    """The parts of a path between slashes, without the last one if nothing follows it."""
    parts = path.split("/")[1:]
    if parts and parts[-1] == "":
        parts.pop()
    return iter(parts)


def _find(node: _Node, rest: list[str], values: list[str]) -> tuple[Endpoint, list[str]] | None:
    if not rest:
        return None if node.endpoint is None else (node.endpoint, values)
    fixed = node.fixed.get(rest[0])
    if fixed is not None:
        found = _find(fixed, rest[1:], values)
        if found is not None:
            return found
    if node.any is not None and rest[0]:
        return _find(node.any[1], rest[1:], [*values, rest[0]])
    return None


def _walk(node: _Node) -> Iterator[_Node]:
    yield node
    for child in node.fixed.values():
        yield from _walk(child)
    if node.any is not None:
        yield from _walk(node.any[1])


def parameters(path: str) -> list[str]:
    """The names of a path's parameters, in order."""
    return [part[1:-1] for part in _segments(path) if part.startswith("{")]
