"""One check of one address over HTTP, HTTPS, TCP or gRPC."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import attrs
from OpenSSL import SSL
from twisted.internet import defer, ssl
from twisted.internet.defer import Deferred
from twisted.internet.error import TimeoutError as ConnectTimeout
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.internet.protocol import ClientFactory, Protocol, connectionDone
from twisted.logger import Logger
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from zope.interface import implementer

from kongtx.dns.records import ip_version
from kongtx.health.grpc import GRPCCheck
from kongtx.health.interfaces import IProber
from kongtx.health.machine import Outcome

_MAX_STATUS_LINE = 8192

TLSOptions = Callable[
    [Mapping[str, Any], str, bool, "list[bytes]"], IOpenSSLClientConnectionCreator
]


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


def default_tls_options(
    upstream: Mapping[str, Any], server_name: str, verify: bool, protocols: list[bytes]
) -> IOpenSSLClientConnectionCreator:
    """TLS without a client certificate; verified against the system's authorities if at all."""
    if verify:
        return ssl.optionsForClientTLS(server_name, acceptableProtocols=protocols or None)
    return _Unverified(server_name, protocols)


@implementer(IProber)
class Prober:
    """Makes checks.

    @param reactor: provides C{IReactorTCP} and C{IReactorTime}.
    @param tls_options: called with the upstream entity, the server name, whether to verify, and
        the ALPN protocols to offer (none for HTTP/1.1); gives the TLS options, with the upstream's
        client certificate.
    """

    _log = Logger()

    def __init__(self, reactor: Any, tls_options: TLSOptions = default_tls_options) -> None:
        self._reactor = reactor
        self._tls_options = tls_options

    def check(self, probe: Probe) -> Deferred[Outcome]:
        """Check once.

        @return: a Deferred of the outcome, within C{healthchecks.active.timeout} seconds; it does
            not fail, unless it is cancelled.
        """
        active = probe.active
        kind = active.get("type") or "http"
        factory = _CheckFactory(_protocol(kind, probe))
        wrapped: Any = factory
        if kind in ("https", "grpcs"):
            name = active.get("https_sni") or probe.host.strip("[]")
            try:
                options = self._tls_options(
                    probe.upstream,
                    name,
                    bool(active.get("https_verify_certificate", True)),
                    [b"h2"] if kind == "grpcs" else [],
                )
                wrapped = TLSMemoryBIOFactory(options, True, factory)
            except (SSL.Error, ValueError) as error:
                self._log.error(
                    "cannot check {host} over TLS: {error}", host=probe.host, error=error
                )
                return defer.succeed("tcp_failure")
        timeout = float(active.get("timeout") or 1)
        connector = self._reactor.connectTCP(probe.address, probe.port, wrapped, timeout=timeout)
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


@implementer(IOpenSSLClientConnectionCreator)
class _Unverified:
    """TLS that believes any certificate."""

    def __init__(self, server_name: str, protocols: list[bytes]) -> None:
        self._server_name = server_name
        self._protocols = protocols
        self._options = ssl.CertificateOptions(verify=False)

    def clientConnectionForTLS(self, tls_protocol: Any) -> SSL.Connection:
        connection = SSL.Connection(self._options.getContext(), None)
        if self._protocols:
            connection.set_alpn_protos(self._protocols)
        if not ip_version(self._server_name):
            connection.set_tlsext_host_name(self._server_name.encode("idna"))
        return connection
