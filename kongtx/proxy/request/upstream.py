"""The way to the upstream: choosing a peer, attempts, relaying both bodies. Hot path."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any, Final

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import TimeoutError as ConnectTimeout
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from kongtx.balancer.interfaces import IBalancer, IPeer
from kongtx.errors import KongtxError
from kongtx.http.client import CLOSED, TIMEOUT, ClientChannel
from kongtx.http.interfaces import IReply
from kongtx.http.responses import trailer_section
from kongtx.net.errors import TLSConnectionLost, TLSHandshakeError
from kongtx.proxy.errors import BodyLost, UpstreamTLSUnavailable
from kongtx.proxy.phases import EMPTY
from kongtx.proxy.request.answers import milliseconds
from kongtx.proxy.request.context import Try
from kongtx.proxy.request.forwarding import (
    build_head,
    upgrade_wanted,
)
from kongtx.proxy.request.relay import Relaying
from kongtx.proxy.request.tunnel import Tunnel
from kongtx.proxy.routes import GRPC, default_port, host_with_port
from kongtx.tls.reasons import explain

Header = tuple[bytes, bytes]

log = Logger()

# nginx: proxy_next_upstream passes these on only when they have not been sent.
_NOT_IDEMPOTENT: Final = frozenset((b"POST", b"LOCK", b"PATCH"))

_SECURE: Final = frozenset((b"https", b"grpcs"))

#: How much of a request's body waits while nothing reads it, when the route does not buffer it.
WAITING_BYTES: Final = 64 * 1024


@implementer(IReply)
class Forwarding(Relaying):
    """A request on its way to an upstream."""

    __slots__ = (
        "_awaiting_body",
        "_body_gone",
        "_cached",
        "_chunked_upstream",
        "_failed_peers",
        "_sent_body",
        "_streaming",
        "_waiting",
    )

    #: Some of the client's body has been sent and not kept: it cannot be sent again.
    _body_gone: bool
    #: C{forward} has been called and waits for the body.
    _awaiting_body: bool
    _failed_peers: tuple[IPeer, ...]
    #: What is waited for: a peer, or a connection.
    _waiting: Deferred[Any] | None

    def _set_out(self) -> None:
        """Nothing has been done yet."""
        self._over = self._proxied = self._streaming = self._cached = self._awaiting_body = False
        self._trying = False
        self._body_gone = False
        self._upstream = self._waiting = self._whole = None
        self._failed_peers = ()
        self._ahead = 0
        self._upgrade = b""

    # -- choosing ----------------------------------------------------------------------------
    def forward(self) -> None:
        """Send the request upstream, once its body is there (or at once, if it is streamed)."""
        state = self._state
        self._upgrade = upgrade_wanted(self) if b"upgrade" in self._fields else b""
        if self._upgrade:
            self.buffered = False
        if not self.body_complete:
            self.connection.send_continue()
            if state.request_buffering and self.upstream_body is None and not self._upgrade:
                self._awaiting_body = True
                self.connection.resume_body()
                return
        self._proxied = True
        self._choose()

    def _choose(self) -> None:
        self._waiting = None
        # Without handlers nothing has taken time since the request came.
        chain = self._chain
        fresh = chain is EMPTY and self._body is None and not self._failed_tries
        self._chosen_at = self.started if fresh else self.gateway.time()
        try:
            peer = self._balancer.pick(self, self._failed_peers)
        except KongtxError as error:
            self._no_peer(error)
            return
        if isinstance(peer, Deferred):
            self._waiting = peer
            peer.addCallbacks(self._connect, self._peer_failed)
            peer.addErrback(self._broken)
        else:
            self._connect(peer)

    @property
    def tries(self) -> Sequence[Try]:
        """The attempts so far: those that failed, and the one that was answered."""
        failed = self._failed_tries
        if not self.upstream_status or (failed and failed[-1].state == "failed"):
            return failed
        peer = self._peer
        answered = Try(peer.address, peer.port, self._chosen_at, self._balancer_ms, "", 0)
        return (*failed, answered)

    def _peer_failed(self, failure: Failure) -> None:
        if self._over or isinstance(failure.value, CancelledError):
            return
        if isinstance(failure.value, KongtxError):
            self._no_peer(failure.value)
        else:
            self._broken(failure)

    def _no_peer(self, error: KongtxError) -> None:
        """The balancer knows no peer: before the first attempt it says why, later it is the end."""
        status = int(getattr(error, "status", 503))
        if self._failed_peers:
            self._give_up(status)
            return
        self._proxied = False
        self.answer_with(self.error_answer(status, str(getattr(error, "message", error))))

    def _connect(self, peer: IPeer) -> None:
        if self._over:
            return
        self._peer = peer
        gateway = self.gateway
        if self._waiting is None:
            self._balancer_ms = 0
        else:
            self._waiting = None
            now = gateway.time()
            self._balancer_ms = milliseconds(now - self._chosen_at)
            self._chosen_at = now
        if self.proxy_latency_ms < 0:
            self.proxy_latency_ms = milliseconds(self._chosen_at - self.started)
        tls = None
        if self.upstream_scheme in _SECURE:
            try:
                tls = self._tls_identity(peer)
            except UpstreamTLSUnavailable as error:
                self._no_peer(error)
                return
            except KongtxError as error:
                # The configuration is at fault: no other peer helps, this one is not to blame.
                self._report_tls(str(error))
                self._give_up(502)
                return
        self._trying = True
        self._balancer.started(peer)
        timeouts = self.timeouts_ms
        timeout = self._state.connect_timeout if timeouts is None else timeouts[0] / 1000
        grpc = self.upstream_scheme in GRPC
        channel = gateway.pool.acquire(peer.address, peer.port, tls, timeout, grpc)
        if isinstance(channel, Deferred):
            self._cached = False
            self._waiting = channel
            channel.addCallbacks(self._send, self._connect_failed)
            channel.addErrback(self._broken)
        else:
            self._cached = True
            self._send(channel)

    def _tls_identity(self, peer: IPeer) -> Hashable:
        """What the connection must have in common with others to be exchanged for them.

        @raise KongtxError: there can be none; its text is for the log.
        """
        connector, state = self.gateway.tls, self._state
        if connector is None:
            raise UpstreamTLSUnavailable("no TLS connector is configured")
        overrides = self.upstream_tls
        if self.upstream_scheme is not state.scheme:
            overrides = {**(overrides or {}), "protocol": self.upstream_scheme.decode()}
        name = self.upstream_host or peer.host
        return state.tls_identity(connector, name, overrides, self._balancer.client_certificate)

    def _connect_failed(self, failure: Failure) -> None:
        self._waiting = None
        if self._over or isinstance(failure.value, CancelledError):
            return
        if isinstance(failure.value, TLSHandshakeError):
            self._report_tls(explain(failure.value.reason))
        self._attempt_failed(
            TIMEOUT if isinstance(failure.value, ConnectTimeout) else CLOSED, False
        )

    def _report_tls(self, why: str) -> None:
        """Log once a request and peer why there is no TLS with it."""
        peer = self._peer
        if peer in self._failed_peers:
            return
        service = self.service
        log.error(
            "TLS with upstream {address}:{port} of service {service} failed: {why}",
            address=peer.address,
            port=peer.port,
            service=None if service is None else service.get("name") or service.get("id"),
            why=why,
        )

    # -- the request -------------------------------------------------------------------------
    def _send(self, channel: ClientChannel) -> None:
        self._waiting = None
        if self._over:
            self.gateway.pool.release(channel)
            return
        state = self._state
        peer = self._peer
        self._upstream = channel
        host = self.upstream_host
        if not host:
            if self.upstream_scheme is state.scheme:
                host = state.host_header(peer.host, peer.port)
            else:
                host = host_with_port(peer.host, peer.port, default_port(self.upstream_scheme))
        body, framing, complete = self._first_of_body()
        if not channel.chunks:
            self._chunked_upstream = False
        head = build_head(self, host, self._upgrade, framing)
        timeouts = self.timeouts_ms
        if timeouts is None:
            read_timeout, write_timeout = state.read_timeout, state.write_timeout
        else:
            write_timeout, read_timeout = timeouts[1] / 1000, timeouts[2] / 1000
        head_only = self.method == b"HEAD"
        channel.send(
            self,
            head + body if body else head,
            complete,
            head_only,
            read_timeout,
            write_timeout,
            not head_only,
        )
        if not complete:
            self._stream_body()

    def _first_of_body(self) -> tuple[bytes, bytes, bool]:
        """What goes with the head of the body, its framing lines, and whether it is all."""
        self._chunked_upstream = False
        self._sent_body = 0
        body = self.upstream_body
        if body is not None:
            return body, b"Content-Length: %d\r\n" % len(body), True
        store = self._body
        if self.body_complete:
            if store is None:
                return b"", b"Content-Length: 0\r\n" if self._says_length() else b"", True
            framing = b"Content-Length: %d\r\n" % store.size
            if store.in_memory:
                return store.value(), framing, True
            return b"", framing, False
        # As received: what plugins make of the header says nothing of the body that comes.
        received = self.received_headers[1] if self.headers_changed else self.headers
        length = next((value for name, value in received if name == b"content-length"), None)
        if length is not None:
            return b"", b"Content-Length: %b\r\n" % length, False
        self._chunked_upstream = True
        return b"", b"Transfer-Encoding: chunked\r\n", False

    def _says_length(self) -> bool:
        return b"content-length" in self._fields or b"transfer-encoding" in self._fields

    def _stream_body(self) -> None:
        """Send what has come of the body, as far as the peer takes it; then what comes."""
        channel = self._upstream
        store = self._body
        if store is None:
            self._streaming = self._body_gone = True
            self.connection.resume_body()
            return
        self._streaming = self.body_complete
        assert channel is not None
        while self._sent_body < store.size and not channel.write_paused and not channel.closed:
            piece = store.piece(self._sent_body)
            self._sent_body += len(piece)
            self._write_upstream(piece)
        if self._sent_body < store.size or channel.closed:
            return
        if self.body_complete:
            self._body_sent()
        else:
            self._body = None
            store.close()
            self._streaming = self._body_gone = True
            self.connection.resume_body()

    def _write_upstream(self, data: bytes) -> None:
        channel = self._upstream
        if channel is not None:
            if self._chunked_upstream:
                data = b"%x\r\n%b\r\n" % (len(data), data)
            channel.write(data)

    def _body_sent(self) -> None:
        channel = self._upstream
        if channel is not None:
            if self._chunked_upstream:
                channel.write(trailer_section(()))
            channel.sent()

    def peer_paused(self) -> None:
        if not self.body_complete:
            self.connection.pause_body()

    def peer_resumed(self) -> None:
        if self._tunnelled:
            self.connection.resume_body()
        elif self._upstream is not None and not self._upstream.request_sent:
            self._stream_body()

    # -- attempts ----------------------------------------------------------------------------
    def reply_failed(self, why: str) -> None:
        try:
            self._take_failure(why)
        except Exception:
            self._broken()

    def _take_failure(self, why: str) -> None:
        channel = self._upstream
        self._upstream = None
        assert channel is not None
        if isinstance(channel.ended_by, TLSConnectionLost):
            # With TLS 1.3 a server refuses a certificate after the client's handshake is over.
            self._report_tls(explain(channel.ended_by.reason))
        if self.headers_sent:
            # The client must see that the response is cut off.
            self._finish_try("failed", 502 if why != TIMEOUT else 504)
            self._cut()
            return
        self._attempt_failed(why, not channel.unprocessed, channel)

    def _attempt_failed(self, why: str, sent: bool, channel: ClientChannel | None = None) -> None:
        """An attempt gave no response: try another peer, or answer for it."""
        status = 504 if why == TIMEOUT else 502
        retries = self._state.retries if self.retries is None else self.retries
        free = why == CLOSED and self._cached and channel is not None and not channel.received
        may = (why in (CLOSED, TIMEOUT)) and self._resendable(sent)
        again = may and (free or len(self._failed_tries) < retries)
        self._finish_try("next" if again else "failed", status)
        if not again:
            self._give_up(status)
            return
        if not free:
            self._failed_peers = (*self._failed_peers, self._peer)
            if self.retry_target is not None:
                self._aim_anew(self.retry_target)
        else:
            self._failed_tries = self._failed_tries[:-1]
        self._choose()

    def _aim_anew(self, retry_target: Callable[[], tuple[str, int]]) -> None:
        """Let a plugin say where to try next."""
        try:
            self.upstream_target = retry_target()
        except Exception:
            log.failure("request {id}: a retry callback failed", id=self.request_id.decode())
        if self.upstream_target is not None:
            self._balancer = self.balancer_of(self.upstream_target)

    def balancer_of(self, target: tuple[str, int]) -> IBalancer:
        """What finds peers for a host and port that a plugin has chosen."""
        raise NotImplementedError

    def _resendable(self, sent: bool) -> bool:
        """Whether the request may go to another peer, and can."""
        if sent and self.method in _NOT_IDEMPOTENT:
            return False
        return self.upstream_body is not None or (self.body_complete and not self._body_gone)

    def _finish_try(self, state: str, code: int) -> None:
        now = self.gateway.time()
        peer = self._peer
        self._failed_tries = (
            *self._failed_tries,
            Try(peer.address, peer.port, self._chosen_at, self._balancer_ms, state, code),
        )
        self._end_try("timeout" if code == 504 else "tcp_failure", now - self._chosen_at)

    def _give_up(self, status: int) -> None:
        self.upstream_status = status
        self.upstream_latency_ms = milliseconds(self.gateway.time() - self._chosen_at)
        self.answer_page(status)

    # -- upgrades ----------------------------------------------------------------------------
    def reply_upgraded(self, channel: ClientChannel, rest: bytes) -> None:
        try:
            self._take_upgrade(channel, rest)
        except Exception:
            self._broken()

    def _take_upgrade(self, channel: ClientChannel, rest: bytes) -> None:
        if not self._upgrade or not self.connection.can_tunnel:
            channel.detach()
            self._upstream = None
            self._attempt_failed("garbage", True)
            return
        elapsed = self.gateway.time() - self._chosen_at
        self.upstream_latency_ms = milliseconds(elapsed)
        self._end_try(101, elapsed)
        self.status = self.upstream_status = 101
        self.response_source = "service"
        self._upstream_headers = tuple(channel.headers)
        self.response_headers = [*channel.headers, *self.response_headers]
        replaced = self._run_header_filter()
        if replaced is not None:
            self._replace_body(replaced)
            return
        self._add_core_headers()
        special = channel.special or {}
        self.response_headers.append((b"Connection", b"upgrade"))
        self.response_headers.append((b"Upgrade", special.get(b"upgrade", self._upgrade)))
        self.headers_sent = True
        Tunnel(self, channel).start(channel.reason, rest)

    # -- the client --------------------------------------------------------------------------
    def client_lost(self) -> None:
        """The client has gone: stop everything, and log."""
        waiting, self._waiting = self._waiting, None
        if self._over:
            return
        self._over = True
        self._body_arrived(BodyLost("the client has gone", 499))
        if waiting is not None:
            waiting.cancel()
        channel = self._upstream
        if channel is not None:
            self._upstream = None
            if self._tunnelled:
                # What the client said last still reaches the upstream.
                channel.hang_up()
            else:
                channel.detach()
        if not self.headers_sent:
            self.status = 499
            self.response_source = "error"
        self._end_log()
