"""The access log of twisted.web sites: the Admin and Status APIs."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from kongtx.proxy.interfaces import ILogSink


class _Connection:
    """The part of L{kongtx.proxy.interfaces.IClientConnection} that an access log reads."""

    __slots__ = ("local", "requests", "serial")

    def __init__(self, local: tuple[str, int]) -> None:
        self.local = local
        self.serial = 0
        self.requests = 0


def _address(address: Any) -> tuple[str, int]:
    """C{(host, port)} of a Twisted address; a UNIX socket is shown as nginx does."""
    host = getattr(address, "host", None)
    return (host, address.port) if host is not None else ("unix:", 0)


class WebEntry:
    """A request of twisted.web that has ended, with the names that an access log reads.

    @param request: a L{twisted.web.http.Request}; an attribute C{started}, in seconds of
        C{time.monotonic}, gives the time that it took.
    """

    upstream_status = 0
    upstream_latency_ms = -1
    proxy_latency_ms = 0
    tries: Sequence[Any] = ()
    route = service = consumer = None
    request_id = b""
    sni = b""

    def __init__(self, request: Any) -> None:
        self._request = request
        self.source = _address(request.getClientAddress())
        self.client_port = self.source[1]
        self.connection = _Connection(_address(request.getHost()))
        self.raw_method: bytes = request.method
        self.target: bytes = request.uri
        self.path, _, self.query = self.target.partition(b"?")
        self.http_version: bytes = request.clientproto.rpartition(b"/")[2]
        self.host: bytes = request.getRequestHostname()
        self.scheme = b"https" if request.isSecure() else b"http"
        self.status: int = request.code
        self.body_bytes_sent: int = request.sentLength
        self.response_size: int = request.sentLength
        self.request_size = int(request.getHeader(b"content-length") or 0)
        started = getattr(request, "started", 0.0)
        self.total_ms = round((time.monotonic() - started) * 1000) if started else 0

    @property
    def response_headers(self) -> list[tuple[bytes, bytes]]:
        """What was sent."""
        headers = self._request.responseHeaders.getAllRawHeaders()
        return [(name, value) for name, values in headers for value in values]

    def get_header(self, name: bytes) -> bytes | None:
        """The first value of a request header."""
        value: bytes | None = self._request.getHeader(name)
        return value


def log_site(site: Any, sink: ILogSink) -> None:
    """Write a line for each request of a site.

    @param site: a L{twisted.web.server.Site}.
    """

    def log(request: Any) -> None:
        entry: Any = WebEntry(request)
        sink.log(entry)

    site.log = log
