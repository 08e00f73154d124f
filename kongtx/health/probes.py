"""One check of one address over HTTP, HTTPS, TCP or gRPC."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs
from twisted.internet import defer
from twisted.internet.defer import Deferred
from twisted.internet.error import TimeoutError as ConnectTimeout
from twisted.internet.protocol import ClientFactory, Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from kongtx.errors import KongtxError
from kongtx.health.grpc import GRPCCheck
from kongtx.health.interfaces import IProber
from kongtx.health.machine import Outcome
from kongtx.net.tls import connect_tls

_MAX_STATUS_LINE = 8192

TLSContext = Callable[[Mapping[str, Any], bool, Sequence[str]], ssl.SSLContext]


@attrs.frozen(slots=True)
class Probe:
    """What to check, and how.

    @ivar upstream: the upstream entity.
    @ivar address: an IP literal.
    @ivar host: the Host header, and the TLS name where C{https_sni} is not set.
    """

    upstream: Mapping[str, Any]
    address: str
    port: int
    host: str

    @property
    def active(self) -> Mapping[str, Any]:
        """C{healthchecks.active}."""
        active: Mapping[str, Any] = self.upstream["healthchecks"]["active"]
        return active


def default_tls_context(
    upstream: Mapping[str, Any], verify: bool, protocols: Sequence[str]
) -> ssl.SSLContext:
    """TLS without a client certificate; verified against the system's authorities if at all."""
    context = ssl.create_default_context()
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if protocols:
        context.set_alpn_protocols(list(protocols))
    return context


@implementer(IProber)
class Prober:
    """Makes checks.

    @param reactor: provides C{IReactorTCP} and C{IReactorTime}.
    @param tls_context: called with the upstream entity, whether to verify, and the ALPN protocols
        to offer (none for HTTP/1.1); gives the context, with the upstream's client certificate.
    """

    _log = Logger()

    def __init__(self, reactor: Any, tls_context: TLSContext = default_tls_context) -> None:
        self._reactor = reactor
        self._tls_context = tls_context

    def check(self, probe: Probe) -> Deferred[Outcome]:
        """Check once.

        @return: a Deferred of the outcome, within C{healthchecks.active.timeout} seconds; it does
            not fail, unless it is cancelled.
        """
        active = probe.active
        kind = active.get("type") or "http"
        factory = _CheckFactory(_protocol(kind, probe))
        timeout = float(active.get("timeout") or 1)
        address, port = probe.address, probe.port
        if kind in ("https", "grpcs"):
            name = active.get("https_sni") or probe.host.strip("[]")
            verify = bool(active.get("https_verify_certificate", True))
            try:
                context = self._tls_context(
                    probe.upstream, verify, ["h2"] if kind == "grpcs" else []
                )
            except (KongtxError, ssl.SSLError, ValueError) as error:
                self._log.error(
                    "cannot check {host} over TLS: {error}", host=probe.host, error=str(error)
                )
                return defer.succeed("tcp_failure")
            connector = connect_tls(self._reactor, address, port, factory, context, name, timeout)
        else:
            connector = self._reactor.connectTCP(address, port, factory, timeout=timeout)
        timer = self._reactor.callLater(timeout, factory.finish, "timeout")

        def clean_up() -> None:
            if timer.active():
                timer.cancel()
            connector.disconnect()

        factory.cleanup = clean_up
        return factory.done


class _CheckFactory(ClientFactory):
    noisy = False

    def __init__(self, make: Callable[[Callable[[Outcome], None]], Protocol]) -> None:
        self._make = make
        self.cleanup: Callable[[], object] = lambda: None
        self.done: Deferred[Outcome] = Deferred(self._cancelled)

    def buildProtocol(self, addr: object) -> Protocol:
        return self._make(self.finish)

    def clientConnectionFailed(self, connector: object, reason: Failure) -> None:
        self.finish("timeout" if reason.check(ConnectTimeout) else "tcp_failure")

    def _cancelled(self, done: Deferred[Outcome]) -> None:
        self.cleanup()

    def finish(self, outcome: Outcome) -> None:
        if self.done.called:
            return
        self.done.callback(outcome)
        self.cleanup()


class _ConnectCheck(Protocol):
    """A connection is all it takes."""

    def __init__(self, finish: Callable[[Outcome], None]) -> None:
        self._finish = finish

    def connectionMade(self) -> None:
        self._finish("success")


class _HTTPCheck(Protocol):
    """Asks for a path, reads the status line."""

    def __init__(self, request: bytes, finish: Callable[[Outcome], None]) -> None:
        self._request = request
        self._finish = finish
        self._received = b""

    def connectionMade(self) -> None:
        assert self.transport is not None
        self.transport.write(self._request)

    def dataReceived(self, data: bytes) -> None:
        self._received += data
        line, end, _ = self._received.partition(b"\n")
        if end:
            self._finish(_status(line))
        elif len(line) > _MAX_STATUS_LINE:
            self._finish(0)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._finish("tcp_failure")


def _protocol(kind: str, probe: Probe) -> Callable[[Callable[[Outcome], None]], Protocol]:
    if kind == "tcp":
        return _ConnectCheck
    if kind in ("grpc", "grpcs"):
        service = str(probe.active.get("http_path") or "/").strip("/")
        scheme = "https" if kind == "grpcs" else "http"
        return lambda finish: GRPCCheck(probe.host, scheme, service, _headers(probe), finish)
    request = http_request(probe)
    return lambda finish: _HTTPCheck(request, finish)


def http_request(probe: Probe) -> bytes:
    """The bytes of an HTTP check."""
    lines = [
        f"GET {probe.active.get('http_path') or '/'} HTTP/1.1",
        f"Host: {probe.host}",
        "Connection: close",
        *(f"{name}: {value}" for name, value in _headers(probe)),
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")


def _headers(probe: Probe) -> list[tuple[str, str]]:
    headers = probe.active.get("headers") or {}
    return [
        (str(name), str(value))
        for name, values in headers.items()
        for value in (values if isinstance(values, list) else [values])
    ]


def _status(line: bytes) -> int:
    version, _, rest = line.partition(b" ")
    code = rest.lstrip()[:3]
    return int(code) if version.startswith(b"HTTP/") and code.isdigit() and len(code) == 3 else 0
