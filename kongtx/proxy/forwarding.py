"""The header that goes upstream. Hot path: one filter over the client's, one format for ours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from kongtx.http.heads import connection_tokens
from kongtx.http.paths import escape_path

if TYPE_CHECKING:
    from kongtx.proxy.context import RequestContext

# What the gateway sets itself, or what concerns one connection (RFC 9110 §7.6.1).
_DROPPED: Final = frozenset(
    (
        b"connection",
        b"content-length",
        b"expect",
        b"host",
        b"keep-alive",
        b"proxy",
        b"proxy-connection",
        b"te",
        b"transfer-encoding",
        b"upgrade",
        b"via",
        b"x-forwarded-for",
        b"x-forwarded-host",
        b"x-forwarded-path",
        b"x-forwarded-port",
        b"x-forwarded-prefix",
        b"x-forwarded-proto",
        b"x-real-ip",
    )
)
_REQUEST_ID: Final = b"x-kong-request-id"
_DROPPED_WITH_ID: Final = _DROPPED | {_REQUEST_ID}
_COMMON_CONNECTION: Final = frozenset((b"keep-alive", b"close", b"Keep-Alive", b"Close"))


def upgrade_wanted(request: RequestContext) -> bytes:
    """The protocol that the client wants to switch to; empty if none that is passed on.

    HTTP/2 by upgrade is not passed on: the upstream would then speak past the gateway's checks.
    """
    fields = request._fields
    protocol = fields.get(b"upgrade")
    if protocol is None or request.minor != 1:
        return b""
    if b"upgrade" not in connection_tokens(request.headers):
        return b""
    name = protocol.strip().lower()
    if not name or name.startswith((b"h2", b"http/", b"tls/")):
        return b""
    return protocol


def wants_trailers(request: RequestContext) -> bool:
    return any(
        token.strip().split(b";")[0].strip() == b"trailers"
        for name, value in request.headers
        if name == b"te"
        for token in value.lower().split(b",")
    )


def _forwarded(request: RequestContext) -> bytes:
    """X-Forwarded-For to -Port and X-Real-IP of an untrusted client's connection."""
    gateway = request.gateway
    connection = request.connection
    address = request.client_ip.encode()
    port = connection.local[1]
    return (
        b"%b\r\nX-Forwarded-Proto: %b\r\nX-Forwarded-Port: %d\r\nX-Real-IP: %b\r\n"
        b"X-Forwarded-Host: "
        % (address, request.scheme, gateway.port_maps.get(port, port), address)
    )


def _forwarded_by_trusted(request: RequestContext) -> bytes:
    """All X-Forwarded headers but For's beginning, as a trusted peer says."""
    fields = request._fields
    gateway = request.gateway
    connection = request.connection
    port = connection.local[1]
    return (
        b"%b\r\nX-Forwarded-Proto: %b\r\nX-Forwarded-Port: %b\r\nX-Real-IP: %b\r\n"
        b"X-Forwarded-Host: %b\r\nX-Forwarded-Path: %b"
        % (
            (connection.peer[0] if b"x-forwarded-for" in fields else request.client_ip).encode(),
            fields.get(b"x-forwarded-proto", request.scheme),
            fields.get(b"x-forwarded-port", b"%d" % gateway.port_maps.get(port, port)),
            request.client_ip.encode(),
            fields.get(b"x-forwarded-host", request.host),
            fields.get(b"x-forwarded-path", request.raw_path),
        )
    )


def forwarded_scheme(request: RequestContext) -> bytes:
    """The scheme the client used, as far as the peer is trusted to tell."""
    if request.trusted:
        return request._fields.get(b"x-forwarded-proto", request.scheme)
    return request.scheme


def forwarded_host(request: RequestContext) -> bytes:
    """The host the client asked for, as far as the peer is trusted to tell."""
    if request.trusted:
        return request._fields.get(b"x-forwarded-host", request.host)
    return request.host


def build_head(request: RequestContext, host: bytes, upgrade: bytes, framing: bytes) -> bytes:  # noqa: PLR0912
    """The head of the request to the upstream.

    @param host: the Host header's value.
    @param upgrade: of L{upgrade_wanted}.
    @param framing: the lines for the body's length; may be empty.
    """
    gateway = request.gateway
    fields = request._fields
    match = request.match
    assert match is not None
    uri = escape_path(request.upstream_path)
    if request.query:
        uri = b"%b?%b" % (uri, request.query)
    elif request.target[-1:] == b"?":
        uri += b"?"
    connection = request.connection
    prefix = match.prefix
    if request.trusted:
        tail = _forwarded_by_trusted(request)
        prefix = fields.get(b"x-forwarded-prefix", prefix)
    else:
        if gateway.trusted_peers:
            block = _forwarded(request)
        else:
            block = connection.memo
            if block is None:
                block = connection.memo = _forwarded(request)
        tail = b"%b%b\r\nX-Forwarded-Path: %b" % (block, request.host, request.raw_path)
    before = fields.get(b"x-forwarded-for")
    if before is not None:
        before = b", ".join([v for n, v in request.headers if n == b"x-forwarded-for"])
        tail = b"%b, %b" % (before, tail)
    if prefix and prefix != b"/":
        tail = b"%b\r\nX-Forwarded-Prefix: %b" % (tail, prefix)
    if gateway.sends_id_upstream:
        tail = b"%b\r\nX-Kong-Request-Id: %b" % (tail, request.request_id)
        dropped = _DROPPED_WITH_ID
    else:
        dropped = _DROPPED
    if upgrade:
        tail = b"%b\r\nConnection: keep-alive, Upgrade\r\nUpgrade: %b" % (tail, upgrade)
    else:
        tail += b"\r\nConnection: keep-alive"
    named = fields.get(b"connection")
    if named is not None and named not in _COMMON_CONNECTION:
        dropped = dropped | frozenset(connection_tokens(request.headers))
    if b"te" in fields and wants_trailers(request):
        tail += b"\r\nTE: trailers"
    kept = [
        b"%b: %b\r\n" % (name, header[1])
        for name, header in zip(request._names, request.headers, strict=False)
        if header[0] not in dropped
    ]
    return b"%b %b HTTP/1.1\r\nHost: %b\r\nVia: %b\r\nX-Forwarded-For: %b\r\n%b%b\r\n" % (
        request.method,
        uri,
        host,
        gateway.via_upstream[request.minor],
        tail,
        b"".join(kept),
        framing,
    )


def response_headers(channel: Any, request: RequestContext) -> list[tuple[bytes, bytes]]:
    """The upstream's headers that go on to the client, without those of its connection."""
    headers: list[tuple[bytes, bytes]] = channel.headers
    special: dict[bytes, bytes] = channel.special
    connection = special.get(b"connection")
    if connection is not None and connection.lower() not in (b"keep-alive", b"close", b"upgrade"):
        named = {token.strip() for token in connection.lower().split(b",")}
        headers = [header for header in headers if header[0].lower() not in named]
    fields = request._fields
    if b"trailer" in special and b"te" in fields and wants_trailers(request):
        headers = [*headers, (b"Trailer", special[b"trailer"])]
    return headers
