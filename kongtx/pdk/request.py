"""C{kong.request}: the client's request, read only."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from kongtx.pdk.body import parse
from kongtx.pdk.errors import ArgumentError
from kongtx.pdk.node import Node
from kongtx.pdk.phases import READING, REQUEST, only_in
from kongtx.pdk.text import (
    Arguments,
    arguments_to_mapping,
    decode,
    headers_to_mapping,
    parse_arguments,
)
from kongtx.proxy.interfaces import IRequestContext

_VERSIONS = {b"1.0": 1.0, b"1.1": 1.1, b"2": 2.0}


def check_limit(limit: int | None, default: int) -> int:
    """How many headers or arguments are looked at: 1 to 1000.

    @raise ArgumentError: outside of that.
    """
    if limit is None:
        return default
    if not 1 <= limit <= 1000:
        raise ArgumentError(f"the greatest number must be from 1 to 1000, not {limit!r}")
    return limit


class Request:
    """The client's request. Headers and arguments are seen as plugins have changed them."""

    __slots__ = ("_node", "_request")

    def __init__(self, request: IRequestContext, node: Node) -> None:
        self._request = request
        self._node = node

    @only_in(REQUEST, "request.get_scheme")
    def get_scheme(self) -> str:
        """The scheme of this connection: C{"http"} or C{"https"}."""
        return self._request.scheme.decode()

    @only_in(REQUEST, "request.get_host")
    def get_host(self) -> str:
        """The Host header, lower case and without its port."""
        return self._request.host.decode("latin-1")

    @only_in(REQUEST, "request.get_port")
    def get_port(self) -> int:
        """The port of the listener that the request came in on."""
        return self._request.connection.local[1]

    @only_in(REQUEST, "request.get_forwarded_scheme")
    def get_forwarded_scheme(self) -> str:
        """What a trusted peer's X-Forwarded-Proto says, else the scheme of this connection."""
        return (self._forwarded(b"x-forwarded-proto") or self.get_scheme()).lower()

    @only_in(REQUEST, "request.get_forwarded_host")
    def get_forwarded_host(self) -> str:
        """What a trusted peer's X-Forwarded-Host says, without its port, else the host."""
        host, _ = _split_host(self._forwarded(b"x-forwarded-host"))
        return host or self.get_host()

    @only_in(REQUEST, "request.get_forwarded_port")
    def get_forwarded_port(self) -> int:
        """What a trusted peer's X-Forwarded-Port or X-Forwarded-Host says, else the port."""
        text = self._forwarded(b"x-forwarded-port")
        if text.isdecimal() and 1 <= int(text) <= 65535:
            return int(text)
        _, port = _split_host(self._forwarded(b"x-forwarded-host"))
        return port or self._node.forwarded_port(self.get_port())

    @only_in(REQUEST, "request.get_forwarded_path")
    def get_forwarded_path(self) -> str:
        """What a trusted peer's X-Forwarded-Path says, else the path as received."""
        return self._forwarded(b"x-forwarded-path") or self.get_raw_path()

    @only_in(REQUEST, "request.get_forwarded_prefix")
    def get_forwarded_prefix(self) -> str | None:
        """What a trusted peer's X-Forwarded-Prefix says, else the prefix the route strips."""
        forwarded = self._forwarded(b"x-forwarded-prefix")
        if forwarded:
            return forwarded
        match = self._request.match
        return decode(match.prefix) or None if match else None

    @only_in(REQUEST, "request.get_http_version")
    def get_http_version(self) -> float | None:
        """1.0, 1.1 or 2.0."""
        return _VERSIONS.get(self._request.http_version)

    @only_in(REQUEST, "request.get_method")
    def get_method(self) -> str:
        """The method as received."""
        return self._request.raw_method.decode("latin-1")

    @only_in(REQUEST, "request.get_path")
    def get_path(self) -> str:
        """The normalised path, without query."""
        return decode(self._request.path)

    @only_in(REQUEST, "request.get_raw_path")
    def get_raw_path(self) -> str:
        """The path as received, without query."""
        return decode(self._request.raw_path)

    @only_in(REQUEST, "request.get_path_with_query")
    def get_path_with_query(self) -> str:
        """The request target as received."""
        return decode(self._request.target)

    @only_in(REQUEST, "request.get_raw_query")
    def get_raw_query(self) -> str:
        """The query without its question mark; empty if there is none."""
        return decode(self._request.query)

    @only_in(REQUEST, "request.get_query_arg")
    def get_query_arg(self, name: str) -> str | bool | None:
        """The first value of an argument; C{True} for a name without C{=}; L{None} if absent."""
        if self._request.query:
            for argument in parse_arguments(self._request.query):
                if argument.name == name:
                    return argument.value
        return None

    @only_in(REQUEST, "request.get_query")
    def get_query(self, limit: int | None = None) -> Arguments:
        """The arguments of the query; a repeated one is a list.

        @param limit: how many are looked at; C{lua_max_uri_args} otherwise.
        """
        limit = check_limit(limit, self._node.configuration.lua_max_uri_args)
        return arguments_to_mapping(parse_arguments(self._request.query), limit)

    @only_in(REQUEST, "request.get_header")
    def get_header(self, name: str) -> str | None:
        """The first value of a header; the name in any case, C{_} taken as C{-}."""
        raw = name.lower().replace("_", "-").encode("latin-1", "replace")
        value = self._request.get_header(raw)
        return None if value is None else value.decode("latin-1")

    @only_in(REQUEST, "request.get_headers")
    def get_headers(self, limit: int | None = None) -> dict[str, str | list[str]]:
        """The headers, names in lower case; a repeated one is a list.

        @param limit: how many are looked at; C{lua_max_req_headers} otherwise.
        """
        limit = check_limit(limit, self._node.configuration.lua_max_req_headers)
        return headers_to_mapping(self._request.headers, limit)

    @only_in(READING, "request.get_raw_body")
    def get_raw_body(self, max_size: int = 0) -> bytes | Deferred[bytes]:
        """The body; at once if it is here already, else a Deferred of it.

        @param max_size: in bytes; a longer body is an error. 0 takes any.
        @raise kongtx.proxy.interfaces.BodyTooLarge: (or the Deferred fails with it).
        """
        return self._body(max_size)

    @only_in(READING, "request.get_body")
    async def get_body(
        self, content_type: str | None = None, max_args: int | None = None, max_size: int = 0
    ) -> Any:
        """The body's content, parsed as its Content-Type or the one given says.

        @return: a mapping of arguments (urlencoded, multipart) or what the JSON holds.
        @raise BodyError: if it cannot be parsed so.
        """
        limit = check_limit(max_args, self._node.configuration.lua_max_post_args)
        kind = content_type or self.get_header("content-type")
        body = self._body(max_size)
        return parse(await body if isinstance(body, Deferred) else body, kind, limit)

    @only_in(REQUEST, "request.get_start_time")
    def get_start_time(self) -> int:
        """When the request's header arrived, in milliseconds since the epoch."""
        return int(self._request.started * 1000)

    @only_in(REQUEST, "request.get_uri_captures")
    def get_uri_captures(self) -> tuple[list[str], dict[str, str]]:
        """What the route's regex captured: unnamed groups in order, and named ones."""
        unnamed, named = self._request.captures
        return [decode(group) for group in unnamed], {k: decode(v) for k, v in named.items()}

    def _body(self, max_size: int) -> bytes | Deferred[bytes]:
        """The body as plugins have left it; what one replaced is not seen by the next."""
        changed = self._request.upstream_body
        return self._request.read_body(max_size) if changed is None else changed

    def _forwarded(self, name: bytes) -> str:
        if not self._request.trusted:
            return ""
        value = self._request.get_header(name)
        return decode(value).partition(",")[0].strip() if value else ""


def _split_host(authority: str) -> tuple[str, int]:
    """Host and port of an authority; user information is dropped; 0 without a port."""
    authority = authority.rpartition("@")[2].lower()
    host, colon, port = authority.rpartition(":")
    if colon and port.isdecimal() and 1 <= int(port) <= 65535 and not host.endswith(":"):
        return host, int(port)
    return authority, 0
