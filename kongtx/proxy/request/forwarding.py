"""The header that goes upstream. Hot path: one filter over the client's, one format for ours."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any, Final

from kongtx.http.heads import connection_tokens
from kongtx.http.paths import escape_path

if TYPE_CHECKING:
    from kongtx.proxy.request.context import RequestContext

Header = tuple[bytes, bytes]

# What the gateway sets itself, or what concerns one connection (RFC 9110 §7.6.1).
_ALWAYS_DROPPED: Final = frozenset(
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
#: What L{build_head} does not take from the request's headers.
DROPPED: Final = _ALWAYS_DROPPED | {_REQUEST_ID}
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
    """Whether the client says that it takes trailers (RFC 9110 §10.1.4)."""
    return any(
        token.strip().split(b";")[0].strip() == b"trailers"
        for name, value in request.headers
        if name == b"te"
        for token in value.lower().split(b",")
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


def build_head(request: RequestContext, host: bytes, upgrade: bytes, framing: bytes) -> bytes:
    """The head of the request to the upstream.

    @param host: the Host header's value.
    @param upgrade: of L{upgrade_wanted}.
    @param framing: the lines for the body's length; may be empty.
    """
    gateway = request.gateway
    match = request.match
    assert match is not None
    uri = escape_path(request.upstream_path)
    if request.query:
        uri = b"%b?%b" % (uri, request.query)
    elif request.target[-1:] == b"?":
        uri += b"?"
    # A client's next request mostly has the same fields: only the line, path and id are new.
    connection = request.connection
    key = (host, match.prefix, upgrade)
    lines = connection.memo
    names: Sequence[bytes] = request._names
    headers: Sequence[Header] = request.headers
    rebuilt = lines is None or lines[0] != key or gateway.trusted_peers
    added = b""
    if request.headers_changed:
        if request.added_lines is None:
            rebuilt = True
        else:
            names, headers = request.received_headers
            added = request.added_lines
    if rebuilt:
        lines = (key, *_build_lines(request, host, upgrade, names, headers))
        if not request.headers_changed or request.added_lines is not None:
            connection.memo = lines
    _, before, middle, after = lines
    path = request._fields.get(b"x-forwarded-path") if request.trusted else None
    return b"".join(
        (
            request.method,
            b" ",
            uri,
            before,
            request.raw_path if path is None else path,
            middle,
            request.request_id if gateway.sends_id_upstream else b"",
            after,
            added,
            framing,
            b"\r\n",
        )
    )


def _build_lines(
    request: RequestContext,
    host: bytes,
    upgrade: bytes,
    names: Sequence[bytes],
    headers: Sequence[Header],
) -> tuple[bytes, ...]:
    """What stands before the forwarded path, between it and the request's id, and after that."""
    gateway = request.gateway
    fields = request._fields
    match = request.match
    assert match is not None
    chain = _forwarded_for(request)
    prefix = match.prefix
    if request.trusted:
        prefix = fields.get(b"x-forwarded-prefix", prefix)
    before = b" HTTP/1.1\r\nHost: %b\r\nVia: %b\r\n%b\r\nX-Forwarded-Path: " % (
        host,
        gateway.via_upstream[request.minor],
        chain,
    )
    middle = b"\r\n"
    if prefix and prefix != b"/":
        middle = b"\r\nX-Forwarded-Prefix: %b\r\n" % prefix
    dropped = _ALWAYS_DROPPED
    after = b""
    if gateway.sends_id_upstream:
        middle += b"X-Kong-Request-Id: "
        dropped = DROPPED
        after = b"\r\n"
    if upgrade:
        after += b"Connection: keep-alive, Upgrade\r\nUpgrade: %b\r\n" % upgrade
    else:
        after += b"Connection: keep-alive\r\n"
    gone = _hop_by_hop(request)
    if b"te" in fields and wants_trailers(request):
        after += b"TE: trailers\r\n"
    kept = [
        b"%b: %b\r\n" % (name, header[1])
        for name, header in zip(names, headers, strict=True)
        if header[0] not in dropped and id(header) not in gone
    ]
    return before, middle, after + b"".join(kept)


def _hop_by_hop(request: RequestContext) -> Collection[int]:
    """The ids of the headers that the client has sent for this connection alone.

    A client cannot name those that plugins have set: it could make an upstream take it for another.
    """
    fields, headers = request._fields, request.headers
    named = fields.get(b"connection")
    if named is None or (named in _COMMON_CONNECTION and len(fields) == len(headers)):
        return ()
    received = request.received_headers[1] if request.headers_changed else headers
    tokens = frozenset(connection_tokens(received))
    return {id(header) for header in received if header[0] in tokens}


def _forwarded_for(request: RequestContext) -> bytes:
    """X-Forwarded-For, -Proto, -Port, -Host and X-Real-IP, as far as the peer may tell them."""
    fields = request._fields
    gateway = request.gateway
    connection = request.connection
    before = fields.get(b"x-forwarded-for")
    if before is None:
        chain = request.client_ip.encode()
    else:
        said = [value for name, value in request.headers if name == b"x-forwarded-for"]
        chain = b", ".join((*said, connection.peer[0].encode()))
    port = connection.local[1]
    forwarded_port = b"%d" % gateway.port_maps.get(port, port)
    if request.trusted:
        forwarded_port = fields.get(b"x-forwarded-port", forwarded_port)
    lines = (
        b"X-Forwarded-For: %b\r\nX-Forwarded-Proto: %b\r\nX-Forwarded-Port: %b\r\nX-Real-IP: %b"
        % (chain, forwarded_scheme(request), forwarded_port, request.client_ip.encode())
    )
    host = forwarded_host(request)
    return b"%b\r\nX-Forwarded-Host: %b" % (lines, host) if host else lines


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
