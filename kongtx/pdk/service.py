"""C{kong.service}: where a request goes, what goes there, and what came back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from kongtx.pdk import body as bodies
from kongtx.pdk.errors import ArgumentError, PDKError
from kongtx.pdk.node import Node
from kongtx.pdk.phases import (
    ACCESS,
    ANSWERED,
    BEFORE_PEER,
    BEFORE_UPSTREAM,
    only_in,
)
from kongtx.pdk.request import check_limit
from kongtx.pdk.text import (
    HeaderValue,
    encode,
    encode_arguments,
    header_name,
    header_values,
    headers_to_mapping,
    parse_arguments,
)
from kongtx.proxy.interfaces import IRequestContext
from kongtx.tls.pairs import Pair

_ACCESS = frozenset({ACCESS})
_METHODS = frozenset(
    b"GET HEAD PUT POST DELETE OPTIONS MKCOL COPY MOVE PROPFIND PROPPATCH LOCK UNLOCK PATCH "
    b"TRACE".split()
)
_LONGEST_TIMEOUT_MS = 2**31 - 2


class ServiceRequest:
    """C{kong.service.request}: what goes upstream."""

    __slots__ = ("_node", "_request")

    def __init__(self, request: IRequestContext, node: Node) -> None:
        self._request = request
        self._node = node

    @only_in(BEFORE_PEER, "service.request.enable_buffering")
    def enable_buffering(self) -> None:
        """Hold the whole upstream response, so that C{kong.service.response} has its body."""
        self._request.buffered = True

    @only_in(BEFORE_PEER, "service.request.set_scheme")
    def set_scheme(self, scheme: str) -> None:
        """C{"http"} or C{"https"}."""
        if scheme not in ("http", "https"):
            raise ArgumentError(f"scheme {scheme!r}: must be 'http' or 'https'")
        self._request.upstream_scheme = scheme.encode()

    @only_in(BEFORE_PEER, "service.request.set_path")
    def set_path(self, path: str) -> None:
        """The path to ask for, percent-encoded, without query; begins with a slash."""
        if not path.startswith("/"):
            raise ArgumentError(f"path {path!r}: must start with /")
        raw = encode(path)
        if any(byte <= 0x20 or byte in b"?#\x7f" for byte in raw):
            raise ArgumentError(f"path {path!r}: must not have spaces, control characters, ? or #")
        self._request.upstream_path = raw

    @only_in(BEFORE_UPSTREAM, "service.request.set_raw_query")
    def set_raw_query(self, query: str) -> None:
        """The query, percent-encoded, without its question mark."""
        raw = encode(query)
        if any(byte <= 0x20 or byte in b"#\x7f" for byte in raw):
            raise ArgumentError(f"query {query!r}: must not have spaces, control characters or #")
        self._request.query = raw

    @only_in(BEFORE_UPSTREAM, "service.request.set_query")
    def set_query(self, arguments: Mapping[str, Any]) -> None:
        """The query's arguments, instead of all there are: names sorted, lists repeated."""
        self._request.query = encode_arguments(arguments)

    @only_in(BEFORE_UPSTREAM, "service.request.clear_query_arg")
    def clear_query_arg(self, name: str) -> None:
        """Remove an argument; the others keep their order and encoding."""
        kept = [a.raw for a in parse_arguments(self._request.query) if a.name != name]
        self._request.query = b"&".join(kept)

    @only_in(BEFORE_UPSTREAM, "service.request.set_method")
    def set_method(self, method: str) -> None:
        """The method, upper case."""
        if encode(method) not in _METHODS:
            names = b", ".join(sorted(_METHODS)).decode()
            raise ArgumentError(f"method {method!r}: must be one of {names}")
        self._request.method = encode(method)

    @only_in(BEFORE_PEER, "service.request.set_header")
    def set_header(self, name: str, value: HeaderValue | Sequence[HeaderValue]) -> None:
        """Replace all values of a header; a list sets several. Host sets the upstream's host."""
        raw, values = header_name(name), header_values(name, value)
        if raw.lower() == b"host":
            self._request.upstream_host = values[-1] if values else b""
            return
        self._request.clear_header(raw.lower())
        for each in values:
            self._request.add_header(raw, each)

    @only_in(BEFORE_UPSTREAM, "service.request.add_header")
    def add_header(self, name: str, value: HeaderValue | Sequence[HeaderValue]) -> None:
        """Add a value, or several, to a header."""
        raw, values = header_name(name), header_values(name, value)
        if raw.lower() == b"host":
            self._request.upstream_host = values[-1] if values else b""
            return
        for each in values:
            self._request.add_header(raw, each)

    @only_in(BEFORE_UPSTREAM, "service.request.clear_header")
    def clear_header(self, name: str) -> None:
        """Remove a header."""
        self._request.clear_header(header_name(name).lower())

    @only_in(BEFORE_UPSTREAM, "service.request.set_headers")
    def set_headers(self, headers: Mapping[str, HeaderValue | Sequence[HeaderValue]]) -> None:
        """As L{set_header} for each; other headers stay."""
        for name, value in headers.items():
            self.set_header(name, value)

    @only_in(BEFORE_PEER, "service.request.set_raw_body")
    def set_raw_body(self, body: bytes | str) -> None:
        """Send this body instead of the client's; Content-Length follows."""
        self._request.upstream_body = encode(body)

    @only_in(BEFORE_PEER, "service.request.set_body")
    def set_body(
        self, content: Mapping[str, Any] | list[Any], content_type: str | None = None
    ) -> None:
        """Send a body of this content, written as the Content-Type given or received says.

        @raise PDKError: if neither says.
        """
        if content_type is None:
            received = self._request.get_header(b"content-type")
            if received is None:
                raise PDKError(
                    "content type was neither explicitly given as an argument or received"
                )
            content_type = received.decode("latin-1")
        body, content_type = bodies.make(content, content_type)
        self._request.upstream_body = body
        self._request.set_header(b"Content-Type", content_type.encode("latin-1"))


class ServiceResponse:
    """C{kong.service.response}: what the upstream answered, as it sent it."""

    __slots__ = ("_node", "_request")

    def __init__(self, request: IRequestContext, node: Node) -> None:
        self._request = request
        self._node = node

    @only_in(ANSWERED, "service.response.get_status")
    def get_status(self) -> int | None:
        """The status of the last attempt; L{None} if none answered."""
        return self._request.upstream_status or None

    @only_in(ANSWERED, "service.response.get_header")
    def get_header(self, name: str) -> str | None:
        """The first value of a header that the upstream sent."""
        wanted = name.lower().replace("_", "-").encode("latin-1", "replace")
        for key, value in self._request.upstream_headers:
            if key.lower() == wanted:
                return value.decode("latin-1")
        return None

    @only_in(ANSWERED, "service.response.get_headers")
    def get_headers(self, limit: int | None = None) -> dict[str, str | list[str]]:
        """The headers that the upstream sent, names in lower case; a repeated one is a list."""
        limit = check_limit(limit, self._node.configuration.lua_max_resp_headers)
        return headers_to_mapping(self._request.upstream_headers, limit)

    @only_in(ANSWERED, "service.response.get_raw_body")
    def get_raw_body(self) -> bytes:
        """The upstream's whole body.

        @raise PDKError: unless the response is buffered.
        """
        body = self._request.upstream_response_body
        if body is None:
            raise PDKError("service body is only available with buffered proxying")
        return body

    @only_in(ANSWERED, "service.response.get_body")
    def get_body(self, content_type: str | None = None, max_args: int | None = None) -> Any:
        """The upstream's body, parsed as its Content-Type or the one given says."""
        limit = check_limit(max_args, self._node.configuration.lua_max_post_args)
        return bodies.parse(
            self.get_raw_body(), content_type or self.get_header("content-type"), limit
        )


class Service:
    """Where the request goes."""

    __slots__ = ("_node", "_request", "_service_request", "_service_response")

    def __init__(self, request: IRequestContext, node: Node) -> None:
        self._request = request
        self._node = node
        self._service_request: ServiceRequest | None = None
        self._service_response: ServiceResponse | None = None

    @property
    def request(self) -> ServiceRequest:
        """What goes upstream."""
        if self._service_request is None:
            self._service_request = ServiceRequest(self._request, self._node)
        return self._service_request

    @property
    def response(self) -> ServiceResponse:
        """What the upstream answered."""
        if self._service_response is None:
            self._service_response = ServiceResponse(self._request, self._node)
        return self._service_response

    @only_in(_ACCESS, "service.set_upstream")
    def set_upstream(self, name: str) -> None:
        """Send the request to an upstream entity instead of the service's host.

        @raise PDKError: if there is none of that name.
        """
        if not self._node.has_upstream(name):
            raise PDKError(f"could not find an Upstream named '{name}'")
        service = self._request.service
        self._request.upstream_target = (name, service["port"] if service else 80)

    @only_in(BEFORE_PEER, "service.set_target")
    def set_target(self, host: str, port: int) -> None:
        """Send the request to this host, an address or a name, and port."""
        if not 0 <= port <= 65535:
            raise ArgumentError(f"port {port!r}: must be from 0 to 65535")
        if not host:
            raise ArgumentError("host: must not be empty")
        self._request.upstream_target = (host, port)

    @only_in(_ACCESS, "service.set_target_retry_callback")
    def set_target_retry_callback(self, callback: Callable[[], tuple[str, int]]) -> None:
        """Have a function asked for host and port before each further attempt; it never waits."""
        if not callable(callback):
            raise ArgumentError(f"callback {callback!r}: must be a function")
        self._request.retry_target = callback

    @only_in(_ACCESS, "service.set_retries")
    def set_retries(self, retries: int) -> None:
        """How often to try again, instead of the service's C{retries}."""
        if not 0 <= retries <= 32767:
            raise ArgumentError(f"retries {retries!r}: must be from 0 to 32767")
        self._request.retries = retries

    @only_in(_ACCESS, "service.set_timeouts")
    def set_timeouts(self, connect_ms: int, write_ms: int, read_ms: int) -> None:
        """The three timeouts in milliseconds, instead of the service's."""
        for each in (connect_ms, write_ms, read_ms):
            if not 1 <= each <= _LONGEST_TIMEOUT_MS:
                raise ArgumentError(f"timeout {each!r}: must be from 1 to {_LONGEST_TIMEOUT_MS} ms")
        self._request.timeouts_ms = (connect_ms, write_ms, read_ms)

    @only_in(BEFORE_PEER, "service.set_tls_verify")
    def set_tls_verify(self, verify: bool) -> None:
        """Whether the upstream's certificate is verified, instead of C{service.tls_verify}."""
        self._override("tls_verify", verify)

    @only_in(BEFORE_PEER, "service.set_tls_verify_depth")
    def set_tls_verify_depth(self, depth: int) -> None:
        """How many certificates may stand between the upstream's and a trusted one."""
        if not 0 <= depth <= 64:
            raise ArgumentError(f"depth {depth!r}: must be from 0 to 64")
        self._override("tls_verify_depth", depth)

    @only_in(BEFORE_PEER, "service.set_tls_verify_store")
    def set_tls_verify_store(self, ca_certificate_ids: Sequence[str]) -> None:
        """The CA certificates (entity ids) that the upstream's certificate is verified with."""
        self._override("ca_certificates", tuple(ca_certificate_ids))

    @only_in(BEFORE_PEER, "service.set_tls_cert_key")
    def set_tls_cert_key(self, chain: str, key: str) -> None:
        """The client certificate to present, as PEM texts of its chain and its private key."""
        self._override("client_certificate", Pair(chain, key, "the certificate of a plugin"))

    def _override(self, name: str, value: Any) -> None:
        self._request.upstream_tls = {**(self._request.upstream_tls or {}), name: value}
