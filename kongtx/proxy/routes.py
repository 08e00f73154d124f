"""What is known of a route before a request comes: computed once a route and snapshot."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Final

from kongtx.balancer.interfaces import IBalancer
from kongtx.proxy.interfaces import IPlanStep, ISnapshot, ITLSConnector
from kongtx.proxy.phases import EMPTY, Chain
from kongtx.router.interfaces import IMatch

#: Protocols of upstreams that are spoken to in HTTP/2.
GRPC: Final = frozenset((b"grpc", b"grpcs"))

_DEFAULT_RETRIES: Final = 5
_DEFAULT_TIMEOUT_MS: Final = 60000

#: What a scheme's Host header does not name.
_DEFAULT_PORTS: Final = {b"http": 80, b"grpc": 80, b"https": 443, b"grpcs": 443}


class RouteState:
    """One route with its service, ready for requests."""

    __slots__ = (
        "_hosts",
        "_identities",
        "balancer",
        "chain",
        "connect_timeout",
        "debug_headers",
        "default_port",
        "grpc",
        "grpcs_only",
        "https_only",
        "preserve_host",
        "read_timeout",
        "redirect_status",
        "request_buffering",
        "response_buffering",
        "restricted",
        "retries",
        "route",
        "scheme",
        "service",
        "steps",
        "write_timeout",
    )

    def __init__(self, snapshot: ISnapshot, match: IMatch) -> None:
        self.route = route = match.route
        self.service = service = match.service
        protocols = route.get("protocols") or ("http", "https")
        self.https_only = "https" in protocols and "http" not in protocols
        self.redirect_status = int(route.get("https_redirect_status_code") or 426)
        self.grpc = "grpc" in protocols or "grpcs" in protocols
        self.grpcs_only = self.grpc and "grpc" not in protocols
        self.restricted = self.https_only or self.grpc
        self.preserve_host = bool(route.get("preserve_host"))
        self.debug_headers = _debug_headers(route, service)
        steps: Sequence[IPlanStep] = snapshot.plugins.plan_for(route, service).steps
        self.steps = steps
        #: The chain of every request on this route; L{None} when it depends on the consumer.
        self.chain: Chain | None = None
        if not any(step.by_consumer for step in steps):
            handlers = [step.handler for step in steps if step.handler is not None]
            self.chain = Chain(handlers) if handlers else EMPTY
        self.balancer: IBalancer | None = None
        self.scheme = b"http"
        if service is not None:
            self.balancer = snapshot.balancer_for(service)
            self.scheme = str(service.get("protocol") or "http").encode()
        # gRPC's messages pass as they come (nginx: the same).
        streams = self.scheme in GRPC
        self.request_buffering = route.get("request_buffering") is not False and not streams
        self.response_buffering = route.get("response_buffering") is not False and not streams
        facts: Mapping[str, Any] = service or {}
        retries = facts.get("retries")
        self.retries = _DEFAULT_RETRIES if retries is None else int(retries)
        self.connect_timeout = _seconds(facts.get("connect_timeout"))
        self.write_timeout = _seconds(facts.get("write_timeout"))
        self.read_timeout = _seconds(facts.get("read_timeout"))
        self.default_port = _DEFAULT_PORTS.get(self.scheme, 80)
        self._hosts: dict[tuple[bytes, int], bytes] = {}
        self._identities: dict[tuple[bytes, str | None], Hashable] = {}

    def host_header(self, host: bytes, port: int) -> bytes:
        """A peer's Host header: with its port, unless that is the scheme's own."""
        key = host, port
        value = self._hosts.get(key)
        if value is None:
            if len(self._hosts) > 1024:
                self._hosts.clear()
            value = self._hosts[key] = host_with_port(host, port, self.default_port)
        return value

    def tls_identity(
        self,
        connector: ITLSConnector,
        server_name: bytes,
        overrides: Mapping[str, Any] | None,
        certificate: Mapping[str, Any] | None,
    ) -> Hashable:
        """The pool key's part for a connection by TLS; see L{ITLSConnector.identity}."""
        assert self.service is not None
        if overrides is not None:
            return connector.identity(self.service, server_name, overrides, certificate)
        # Whatever it depends on comes with another snapshot, and other states.
        key = server_name, None if certificate is None else certificate["id"]
        identity = self._identities.get(key)
        if identity is None:
            identity = connector.identity(self.service, server_name, None, certificate)
            if len(self._identities) > 1024:
                self._identities.clear()
            self._identities[key] = identity
        return identity


def host_with_port(host: bytes, port: int, default_port: int) -> bytes:
    """A Host header's value (Kong: both 80 and 443 are left out for their own scheme only)."""
    return host if port in (default_port, 0) else b"%b:%d" % (host, port)


def default_port(scheme: bytes) -> int:
    """The port that a scheme's Host header does not name."""
    return _DEFAULT_PORTS.get(scheme, 80)


def _seconds(milliseconds: Any) -> float:
    return (_DEFAULT_TIMEOUT_MS if milliseconds is None else int(milliseconds)) / 1000


def _debug_headers(
    route: Mapping[str, Any], service: Mapping[str, Any] | None
) -> list[tuple[bytes, bytes]]:
    """What C{Kong-Debug} shows (Kong: kong.router.utils)."""
    return [
        (header, str(entity[field]).encode())
        for header, entity, field in (
            (b"Kong-Route-Id", route, "id"),
            (b"Kong-Route-Name", route, "name"),
            (b"Kong-Service-Id", service, "id"),
            (b"Kong-Service-Name", service, "name"),
        )
        if entity is not None and entity.get(field)
    ]
