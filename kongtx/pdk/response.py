"""C{kong.response}: what goes to the client."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import msgspec

from kongtx.pdk.errors import ArgumentError, PDKError
from kongtx.pdk.node import Node
from kongtx.pdk.phases import ANSWERED, BEFORE_CLIENT, BODY_FILTER, only_in
from kongtx.pdk.request import check_limit
from kongtx.pdk.text import HeaderValue, encode, header_name, header_values, headers_to_mapping
from kongtx.proxy.interfaces import IRequestContext

Headers = Mapping[str, HeaderValue | Sequence[HeaderValue]]


class Response:
    """What goes to the client."""

    __slots__ = ("_chunks", "_node", "_request")

    def __init__(self, request: IRequestContext, node: Node) -> None:
        self._request = request
        self._node = node
        self._chunks: list[bytes] = []

    @only_in(ANSWERED, "response.get_status")
    def get_status(self) -> int:
        """The status that is or will be sent."""
        return self._request.status

    @only_in(ANSWERED, "response.get_header")
    def get_header(self, name: str) -> str | None:
        """The first value of a header that is or will be sent."""
        wanted = name.lower().replace("_", "-").encode("latin-1", "replace")
        value = self._request.get_response_header(wanted)
        return None if value is None else value.decode("latin-1")

    @only_in(ANSWERED, "response.get_headers")
    def get_headers(self, limit: int | None = None) -> dict[str, str | list[str]]:
        """The headers that are or will be sent, names in lower case; a repeated one is a list."""
        limit = check_limit(limit, self._node.configuration.lua_max_resp_headers)
        return headers_to_mapping(self._request.response_headers, limit)

    @only_in(ANSWERED, "response.get_source")
    def get_source(self) -> str:
        """Who answered: C{service}, C{exit} (a plugin) or C{error} (kongtx)."""
        return self._request.response_source

    @only_in(BEFORE_CLIENT, "response.set_status")
    def set_status(self, status: int) -> None:
        """Send this status, 100 to 599."""
        self._check_unsent()
        if not 100 <= status <= 599:
            raise ArgumentError(f"status {status!r}: must be from 100 to 599")
        self._request.status = status

    @only_in(BEFORE_CLIENT, "response.set_header")
    def set_header(self, name: str, value: HeaderValue | Sequence[HeaderValue]) -> None:
        """Replace all values of a header; a list sets several."""
        self._check_unsent()
        raw, values = header_name(name), header_values(name, value)
        if len(values) == 1:
            self._request.set_response_header(raw, values[0])
            return
        self._request.clear_response_header(raw)
        for each in values:
            self._request.add_response_header(raw, each)

    @only_in(BEFORE_CLIENT, "response.add_header")
    def add_header(self, name: str, value: HeaderValue | Sequence[HeaderValue]) -> None:
        """Add a value, or several, to a header."""
        self._check_unsent()
        raw = header_name(name)
        for each in header_values(name, value):
            self._request.add_response_header(raw, each)

    @only_in(BEFORE_CLIENT, "response.clear_header")
    def clear_header(self, name: str) -> None:
        """Remove a header."""
        self._check_unsent()
        self._request.clear_response_header(header_name(name))

    @only_in(BEFORE_CLIENT, "response.set_headers")
    def set_headers(self, headers: Headers) -> None:
        """As L{set_header} for each; other headers stay."""
        for name, value in headers.items():
            self.set_header(name, value)

    @only_in(frozenset({BODY_FILTER}), "response.get_raw_body")
    def get_raw_body(self) -> bytes | None:
        """Gather the body: L{None} until the last piece has come, then all of it.

        The pieces are held back from the client meanwhile; L{set_raw_body} decides what it gets,
        otherwise it gets the body whole.
        """
        self._chunks.append(self._request.chunk)
        if not self._request.chunk_is_last:
            self._request.chunk = b""
            return None
        body = b"".join(self._chunks)
        self._chunks = []
        self._request.chunk = body
        return body

    @only_in(frozenset({BODY_FILTER}), "response.set_raw_body")
    def set_raw_body(self, body: bytes | str) -> None:
        """Send this piece, and end the body with it."""
        self._request.chunk = encode(body)
        self._request.chunk_is_last = True

    @only_in(BEFORE_CLIENT, "response.exit")
    def exit(
        self,
        status: int,
        body: bytes | str | Mapping[str, Any] | list[Any] | None = None,
        headers: Headers | None = None,
    ) -> NoReturn:
        """Answer now with exactly this; the handler ends here.

        @param body: a mapping or list is sent as JSON.
        @raise kongtx.proxy.interfaces.ShortCircuit: always; let it pass.
        """
        if not 100 <= status <= 599:
            raise ArgumentError(f"status {status!r}: must be from 100 to 599")
        pairs = _pairs(headers)
        if body is None:
            raw = b""
        elif isinstance(body, (bytes, str)):
            raw = encode(body)
        else:
            raw = msgspec.json.encode(body)
            if not any(name.lower() == b"content-type" for name, _ in pairs):
                pairs.append((b"Content-Type", b"application/json; charset=utf-8"))
        self._request.exit(status, raw, pairs)

    @only_in(BEFORE_CLIENT, "response.error")
    def error(
        self, status: int, message: str | None = None, headers: Headers | None = None
    ) -> NoReturn:
        """Answer now with an error in the form that the client accepts; the handler ends here.

        @param message: L{None} for the status's own.
        @raise kongtx.proxy.interfaces.ShortCircuit: always; let it pass.
        """
        if not 400 <= status <= 599:
            raise ArgumentError(f"status {status!r}: must be from 400 to 599")
        self._request.error(status, message, _pairs(headers))

    def _check_unsent(self) -> None:
        if self._request.headers_sent:
            raise PDKError("headers have already been sent")


def _pairs(headers: Headers | None) -> list[tuple[bytes, bytes]]:
    return [
        (header_name(name), each)
        for name, value in (headers or {}).items()
        for each in header_values(name, value)
    ]
