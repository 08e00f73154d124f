"""A request as a value: for asking a router without a connection."""

from __future__ import annotations

from collections.abc import Iterable

import attrs
from zope.interface import implementer

from kongtx.http.paths import normalise_path, split_target
from kongtx.router.conditions import split_port
from kongtx.router.errors import RouterError
from kongtx.router.interfaces import IRouteRequest

_PORTS = {"http": 80, "https": 443}


@implementer(IRouteRequest)
@attrs.frozen(kw_only=True)
class RouteRequest:
    """The facts of a request; see L{IRouteRequest}. For a connection only the last four count."""

    method: bytes = b"GET"
    host: bytes = b""
    host_port: int = 80
    path: bytes = b"/"
    query: bytes = b""
    headers: list[tuple[bytes, bytes]] = attrs.field(factory=list)
    scheme: bytes = b"http"
    sni: bytes = b""
    source: tuple[str, int] = ("127.0.0.1", 0)
    destination: tuple[str, int] = ("127.0.0.1", 0)


def request_for(
    method: str, url: str, headers: Iterable[tuple[str, str]] = (), source: str = "127.0.0.1"
) -> RouteRequest:
    """Make the request that a client makes for a URL.

    @param method: the method.
    @param url: C{http://host:port/path?query}, or C{/path?query} alone; for a connection
        C{tcp://address:port}, C{udp://...} or C{tls://server-name:port}.
    @param headers: names and values; C{Host} counts before the URL's own.
    @param source: the client's address.
    @raise RouterError: when the URL has a scheme or port that cannot be.
    """
    scheme, separator, rest = url.partition("://")
    if not separator or "/" in scheme or "?" in scheme:
        # What has one behind its path or in its query is a path all the same.
        scheme, rest = "http", url
    if scheme not in {"http", "https", "tcp", "tls", "udp"}:
        raise RouterError(f"'{url}' has the unknown scheme '{scheme}'")
    cut = next((at for at, char in enumerate(rest) if char in "/?"), len(rest))
    authority, target = rest[:cut], rest[cut:]
    fields = [(name.lower(), value) for name, value in headers]
    for name, value in fields:
        if name == "host":
            authority = value
    name, port = split_port(authority.lower())
    if not authority.startswith("[") and name.count(":") == 1:
        raise RouterError(f"'{authority}' has a port that is no number")
    path, query = split_target(target.encode())
    secure = scheme in {"https", "tls"}
    port = port if port is not None else _PORTS.get(scheme, 0)
    return RouteRequest(
        method=method.encode(),
        host=name.encode(),
        host_port=port,
        path=normalise_path(path or b"/"),
        query=query,
        headers=[(name.encode(), value.encode()) for name, value in fields],
        scheme=scheme.encode(),
        sni=name.encode() if secure else b"",
        source=(source, 0),
        destination=(name if scheme in {"tcp", "udp"} else "127.0.0.1", port),
    )
