"""A request without sockets, for tests of plugins and of whatever works on requests."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence, Set
from typing import Any, NoReturn

import attrs
from twisted.internet.defer import Deferred
from zope.interface import implementer

from kongtx.http.lines import HeaderBlock, parse_lines
from kongtx.proxy.interfaces import (
    BodyTooLarge,
    IClientConnection,
    IRequestContext,
    ShortCircuit,
)

Headers = list[tuple[bytes, bytes]]


@implementer(IClientConnection)
@attrs.define
class FakeConnection:
    """The connection of a L{FakeRequest}."""

    peer: tuple[str, int] = ("127.0.0.1", 50000)
    local: tuple[str, int] = ("127.0.0.1", 8000)
    is_tls: bool = False
    sni: bytes = b""
    serial: int = 1
    requests: int = 1
    transport: Any = None


@attrs.frozen
class Answer:
    """What a plugin answered with C{kong.response.exit} or C{kong.response.error}.

    @ivar message: of an error; L{None} for an exit, or for the status's own message.
    """

    status: int
    body: bytes
    headers: Headers
    message: str | None = None


@implementer(IRequestContext)
@attrs.define
class FakeRequest:
    """A request whose every attribute a test may set; what plugins did to it can be read.

    @ivar body: the client's body; a Deferred makes readers wait.
    @ivar answer: the L{Answer} of a plugin that answered itself.
    """

    method: bytes = b"GET"
    target: bytes = b"/"
    headers: Headers = attrs.Factory(list)
    body: bytes | Deferred[bytes] = b""
    scheme: bytes = b"http"
    host: bytes = b"example.com"
    host_port: int = 80
    sni: bytes = b""
    source: tuple[str, int] = ("127.0.0.1", 50000)
    destination: tuple[str, int] = ("127.0.0.1", 8000)
    http_version: bytes = b"1.1"
    request_id: bytes = b"0123456789abcdef0123456789abcdef"
    connection: FakeConnection = attrs.Factory(FakeConnection)
    client_ip: str = "127.0.0.1"
    client_port: int = 50000
    trusted: bool = False
    started: float = 1_700_000_000.0
    phase: str = "access"

    match: Any = None
    route: Mapping[str, Any] | None = None
    service: Mapping[str, Any] | None = None
    captures: tuple[Sequence[bytes], Mapping[str, bytes]] = ((), {})
    hash_cookie: Any = None

    consumer: Mapping[str, Any] | None = None
    credential: Mapping[str, Any] | None = None
    authenticated_groups: Sequence[str] | None = None

    upstream_scheme: bytes = b"http"
    upstream_host: bytes = b""
    upstream_path: bytes = b"/"
    upstream_body: bytes | None = None
    upstream_target: tuple[str, int] | None = None
    retries: int | None = None
    retry_target: Any = None
    timeouts_ms: tuple[int, int, int] | None = None
    upstream_tls: Mapping[str, Any] | None = None
    buffered: bool = False

    upstream_status: int = 0
    upstream_headers: Headers = attrs.Factory(list)
    upstream_response_body: bytes | None = None
    tries: Sequence[Any] = ()

    status: int = 0
    response_headers: Headers = attrs.Factory(list)
    chunk: bytes = b""
    chunk_is_last: bool = False
    headers_sent: bool = False
    response_source: str = "service"
    answer: Answer | None = None

    request_size: int = 0
    response_size: int = 0
    body_bytes_sent: int = 0
    proxy_latency_ms: int = 0
    upstream_latency_ms: int = -1
    receive_ms: int = 0
    total_ms: int = 0

    shared: dict[Any, Any] = attrs.Factory(dict)
    plugin_data: dict[Any, Any] = attrs.Factory(dict)
    log_values: list[tuple[str, Any, str]] = attrs.Factory(list)
    pdk: Any = None

    path: bytes = attrs.field(init=False)
    raw_path: bytes = attrs.field(init=False)
    query: bytes = attrs.field(init=False)
    raw_method: bytes = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.raw_path, _, self.query = self.target.partition(b"?")
        self.path = self.raw_path
        self.raw_method = self.method

    @property
    def consumer_id(self) -> str:
        """The consumer's id, else the credential's, else empty."""
        entity = self.consumer or self.credential
        return entity["id"] if entity else ""

    def get_header(self, name: bytes) -> bytes | None:
        """The first value of a request header."""
        return next((value for key, value in self.headers if key.lower() == name), None)

    def get_headers(self, name: bytes) -> list[bytes]:
        """All values of a request header."""
        return [value for key, value in self.headers if key.lower() == name]

    def set_header(self, name: bytes, value: bytes) -> None:
        """Replace all values of a request header."""
        self.clear_header(name.lower())
        self.add_header(name, value)

    def add_header(self, name: bytes, value: bytes) -> None:
        """Add a value to a request header."""
        if not {10, 13, 0}.isdisjoint(name + value):
            raise ValueError(f"header {name!r} would break the message: CR, LF or NUL in it")
        self.headers.append((name, value))

    def clear_header(self, name: bytes) -> None:
        """Remove all values of a request header."""
        self.headers = [pair for pair in self.headers if pair[0].lower() != name.lower()]

    def replace_headers(self, names: Set[bytes], block: HeaderBlock) -> None:
        """Remove some request headers and add others."""
        self.headers = [pair for pair in self.headers if pair[0].lower() not in names]
        self.headers += block.headers

    def get_response_header(self, name: bytes) -> bytes | None:
        """The first value of a response header."""
        return next((v for key, v in self.response_headers if key.lower() == name), None)

    def set_response_header(self, name: bytes, value: bytes) -> None:
        """Replace all values of a response header."""
        self.clear_response_header(name)
        self.response_headers.append((name, value))

    def add_response_header(self, name: bytes, value: bytes) -> None:
        """Add a value to a response header."""
        self.response_headers.append((name, value))

    def clear_response_header(self, name: bytes) -> None:
        """Remove all values of a response header."""
        self.replace_response_headers({name.lower()}, HeaderBlock(()))

    def replace_response_headers(self, names: Set[bytes], block: HeaderBlock) -> None:
        """Remove some response headers and add others."""
        kept = [pair for pair in self.response_headers if pair[0].lower() not in names]
        self.response_headers = [*kept, *block.headers]

    def add_response_lines(self, lines: bytes, names: Collection[bytes] | None = None) -> None:
        """Add response headers, as they are sent."""
        self.response_headers += parse_lines(lines)

    def read_body(self, limit: int = 0) -> bytes | Deferred[bytes]:
        """The client's body."""
        if limit and isinstance(self.body, bytes) and len(self.body) > limit:
            raise BodyTooLarge(f"the body has more than {limit} bytes")
        return self.body

    def answered_for_upstream(self, now: float) -> None:
        """Record it as if the upstream had taken no time."""
        self.upstream_latency_ms = 0
        self.proxy_latency_ms = int((now - self.started) * 1000)

    def exit(
        self, status: int, body: bytes = b"", headers: Sequence[tuple[bytes, bytes]] = ()
    ) -> NoReturn:
        """Record the answer and leave the handler."""
        self.answer = Answer(status, body, list(headers))
        self.status, self.response_source = status, "exit"
        raise ShortCircuit(status)

    def error(
        self,
        status: int,
        message: str | None = None,
        headers: Sequence[tuple[bytes, bytes]] = (),
    ) -> NoReturn:
        """Record the answer and leave the handler."""
        self.answer = Answer(status, b"", list(headers), message)
        self.status, self.response_source = status, "exit"
        raise ShortCircuit(status)
