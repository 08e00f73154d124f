"""What the gateway core asks of its surroundings, and what it shows to plugins.

This module imports nothing of L{kongtx.proxy} itself, so that C{kongtx.pdk} and C{kongtx.plugins},
which stand below the proxy, may import it too.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Coroutine, Hashable, Mapping, Sequence, Set
from typing import TYPE_CHECKING, Any, NoReturn

from twisted.internet.defer import Deferred
from zope.interface import Attribute, Interface

from kongtx.balancer.interfaces import IBalancer, IBalanceRequest
from kongtx.errors import KongtxError
from kongtx.http.lines import HeaderBlock
from kongtx.router.interfaces import IMatch, IRouter, IRouteRequest

if TYPE_CHECKING:
    Header = tuple[bytes, bytes]
    Waiting = Deferred[None] | Coroutine[Any, Any, None] | None


class ShortCircuit(KongtxError):
    """Raised by L{IRequestContext.exit} and L{IRequestContext.error} to leave a plugin's handler.

    The answer has been recorded on the context before it is raised, so a plugin that catches it
    by accident (C{except Exception}) still answers.
    """


class BodyTooLarge(KongtxError):
    """A request's body is longer than its reader wants."""


class IRequestContext(IRouteRequest, IBalanceRequest):
    """One request, from its header's arrival to its log line; what every phase works on.

    The attributes of L{IRouteRequest} and L{IBalanceRequest} are here too. C{method}, C{query} and
    C{headers} may be changed until the request has gone upstream (what is read later then sees the
    change); headers through the three methods below alone.
    """

    # -- as received -------------------------------------------------------------------------
    request_id: bytes = Attribute("``bytes``: 32 hex digits.")
    target: bytes = Attribute("``bytes``: the request target as received, with its query.")
    raw_path: bytes = Attribute("``bytes``: the target's path as received, without query.")
    raw_method: bytes = Attribute("``bytes``: the method as received; never changes.")
    http_version: bytes = Attribute("``bytes``: ``b'1.0'``, ``b'1.1'`` or ``b'2'``.")
    connection: IClientConnection = Attribute("The L{IClientConnection} it came on.")
    client_port: int = Attribute("``int``: the client's port, after real-IP resolution.")
    trusted: bool = Attribute("``bool``: the socket's peer is one of ``trusted_ips``.")
    started: float = Attribute("``float``: seconds since the epoch at the header's arrival.")

    # -- what it was routed to ---------------------------------------------------------------
    match: IMatch | None = Attribute("The L{IMatch}; L{None} before routing or without a route.")
    route: Mapping[str, Any] | None = Attribute("The route entity.")
    service: Mapping[str, Any] | None = Attribute("The service entity.")

    # -- who asks (set by authenticating plugins) ----------------------------------------------
    consumer: Mapping[str, Any] | None = Attribute("The consumer entity.")
    credential: Mapping[str, Any] | None = Attribute("The credential entity.")
    authenticated_groups: Sequence[str] | None = Attribute("Groups from outside the database.")

    # -- what goes upstream (the access phase may change it) -----------------------------------
    upstream_scheme: bytes = Attribute("``bytes``: ``http``, ``https``, ``grpc`` or ``grpcs``.")
    upstream_host: bytes = Attribute("``bytes``: the Host to send; empty: the peer's own.")
    upstream_path: bytes = Attribute("``bytes``: the path to ask for, without query.")
    upstream_body: bytes | None = Attribute("``bytes | None``: replaces the client's body.")
    upstream_target: tuple[str, int] | None = Attribute(
        "``(host, port) | None``: instead of the service's own host and port; the host may be a "
        "name, an address or an upstream's name."
    )
    retries: int | None = Attribute("``int | None``: instead of the service's retries.")
    retry_target: Callable[[], tuple[str, int]] | None = Attribute(
        "``callable | None``: gives C{upstream_target} before each attempt after the first."
    )
    timeouts_ms: tuple[int, int, int] | None = Attribute(
        "``(connect, write, read) | None`` in ms, instead of the service's."
    )
    upstream_tls: Mapping[str, Any] | None = Attribute(
        "``Mapping | None``: overrides for the TLS connector; keys as the service's fields "
        "(``client_certificate``, ``tls_verify``, ``tls_verify_depth``, ``ca_certificates``)."
    )
    buffered: bool = Attribute("``bool``: hold the whole upstream response before sending it.")

    # -- what the upstream answered ------------------------------------------------------------
    upstream_status: int = Attribute("``int``: of the last attempt; 0 if none answered.")
    upstream_headers: Sequence[Header] = Attribute(
        "Names and values as the upstream sent them; empty before its answer."
    )
    upstream_response_body: bytes | None = Attribute(
        "``bytes | None``: the whole body, when ``buffered``."
    )
    tries: Sequence[ITry] = Attribute("The attempts so far, oldest first: L{ITry}.")

    # -- what the client gets ------------------------------------------------------------------
    status: int = Attribute("``int``: the status to send; 0 before there is one.")
    response_headers: list[Header] = Attribute(
        "``list[tuple[bytes, bytes]]``: names in the case to send, and values. Filled before the "
        "upstream answers, the entries follow the upstream's own. Change it freely (in place or by "
        "assignment) until the header has been sent."
    )
    chunk: bytes = Attribute("``bytes``: in body_filter: this piece of body; may be replaced.")
    chunk_is_last: bool = Attribute(
        "``bool``: in body_filter: no piece follows. Set it to end the body with this piece."
    )
    headers_sent: bool = Attribute("``bool``: it is too late to change status and headers.")
    response_source: str = Attribute(
        "``str``: ``service``, ``exit`` or ``error``: who made the answer."
    )
    answer: Any = Attribute("The recorded short circuit, or L{None}.")

    # -- for the log phase ---------------------------------------------------------------------
    phase: str = Attribute("``str``: the phase that runs, as Kong names it.")
    request_size: int = Attribute("``int``: bytes received: line, headers and body.")
    response_size: int = Attribute("``int``: bytes sent: line, headers and body.")
    body_bytes_sent: int = Attribute("``int``: bytes of body sent.")
    proxy_latency_ms: int = Attribute(
        "``int``: the gateway's own time, until it handed the request on or answered it itself."
    )
    upstream_latency_ms: int = Attribute("``int``: -1 without an upstream's answer.")
    receive_ms: int = Attribute("``int``: from the upstream's header to the body's end.")
    total_ms: int = Attribute("``int``: from the request's arrival to the last byte sent.")

    # -- scratch -------------------------------------------------------------------------------
    shared: dict[Any, Any] = Attribute("``dict``: for plugins among themselves (kong.ctx.shared).")
    plugin_data: dict[Any, Any] = Attribute("``dict``: one entry a plugin (kong.ctx.plugin).")
    log_values: list[tuple[str, Any, str]] = Attribute(
        "``list``: what plugins put into the log entry: key, value and mode, as "
        "C{kong.log.set_serialize_value} takes them."
    )
    pdk: Any = Attribute("A place for the PDK object of this request; L{None} at first.")

    def get_header(name: bytes) -> bytes | None:
        """The first value of a request header; the name in lower case."""

    def get_headers(name: bytes) -> list[bytes]:
        """All values of a request header; the name in lower case."""

    def set_header(name: bytes, value: bytes) -> None:
        """Replace all values of a request header; the name in the case to send."""

    def add_header(name: bytes, value: bytes) -> None:
        """Add a value to a request header."""

    def clear_header(name: bytes) -> None:
        """Remove all values of a request header."""

    def replace_headers(names: Set[bytes], block: HeaderBlock) -> None:
        """Remove some request headers and add others, in one pass.

        @param names: of all headers to remove, in lower case.
        @param block: those to add.
        """

    # The following change C{response_headers} without taking the upstream's lines apart.
    def get_response_header(name: bytes) -> bytes | None:
        """The first value of a response header; the name in lower case."""

    def set_response_header(name: bytes, value: bytes) -> None:
        """Replace all values of a response header; the name in the case to send."""

    def add_response_header(name: bytes, value: bytes) -> None:
        """Add a value to a response header."""

    def clear_response_header(name: bytes) -> None:
        """Remove all values of a response header."""

    def replace_response_headers(names: Set[bytes], block: HeaderBlock) -> None:
        """Remove some response headers and add others.

        @param names: of all headers to remove, in lower case.
        @param block: those to add.
        """

    def add_response_lines(lines: bytes, names: Collection[bytes] | None = None) -> None:
        """Add to C{response_headers}, for plugins that count microseconds.

        @param lines: header lines as they are sent, each with its end: C{Name: value}, CR and LF.
            Their maker answers for it that they are whole and have nothing to do with framing.
        @param names: their names in lower case, if they are known.
        """

    def read_body(limit: int = 0) -> bytes | Deferred[bytes]:
        """The client's whole body; what is read stays to be forwarded.

        @param limit: refuse a longer one, in bytes; 0: any size.
        @return: the body at once when it is there, else a Deferred of it.
        @raise BodyTooLarge: (or the Deferred fails with it) as soon as it is longer than C{limit}.
        """

    def answered_for_upstream(now: float) -> None:
        """Take the answer that a plugin is about to give for the upstream's own.

        It gets the headers of one (latencies, C{Via}), of an upstream that took no time.

        @param now: seconds since the epoch.
        """

    def exit(status: int, body: bytes = b"", headers: Sequence[Header] = ()) -> NoReturn:
        """Answer with exactly this. Content-Length is set unless given.

        @raise ShortCircuit: always.
        """

    def error(status: int, message: str | None = None, headers: Sequence[Header] = ()) -> NoReturn:
        """Answer with an error body in the form that the client accepts.

        @param message: L{None}: the status's own (Kong: C{kong.response.error}).
        @raise ShortCircuit: always.
        """


class ITry(Interface):
    """One attempt at a peer."""

    address: str = Attribute("``str``: the peer's address.")
    port: int = Attribute("``int``: the peer's port.")
    started: float = Attribute("``float``: seconds since the epoch.")
    balancer_ms: int = Attribute("``int``: the time that choosing the peer took.")
    state: str = Attribute("``str``: empty, ``next`` or ``failed``.")
    code: int = Attribute("``int``: the status that stands for the failure; 0 if none.")


class IClientConnection(Interface):
    """The connection a request came on."""

    peer: tuple[str, int] = Attribute("The socket's peer, or what the PROXY protocol said.")
    local: tuple[str, int] = Attribute("The listener's address and port.")
    is_tls: bool = Attribute("``bool``: TLS ends here.")
    sni: bytes = Attribute("``bytes``: the TLS server name, lower case; empty without one.")
    serial: int = Attribute("``int``: counts the connections of this process.")
    requests: int = Attribute("``int``: how many requests it has carried, this one included.")
    transport: Any = Attribute("The Twisted transport; TLS facts are read from it.")


class IPhaseHandler(Interface):
    """One plugin bound to one configuration. A phase that it lacks is L{None} as attribute.

    Handlers are synchronous first: L{None} is returned by those that need not wait. An exception
    other than L{ShortCircuit} is logged; in rewrite and access it is answered with 500.
    """

    name: str = Attribute("``str``: the plugin's name.")
    rewrite: Callable[[IRequestContext], Waiting] | None = Attribute("Before routing; global rows.")
    access: Callable[[IRequestContext], Waiting] | None = Attribute("Before the upstream is asked.")
    response: Callable[[IRequestContext], Waiting] | None = Attribute(
        "With the whole response in hand; makes the request ``buffered``."
    )
    header_filter: Callable[[IRequestContext], None] | None = Attribute("Never waits.")
    body_filter: Callable[[IRequestContext], None] | None = Attribute("Once a chunk; never waits.")
    certificate: Callable[[Any], None] | None = Attribute(
        "In TLS handshakes, for global rows; gets a L{kongtx.pdk.handshake.HandshakeContext}."
    )
    log: Callable[[IRequestContext], Waiting] | None = Attribute(
        "After the last byte, or when the client has gone; what it waits for runs beside."
    )


class IPlanStep(Interface):
    """One plugin name's place in a route's chain."""

    handler: IPhaseHandler | None = Attribute(
        "The L{IPhaseHandler} for a request without consumer; L{None}: it does not run."
    )
    by_consumer: Mapping[str, IPhaseHandler] = Attribute(
        "By consumer id, where that differs from ``handler``; empty in most steps."
    )


class IPluginPlan(Interface):
    """The chain of one route with its service, in the order of priority. Immutable."""

    steps: Sequence[IPlanStep] = Attribute(
        "Resolved one by one during access: the consumer is the one authenticated so far."
    )


class IPluginIterator(Interface):
    """All plugin configurations of one snapshot. Immutable."""

    global_handlers: Sequence[IPhaseHandler] = Attribute(
        "Of rows without route, service and consumer, in the order of priority: they run rewrite, "
        "and the response phases of requests that never reached a route."
    )

    def plan_for(route: Mapping[str, Any], service: Mapping[str, Any] | None) -> IPluginPlan:
        """The chain of a route; asked once a route and snapshot, the gateway keeps it."""


class ISnapshot(Interface):
    """One configuration, from which a request is served from start to end. Immutable."""

    router: IRouter = Attribute("The L{IRouter}.")
    plugins: IPluginIterator = Attribute("The L{IPluginIterator}.")

    def balancer_for(service: Mapping[str, Any]) -> IBalancer:
        """The balancer of a service's C{host} and C{port}; kept by the gateway for each route."""


class ITLSConnector(Interface):
    """Opens TLS connections to upstreams."""

    def identity(
        service: Mapping[str, Any],
        server_name: bytes,
        overrides: Mapping[str, Any] | None,
        upstream_certificate: Mapping[str, Any] | None = None,
    ) -> Hashable:
        """What two connections must agree in to share a pool: SNI, verification, certificates.

        @param server_name: a Host header's value.
        @param overrides: what the request asks for instead of the service's fields; its
            C{client_certificate} may be a L{kongtx.tls.pairs.Pair}.
        @param upstream_certificate: a reference to a certificate, for services without their own.
        @raise KongtxError: a certificate cannot be used; its text may be logged.
        """

    def connect(address: str, port: int, identity: Hashable, factory: Any, timeout: float) -> None:
        """Connect and finish the handshake.

        @param factory: a L{twisted.internet.protocol.ClientFactory}: it builds the protocol, which
            is connected after the handshake, and hears C{startedConnecting} and
            C{clientConnectionFailed} (with L{twisted.internet.error.TimeoutError} on timeout).
        @param timeout: in seconds, for connection and handshake together.
        """


class IUpstreamPool(Interface):
    """Connections to peers, kept alive between requests."""

    def acquire(
        address: str,
        port: int,
        tls: Hashable | None,
        connect_timeout: float,
        http2: bool = False,
    ) -> Any:
        """A connection to a peer.

        @param tls: L{None} for plain TCP, else L{ITLSConnector.identity}'s result.
        @param connect_timeout: in seconds.
        @param http2: a stream of a connection in HTTP/2, which others share.
        @return: an idle channel at once, or a Deferred of a new one.
        """

    def release(channel: Any) -> None:
        """Take a channel back that has ended its exchange and can be used again."""

    def close() -> Deferred[None]:
        """Close what is idle; fires when no connection is left."""


class ILogSink(Interface):
    """Where the access log goes."""

    def log(request: IRequestContext) -> None:
        """One request has ended; called after the log phase, and never waits."""
