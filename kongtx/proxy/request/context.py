"""The request that every phase works on. Hot path: one object a request."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from typing import TYPE_CHECKING, Any, NoReturn

import attrs
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from zope.interface import implementer

from kongtx.http.lines import CR, LF, NUL, HeaderBlock
from kongtx.proxy import pages
from kongtx.proxy.errors import BodyLost
from kongtx.proxy.interfaces import BodyTooLarge, IRequestContext, ITry, ShortCircuit
from kongtx.proxy.request.bodies import BodyStore
from kongtx.proxy.request.forwarding import DROPPED
from kongtx.proxy.request.response_headers import ResponseHeaders
from kongtx.proxy.tracebacks import show

if TYPE_CHECKING:
    from kongtx.balancer.hashing import HashCookie
    from kongtx.proxy.gateway import Gateway
    from kongtx.router.interfaces import IMatch

Header = tuple[bytes, bytes]


@attrs.frozen
class Answer:
    """What a short circuit answers."""

    status: int
    body: bytes
    headers: Sequence[Header]
    #: C{exit} or C{error}.
    source: str


@implementer(ITry)
@attrs.frozen
class Try:
    """One attempt at a peer (L{kongtx.proxy.interfaces.ITry})."""

    address: str
    port: int
    started: float
    balancer_ms: int
    state: str = ""
    code: int = 0


@implementer(IRequestContext)
class RequestContext(ResponseHeaders):
    """Data of one request, and what plugins may do to it (L{IRequestContext})."""

    # What every request sets has a slot. The rest are class attributes with a default, and live in
    # the instance's dictionary, which is made when the first of them is set. (A __getattr__ for
    # defaults would cost every access to the slots, too.)
    __slots__ = (
        "_body",
        "_fields",
        "_names",
        "added_lines",
        "answer",
        "body_complete",
        "buffered",
        "client_ip",
        "client_port",
        "connection",
        "consumer",
        "credential",
        "gateway",
        "hash_cookie",
        "headers",
        "headers_changed",
        "headers_sent",
        "host",
        "host_port",
        "match",
        "method",
        "minor",
        "path",
        "pdk",
        "phase",
        "proxy_latency_ms",
        "query",
        "raw_method",
        "raw_path",
        "request_id",
        "response_source",
        "retries",
        "route",
        "service",
        "started",
        "status",
        "target",
        "timeouts_ms",
        "trusted",
        "upstream_body",
        "upstream_host",
        "upstream_latency_ms",
        "upstream_path",
        "upstream_scheme",
        "upstream_status",
        "upstream_target",
        "upstream_tls",
    )

    answer: Answer | None
    body_complete: bool
    buffered: bool
    client_ip: str
    client_port: int
    consumer: Mapping[str, Any] | None
    credential: Mapping[str, Any] | None
    hash_cookie: HashCookie | None
    headers_changed: bool
    headers_sent: bool
    match: IMatch | None
    path: bytes
    pdk: Any
    phase: str
    proxy_latency_ms: int
    query: bytes
    raw_path: bytes
    response_source: str
    retries: int | None
    route: Mapping[str, Any] | None
    service: Mapping[str, Any] | None
    started: float
    status: int
    timeouts_ms: tuple[int, int, int] | None
    trusted: bool
    upstream_body: bytes | None
    upstream_host: bytes
    upstream_latency_ms: int
    upstream_path: bytes
    upstream_scheme: bytes
    upstream_status: int
    upstream_target: tuple[str, int] | None
    upstream_tls: Mapping[str, Any] | None
    _body: BodyStore | None

    authenticated_groups: Sequence[str] | None = None
    chunk = b""
    chunk_is_last = False
    #: Once they are changed: names and headers as received.
    received_headers: tuple[Sequence[bytes], Sequence[Header]] = ((), ())
    #: All that was changed, if headers have been added only and the gateway sets none of them
    #: itself, as lines; else L{None}.
    added_lines: bytes | None
    receive_ms = 0
    retry_target: Callable[[], tuple[str, int]] | None = None
    stands_for_upstream = False
    total_ms = 0
    upstream_response_body: bytes | None = None
    _body_limit = 0
    _body_waiter: Deferred[bytes] | None = None
    _failed_tries: tuple[Try, ...] = ()
    _log_values: list[tuple[str, Any, str]] | None = None
    _plugin_data: dict[Any, Any] | None = None
    _shared: dict[Any, Any] | None = None

    @property
    def consumer_id(self) -> str:
        """The consumer's id, else the credential's, else empty."""
        entity = self.consumer or self.credential
        return entity["id"] if entity else ""

    def __init__(
        self,
        gateway: Gateway,
        connection: Any,
        method: bytes,
        target: bytes,
        minor: int,
        headers: list[Header],
        names: list[bytes],
        fields: dict[bytes, bytes],
        host: bytes,
        host_port: int,
    ) -> None:
        """A request as it came.

        @param connection: the channel: an L{kongtx.http.interfaces.IServerChannel}.
        @param minor: HTTP's minor version, or 2 for HTTP/2.
        @param headers: lower-case names and values.
        @param names: the same headers' names as received.
        @param fields: the first value of each header.
        @param host: in lower case, without port.
        @param host_port: 0 when none is given.
        """
        self.gateway = gateway
        self.connection = connection
        self.method = self.raw_method = method
        self.target = target
        self.minor = minor
        self.headers = headers
        self._names = names
        self._fields = fields
        self.host = host
        self.host_port = host_port or connection.local[1]
        self.request_id = gateway.new_request_id()
        self._body = self.answer = self.match = self.retries = self.timeouts_ms = None
        self.upstream_body = self.upstream_target = self.upstream_tls = None
        self.consumer = self.credential = self.pdk = self.hash_cookie = self.added_lines = None
        self.upstream_host = b""
        self.phase = ""
        self.buffered = self.trusted = self.headers_sent = self.headers_changed = False
        self._response_headers = []
        self._response_head = self._response_lines = b""
        self._response_added = self._upstream_head = None
        self.route = self.service = None
        self.path = self.raw_path = self.query = b""
        self.upstream_path = self.upstream_scheme = b""
        self.response_source = "error"
        self.status = self.upstream_status = 0
        self.proxy_latency_ms = self.upstream_latency_ms = -1

    # -- scratch -----------------------------------------------------------------------------
    @property
    def shared(self) -> dict[Any, Any]:
        if self._shared is None:
            self._shared = {}
        return self._shared

    @property
    def log_values(self) -> list[tuple[str, Any, str]]:
        if self._log_values is None:
            self._log_values = []
        return self._log_values

    @property
    def plugin_data(self) -> dict[Any, Any]:
        if self._plugin_data is None:
            self._plugin_data = {}
        return self._plugin_data

    # -- facts -------------------------------------------------------------------------------
    @property
    def scheme(self) -> bytes:
        return b"https" if self.connection.is_tls else b"http"

    @property
    def sni(self) -> bytes:
        sni: bytes = self.connection.sni
        return sni

    @property
    def source(self) -> tuple[str, int]:
        return self.client_ip, self.client_port

    @property
    def destination(self) -> tuple[str, int]:
        local: tuple[str, int] = self.connection.local
        return local

    @property
    def http_version(self) -> bytes:
        return (b"1.0", b"1.1", b"2")[self.minor]

    @property
    def captures(self) -> tuple[Sequence[bytes], Mapping[str, bytes]]:
        match = self.match
        return ((), {}) if match is None else match.captures

    @property
    def tries(self) -> Sequence[Try]:
        return self._failed_tries

    @property
    def request_size(self) -> int:
        connection = self.connection
        size: int = connection.head_received + connection.body_received
        return size

    @property
    def response_size(self) -> int:
        size: int = self.connection.head_sent + self.connection.body_sent
        return size

    @property
    def body_bytes_sent(self) -> int:
        size: int = self.connection.body_sent
        return size

    # -- request headers ---------------------------------------------------------------------
    def get_header(self, name: bytes) -> bytes | None:
        return self._fields.get(name)

    def get_headers(self, name: bytes) -> list[bytes]:
        fields = self._fields
        if name not in fields:
            return []
        if len(fields) == len(self.headers):  # none is there twice
            return [fields[name]]
        return [value for key, value in self.headers if key == name]

    def set_header(self, name: bytes, value: bytes) -> None:
        lower = name.lower()
        if lower in self._fields:
            self._own_headers()
            self._remove({lower})
        self._append(name, lower, value)

    def add_header(self, name: bytes, value: bytes) -> None:
        self._append(name, name.lower(), value)

    def _append(self, name: bytes, lower: bytes, value: bytes) -> None:
        octets = name + value
        if LF in octets or CR in octets or NUL in octets:
            raise ValueError(f"header {name!r} would break the message: CR, LF or NUL in it")
        if self.headers_changed:
            self._names.append(name)
            self.headers.append((lower, value))
        else:
            self._keep_received()
            self._names = [*self._names, name]
            self.headers = [*self.headers, (lower, value)]
            self._fields = dict(self._fields)
        self._fields.setdefault(lower, value)
        if lower in DROPPED:
            self.added_lines = None
            if lower == b"host":
                self.upstream_host = value
        elif self.added_lines is not None:
            self.added_lines += b"%b: %b\r\n" % (name, value)

    def clear_header(self, name: bytes) -> None:
        lower = name.lower()
        if lower in self._fields:
            self._own_headers()
            self._remove({lower})

    def replace_headers(self, names: Set[bytes], block: HeaderBlock) -> None:
        fields = self._fields
        if not names.isdisjoint(fields):
            self._own_headers()
            self._remove(names)
            fields = self._fields
        if self.headers_changed:
            self._names += block.names
            self.headers += block.lowered
        else:
            # These are copies, so that what was received stays as it was.
            self._keep_received()
            self._names = [*self._names, *block.names]
            self.headers = [*self.headers, *block.lowered]
        self._fields = {**block.fields, **fields}
        added = self.added_lines
        if added is not None:
            if block.memo is None:
                block.memo = DROPPED.isdisjoint(block.fields)
            self.added_lines = added + block.lines if block.memo else None

    def _keep_received(self) -> None:
        """Before the first change: the connection's next request may share these headers."""
        self.headers_changed = True
        self.received_headers = self._names, self.headers
        self.added_lines = b""

    def _own_headers(self) -> None:
        """Take a copy of the headers, if this is the first change."""
        if not self.headers_changed:
            self._keep_received()
            self._names = list(self._names)
            self.headers = list(self.headers)
            self._fields = dict(self._fields)

    def _remove(self, names: Set[bytes]) -> None:
        self.added_lines = None
        for name in names:
            self._fields.pop(name, None)
        kept = [index for index, header in enumerate(self.headers) if header[0] not in names]
        self._names = [self._names[index] for index in kept]
        self.headers = [self.headers[index] for index in kept]

    # -- the request's body ------------------------------------------------------------------
    def read_body(self, limit: int = 0) -> bytes | Deferred[bytes]:
        store = self._body
        if limit and store is not None and store.size > limit:
            raise BodyTooLarge(f"the body has more than {limit} bytes")
        if self.body_complete:
            return b"" if store is None else store.value()
        self.connection.send_continue()
        self.connection.resume_body()
        waiter: Deferred[bytes] = Deferred()
        self._body_waiter = waiter
        self._body_limit = limit
        return waiter

    def _body_grew(self, size: int) -> None:
        """Some more of the body is here, and somebody waits for all of it."""
        limit = self._body_limit
        if limit and size > limit:
            self._body_arrived(BodyTooLarge(f"the body has more than {limit} bytes"))

    def _body_arrived(self, failure: BodyLost | BodyTooLarge | None = None) -> None:
        waiter = self._body_waiter
        if waiter is None:
            return
        self._body_waiter = None
        if failure is not None:
            waiter.errback(failure)
        else:
            waiter.callback(b"" if self._body is None else self._body.value())

    # -- short circuits ----------------------------------------------------------------------
    def answered_for_upstream(self, now: float) -> None:
        self.stands_for_upstream = True
        self.upstream_latency_ms = 0
        self.proxy_latency_ms = max(0, int((now - self.started) * 1000))

    def exit(self, status: int, body: bytes = b"", headers: Sequence[Header] = ()) -> NoReturn:
        self.answer = Answer(status, body, tuple(headers), "exit")
        raise ShortCircuit(f"answered with {status}")

    def error(
        self, status: int, message: str | None = None, headers: Sequence[Header] = ()
    ) -> NoReturn:
        self.answer = self.error_answer(status, message, headers, "exit")
        raise ShortCircuit(f"answered with {status}")

    def error_answer(
        self,
        status: int,
        message: str | None,
        headers: Sequence[Header] = (),
        source: str = "error",
    ) -> Answer:
        """An answer with an error body in the form that the client accepts.

        @param message: L{None}: the status's own.
        @param source: C{exit} or C{error}, for logs.
        """
        if message is None:
            message = pages.error_message(status)
        if self._is_grpc():
            return Answer(
                status,
                b"",
                (
                    *headers,
                    (b"Content-Type", pages.GRPC),
                    (b"grpc-status", b"%d" % pages.grpc_status(status)),
                    (b"grpc-message", message.encode()),
                ),
                source,
            )
        chosen = self._accepted()
        body = self.gateway.pages.render(chosen, message, self.request_id)
        return Answer(status, body, (*headers, (b"Content-Type", chosen)), source)

    def failure_answer(self, failure: Failure | None = None) -> Answer:
        """The answer to a request that failed: only in development mode it tells why.

        @param failure: L{None} for the exception that is being handled.
        """
        if not self.gateway.shows_tracebacks or self._is_grpc():
            return self.error_answer(500, None)
        chosen, body = show(failure or Failure(), self._accepted(), self.request_id)
        return Answer(500, body, ((b"Content-Type", chosen),), "error")

    def _is_grpc(self) -> bool:
        return self.minor == 2 and self._fields.get(b"content-type", b"").startswith(pages.GRPC)

    def _accepted(self) -> bytes:
        """The type of error bodies that the client accepts."""
        accept = self._fields.get(b"accept")
        if accept is not None:
            accept = b",".join(value for name, value in self.headers if name == b"accept")
        return pages.negotiate(accept)
