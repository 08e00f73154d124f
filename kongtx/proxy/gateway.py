"""The gateway core: settings, the current snapshot, and the listeners that serve it."""

from __future__ import annotations

import time as _time
from collections.abc import Callable, Mapping, Sequence
from email.utils import formatdate
from functools import partial
from os import urandom
from typing import Any, Final

import attrs
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.internet.protocol import Factory

from kongtx._version import KONG_VERSION
from kongtx.http.answering import ChannelSettings
from kongtx.http.h2.server import speak_http2
from kongtx.http.limits import Limits
from kongtx.http.server import ServerChannel
from kongtx.proxy.addresses import TrustedPeers, parse_address, real_client
from kongtx.proxy.interfaces import (
    ILogSink,
    IPhaseHandler,
    ISnapshot,
    ITLSConnector,
    IUpstreamPool,
)
from kongtx.proxy.pages import HTML, JSON, PLAIN, XML, ErrorPages
from kongtx.proxy.phases import Chain
from kongtx.proxy.request.exchange import Exchange, Refusal, chain_of
from kongtx.proxy.routes import RouteState
from kongtx.router.interfaces import IMatch

_IDS_AT_ONCE: Final = 256
_CHAINS_KEPT: Final = 1024

_TOKENS: Final = {
    "server_tokens": ("server", "via"),
    "latency_tokens": (
        "x-kong-proxy-latency",
        "x-kong-response-latency",
        "x-kong-admin-latency",
        "x-kong-upstream-latency",
    ),
}


@attrs.frozen
class GatewaySettings:
    """The configuration properties that the gateway core reads, by Kong's names."""

    headers: Sequence[str] = ("server_tokens", "latency_tokens", "X-Kong-Request-Id")
    headers_upstream: Sequence[str] = ("X-Kong-Request-Id",)
    trusted_ips: Sequence[str] = ()
    real_ip_header: str = "X-Real-IP"
    real_ip_recursive: bool = False
    error_default_type: str = "text/plain"
    #: Templates' texts by C{html}, C{json}, C{xml}, C{plain}.
    error_templates: Mapping[str, str] = attrs.Factory(dict)
    allow_debug_header: bool = False
    #: Whether answers tell why a plugin failed; for development alone.
    show_tracebacks: bool = False
    #: The port that clients see, by the listener's.
    port_maps: Mapping[int, int] = attrs.Factory(dict)
    limits: Limits = Limits()  # noqa: RUF009 (frozen)
    #: What Server and Via say.
    server: str = f"kong/{KONG_VERSION}"


def enabled_headers(names: Sequence[str]) -> frozenset[str]:
    """The headers that a C{headers} property asks for, in lower case."""
    enabled: set[str] = set()
    for name in names:
        lower = name.lower()
        enabled.update(_TOKENS.get(lower, (lower,)))
    return frozenset(enabled)


class Configured:
    """One snapshot, with what is computed from it."""

    __slots__ = ("_chains", "global_chain", "router", "snapshot", "states")

    def __init__(self, snapshot: ISnapshot) -> None:
        self.snapshot = snapshot
        self.router = snapshot.router
        self.global_chain = chain_of(snapshot.plugins.global_handlers)
        self.states: dict[str, RouteState] = {}
        self._chains: dict[tuple[IPhaseHandler, ...], Chain] = {}

    def add_state(self, match: IMatch) -> RouteState:
        """Compute what a route's requests need."""
        state = self.states[match.route["id"]] = RouteState(self.snapshot, match)
        return state

    def chain_of(self, handlers: tuple[IPhaseHandler, ...]) -> Chain:
        """The chain of handlers that were chosen by consumer."""
        chain = self._chains.get(handlers)
        if chain is None:
            if len(self._chains) >= _CHAINS_KEPT:
                self._chains.clear()
            chain = self._chains[handlers] = chain_of(handlers)
        return chain


class Gateway:
    """Serves requests from the current snapshot.

    @ivar configured: what the snapshot has become; a request keeps its own to the end.
    """

    def __init__(
        self,
        settings: GatewaySettings,
        snapshot: ISnapshot,
        pool: IUpstreamPool,
        clock: IReactorTime,
        log_sink: ILogSink | None = None,
        tls: ITLSConnector | None = None,
        time: Callable[[], float] = _time.time,
    ) -> None:
        """Make a gateway.

        @param clock: for timeouts: the reactor.
        @param log_sink: gets each request when it has ended.
        @param tls: for upstreams that speak TLS; by default the pool's own.
        @param time: seconds since the epoch, for dates and latencies.
        """
        self.settings = settings
        self.snapshot = snapshot
        self.pool = pool
        self.clock = clock
        self.log_sink = log_sink
        self.tls: ITLSConnector | None = getattr(pool, "tls", None) if tls is None else tls
        self.time = time
        self._choose_headers(settings)
        self.allows_debug_header = settings.allow_debug_header
        self.shows_tracebacks = settings.show_tracebacks
        self.trusted_peers = TrustedPeers(settings.trusted_ips)
        self._real_ip_header = settings.real_ip_header.lower().replace("_", "-").encode()
        self.port_maps = settings.port_maps
        types = {"html": HTML, "json": JSON, "plain": PLAIN, "xml": XML}
        self.pages = ErrorPages(
            templates={types[kind]: text for kind, text in settings.error_templates.items()},
            default_type=settings.error_default_type.encode(),
        )
        self._ids: list[bytes] = []
        self._ids_made = 0
        self._date = (0, b"")
        self._listeners: list[ChannelSettings] = []
        self._factories: list[ListenerFactory] = []

    def _choose_headers(self, settings: GatewaySettings) -> None:
        """Take over which headers of its own the gateway sends."""
        enabled = enabled_headers(settings.headers)
        self.sends_server = "server" in enabled
        self.sends_via = "via" in enabled
        self.sends_proxy_latency = "x-kong-proxy-latency" in enabled
        self.sends_upstream_latency = "x-kong-upstream-latency" in enabled
        self.sends_response_latency = "x-kong-response-latency" in enabled
        self.sends_upstream_status = "x-kong-upstream-status" in enabled
        self.sends_request_id = "x-kong-request-id" in enabled
        self.sends_id_upstream = "x-kong-request-id" in enabled_headers(settings.headers_upstream)
        self._sends_all = (
            self.sends_upstream_latency
            and self.sends_proxy_latency
            and self.sends_via
            and self.sends_request_id
        )
        self.server = settings.server.encode()
        self.via = b"1.1 " + self.server
        self._all_headers = (
            b"X-Kong-Upstream-Latency: %%d\r\nX-Kong-Proxy-Latency: %%d\r\nVia: %b\r\n"
            b"X-Kong-Request-Id: %%b\r\n" % self.via.replace(b"%", b"%%")
        )
        self.via_upstream = tuple(version + self.server for version in (b"1.0 ", b"1.1 ", b"2 "))

    @property
    def snapshot(self) -> ISnapshot:
        """The configuration that new requests are served from; set it to change it."""
        return self.configured.snapshot

    @snapshot.setter
    def snapshot(self, snapshot: ISnapshot) -> None:
        self.configured = Configured(snapshot)

    # -- what requests ask -------------------------------------------------------------------
    def new_request_id(self) -> bytes:
        """32 hex digits."""
        ids = self._ids
        if not ids:
            digits = urandom(16 * _IDS_AT_ONCE).hex().encode()
            self._ids_made += _IDS_AT_ONCE
            ids += [digits[start : start + 32] for start in range(0, len(digits), 32)]
        return ids.pop()

    def raw_headers(self, upstream_ms: int, proxy_ms: int, request_id: bytes) -> bytes:
        """The core headers of a proxied response, as lines."""
        if self._sends_all:
            return self._all_headers % (upstream_ms, proxy_ms, request_id)
        return b"".join(
            line
            for sent, line in (
                (self.sends_upstream_latency, b"X-Kong-Upstream-Latency: %d\r\n" % upstream_ms),
                (self.sends_proxy_latency, b"X-Kong-Proxy-Latency: %d\r\n" % proxy_ms),
                (self.sends_via, b"Via: %b\r\n" % self.via),
                (self.sends_request_id, b"X-Kong-Request-Id: %b\r\n" % request_id),
            )
            if sent
        )

    def date(self) -> bytes:
        """The Date header's value (RFC 9110 §5.6.7)."""
        now = int(self.time())
        if self._date[0] != now:
            self._date = (now, formatdate(now, usegmt=True).encode())
        return self._date[1]

    def resolve_client(self, request: Exchange) -> None:
        """Find out who the client is, behind a trusted peer."""
        peer = request.connection.peer
        request.trusted = peer[0] in self.trusted_peers
        header = self._real_ip_header
        client = peer
        if request.trusted and header in request._fields:
            values = [value for name, value in request.headers if name == header]
            client = real_client(peer, values, self.trusted_peers, self.settings.real_ip_recursive)
        elif request.trusted and header == b"proxy-protocol":
            client = request.connection.proxied_peer or peer
        request.client_ip, request.client_port = client

    # -- listeners ---------------------------------------------------------------------------
    def listener_factory(self, listen: Any = None) -> Factory:
        """A factory for the connections of one listening socket.

        @param listen: the parsed listen entry, for its flags; HTTP/2 is spoken if it has C{http2}.
        """
        begin = partial(Exchange, self)
        http2 = speak_http2 if getattr(listen, "http2", False) else None
        settings = ChannelSettings(self.clock, self.settings.limits, begin, self.refuse, http2)
        self._listeners.append(settings)
        factory = ListenerFactory(settings)
        self._factories.append(factory)
        return factory

    def statistics(self) -> dict[str, int]:
        """Connections and requests since the start, as C{GET /status} shows them."""
        channels = [channel for each in self._listeners for channel in each.channels]
        writing = sum(channel.exchange is not None for channel in channels)
        accepted = sum(factory.accepted for factory in self._factories)
        return {
            "connections_accepted": accepted,
            "connections_active": len(channels),
            "connections_handled": accepted,
            "connections_reading": 0,
            "connections_waiting": len(channels) - writing,
            "connections_writing": writing,
            # Every request has an id.
            "total_requests": self._ids_made - len(self._ids),
        }

    def refuse(self, channel: Any, status: int, head: bytes) -> Refusal:
        """The exchange of a head that cannot be served; what channels call."""
        return Refusal(self, channel, status, head)

    def drain(self) -> Deferred[None]:
        """Take no more requests on the connections there are.

        Stop listening first. Idle connections are closed at once, others after their answer.

        @return: fires when the last has gone.
        """
        waiting = [settings.drain() for settings in self._listeners]
        if not waiting:
            return succeed(None)
        done: Deferred[None] = Deferred()
        left = len(waiting)

        def count(_: None) -> None:
            nonlocal left
            left -= 1
            if not left:
                done.callback(None)

        for deferred in waiting:
            deferred.addCallback(count)
        return done


class ListenerFactory(Factory):
    """Builds server channels."""

    noisy = False

    def __init__(self, settings: ChannelSettings) -> None:
        self.settings = settings
        self.accepted = 0

    def buildProtocol(self, addr: IAddress | None) -> ServerChannel:
        self.accepted += 1
        return ServerChannel(self.settings)


__all__ = ["Gateway", "GatewaySettings", "ListenerFactory", "enabled_headers", "parse_address"]
