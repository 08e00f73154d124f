"""The upstream's response on its way to the client. Hot path: plain ones pass as bytes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from twisted.logger import Logger
from twisted.python.failure import Failure

from kongtx.balancer.interfaces import IBalancer, IPeer
from kongtx.http.client import ClientChannel
from kongtx.http.plain import take_apart
from kongtx.proxy.interfaces import ShortCircuit
from kongtx.proxy.phases import EMPTY, as_deferred, call, report
from kongtx.proxy.request.answers import Answering, milliseconds, sendable, without
from kongtx.proxy.request.context import Try
from kongtx.proxy.request.forwarding import response_headers, wants_trailers
from kongtx.proxy.request.response_headers import CONTENT_LENGTH
from kongtx.proxy.routes import RouteState

Header = tuple[bytes, bytes]

_FRAMING: Final = re.compile(rb"\n(?=[CcTt])(?i:content-length|transfer-encoding)[ \t]*:")

log = Logger()

#: How far a response may run ahead of a slow client, when the route buffers responses.
AHEAD_BYTES: Final = 512 * 1024


class Relaying(Answering):
    """A request whose response is being passed on."""

    __slots__ = (
        "_ahead",
        "_balancer",
        "_balancer_ms",
        "_chosen_at",
        "_peer",
        "_state",
        "_upgrade",
        "_upstream",
        "_whole",
    )

    _state: RouteState
    _balancer: IBalancer
    _peer: IPeer
    #: How long the balancer took to choose it.
    _balancer_ms: int
    #: When the current attempt's peer was known, in seconds since the epoch.
    _chosen_at: float
    #: How many bytes have been passed on since the client became slow.
    _ahead: int
    #: The protocol that the client wants to switch to; empty if none.
    _upgrade: bytes
    #: The channel of the current attempt.
    _upstream: ClientChannel | None
    #: Pieces of a response that is held back until it is whole.
    _whole: list[bytes] | None

    @property
    def _tunnelled(self) -> bool:
        return self._upgrade != b"" and self.status == 101

    def _cut(self) -> None:
        if not self._over:
            self._over = True
            self.connection.cut_off()
            self._end_log()

    # A fault of ours must not leave the client waiting.
    def reply_head(
        self, channel: ClientChannel, length: int, body: bytes, complete: bool, reusable: bool
    ) -> None:
        try:
            self._take_head(channel, length, body, complete, reusable)
        except Exception:
            self._broken()

    def reply_raw(
        self,
        channel: ClientChannel,
        head: bytes,
        length: int,
        body: bytes,
        complete: bool,
        reusable: bool,
    ) -> None:
        try:
            self._take_raw(channel, head, length, body, complete, reusable)
        except Exception:
            self._broken()

    def _end_try(self, outcome: int | str, seconds: float) -> None:
        """Tell the balancer how the attempt ended, unless it has been told."""
        if self._trying:
            self._trying = False
            self._balancer.finished(self._peer, outcome, seconds)

    def _abandon_try(self) -> None:
        # The attempt has led to nothing, and not by the peer's fault; logs tell who was asked.
        peer = self._peer
        asked = Try(peer.address, peer.port, self._chosen_at, self._balancer_ms, "", 0)
        self._failed_tries = (*self._failed_tries, asked)
        self._end_try(499, self.gateway.time() - self._chosen_at)

    def _broken(self, failure: Failure | None = None) -> None:
        """Log a fault of ours, and end the request as far as it can be.

        @param failure: L{None} for the exception that is being handled.
        """
        log.failure("request {id} failed", failure, id=self.request_id.decode())
        self._drop_upstream()
        if self.headers_sent:
            self._cut()
        elif not self._over:
            self._chain = EMPTY
            self.answer_page(500)

    # -- the response ------------------------------------------------------------------------
    def _take_head(
        self, channel: ClientChannel, length: int, body: bytes, complete: bool, reusable: bool
    ) -> None:
        gateway = self.gateway
        status = channel.status
        elapsed = gateway.time() - self._chosen_at
        self.upstream_latency_ms = milliseconds(elapsed)
        self._trying = False
        self._balancer.finished(self._peer, status, elapsed)
        self.status = self.upstream_status = status
        self.response_source = "service"
        headers = channel.headers if channel.special is None else response_headers(channel, self)
        if not any(name.lower() == b"date" for name, _ in headers):
            headers.append((b"Date", gateway.date()))
        if complete:
            self._upstream = None
            if reusable:
                gateway.pool.release(channel)
            else:
                channel.discard()
        chain = self._chain
        cookie = self.hash_cookie
        if cookie is not None:
            self.response_headers.append((b"Set-Cookie", cookie.header))
        early = self.response_headers
        if chain.header_filter or chain.log or self.buffered or early:
            if length >= 0:
                # Plugins see it, and may take it away; framing is the channel's all the same.
                headers.append((b"Content-Length", b"%d" % length))
            self._upstream_headers = tuple(headers)
            if early:
                # What has passed the filters is looked at then.
                headers = headers + (early if chain.header_filter else sendable(early))
        self.response_headers = headers
        if gateway.sends_upstream_status:
            headers.append((b"X-Kong-Upstream-Status", b"%d" % status))
        if self.buffered:
            self._hold(body, complete)
            return
        self._relay(channel, length, body, complete)

    def _take_raw(
        self,
        channel: ClientChannel,
        head: bytes,
        length: int,
        body: bytes,
        complete: bool,
        reusable: bool,
    ) -> None:
        gateway = self.gateway
        chain = self._chain
        connection = self.connection
        early = self._response_headers
        if (
            chain.body_filter
            or self.buffered
            or not connection.takes_raw
            or gateway.sends_upstream_status
            or (early and chain.header_filter)
        ):
            channel.reason, headers = take_apart(head)
            channel.headers = list(headers)
            self._take_head(channel, length, body, complete, reusable)
            return
        status = channel.status
        elapsed = gateway.time() - self._chosen_at
        self.upstream_latency_ms = upstream_ms = int(elapsed * 1000) if elapsed > 0 else 0
        self._trying = False
        self._balancer.finished(self._peer, status, elapsed)
        self.status = self.upstream_status = status
        self.response_source = "service"
        if complete:
            self._upstream = None
            if reusable:
                gateway.pool.release(channel)
            else:
                channel.discard()
        self._upstream_head = head, length
        if not channel.dated:
            head = b"%bDate: %b\r\n" % (head, gateway.date())
        if early or self.hash_cookie is not None:
            self._early_to_lines(early)
        if chain.header_filter:
            self._keep_lines(head, length)
            replaced = self._run_header_filter()
            if replaced is not None or not self._response_head:
                channel.reason = take_apart(head)[0]
                self._send_filtered(channel, length, body, complete, replaced)
                return
            head = self._response_head
        else:
            self._keep_lines(head, length)
        # What is sent is kept as lines for the log, which may want to see it.
        lines = gateway.raw_headers(upstream_ms, self.proxy_latency_ms, self.request_id)
        if self._response_lines:
            lines = self._response_lines + lines
        self._response_lines = lines
        self._response_added = None
        self.headers_sent = True
        connection.respond_raw(head, lines, body, length, complete)
        if not complete and connection.write_paused:
            self.client_paused()

    def _early_to_lines(self, early: list[Header]) -> None:
        """Make lines of the headers that were set before the response came."""
        self._response_headers = []
        after = self._response_lines
        self._response_lines = b""
        self.add_response_lines(self._early_lines(early) + after)

    def _early_lines(self, early: list[Header]) -> bytes:
        if self.hash_cookie is not None:
            early.append((b"Set-Cookie", self.hash_cookie.header))
        lines = b"\n%b\r\n" % b"\r\n".join(map(b": ".join, early))
        ends = len(early)
        whole = lines.count(b"\n") == ends + 1 and lines.count(b"\r") == ends
        if whole and _FRAMING.search(lines) is None:
            return lines[1:]
        return b"".join(
            [b"%b: %b\r\n" % header for header in without(sendable(early), b"content-length")]
        )

    def _relay(self, channel: ClientChannel, length: int, body: bytes, complete: bool) -> None:
        """Send the response's header on, through the filters, with the first of its body."""
        replaced = self._run_header_filter() if self._chain.header_filter else None
        self._send_filtered(channel, length, body, complete, replaced)

    def _send_filtered(
        self,
        channel: ClientChannel,
        length: int,
        body: bytes,
        complete: bool,
        replaced: bytes | None,
    ) -> None:
        """Go on after the filters.

        @param replaced: a body instead of the upstream's.
        """
        if replaced is not None:
            self._replace_body(replaced)
            return
        reason = channel.reason if self.status == channel.status else None
        self._add_core_headers()
        special = channel.special
        if special is not None and b"via" in special and self.gateway.sends_via:
            self._join_via(special[b"via"])
        self.headers_sent = True
        connection = self.connection
        headers = self.response_headers
        if self._upstream_headers or self._upstream_head:
            headers, length = self._framed(length)
        if self._chain.body_filter:
            body, length, complete = self._filter_first(body, length, complete)
        if complete and channel.trailers and wants_trailers(self):
            connection.respond(self.status, reason, headers, body, -1, False)
            connection.end(channel.trailers)
            return
        connection.respond(self.status, reason, headers, body, length, complete)
        if not complete and connection.write_paused:
            self.client_paused()

    def _join_via(self, received: bytes) -> None:
        """An upstream's own Via comes first."""
        via = self.gateway.via
        self.response_headers[:] = [
            (name, b"%b, %b" % (received, via))
            if name == b"Via" and value is via
            else (name, value)
            for name, value in self.response_headers
        ]

    def _framed(self, length: int) -> tuple[list[Header], int]:
        """The headers without those of framing, and the length if no plugin took it away."""
        before = self.response_headers
        headers = [header for header in before if header[0] != CONTENT_LENGTH]
        return headers, -1 if len(headers) == len(before) else length

    def _filter_first(self, body: bytes, length: int, complete: bool) -> tuple[bytes, int, bool]:
        if self.raw_method == b"HEAD":
            return body, length, complete
        body = self._filter(body, complete, self._chain.body_filter)
        if self.chunk_is_last and not complete:
            self._drop_upstream()
            complete = True
        return body, -1, complete

    def _replace_body(self, body: bytes) -> None:
        """A header_filter handler has answered: the upstream's body is not wanted."""
        self._drop_upstream()
        self._add_core_headers()
        handlers = self._chain.body_filter
        if handlers:
            body = self._filter(body, True, handlers)
        self._respond_whole(None, body)

    def _drop_upstream(self) -> None:
        channel, self._upstream = self._upstream, None
        if channel is not None:
            channel.detach()

    def reply_part(self, data: bytes) -> None:
        try:
            self._take_part(data)
        except Exception:
            self._broken()

    def reply_ended(self, trailers: Sequence[Header], reusable: bool) -> None:
        try:
            self._take_end(trailers, reusable)
        except Exception:
            self._broken()

    def _take_part(self, data: bytes) -> None:
        if self._whole is not None:
            self._whole.append(data)
            return
        if self._chain.body_filter:
            data = self._filter(data, False, self._chain.body_filter)
            if self.chunk_is_last:
                self._drop_upstream()
                self.connection.write(data)
                self._end_response(())
                return
        connection = self.connection
        connection.write(data)
        if connection.write_paused and self._upstream is not None:
            self._ahead += len(data)
            if self._ahead > (AHEAD_BYTES if self._state.response_buffering else 0):
                self._upstream.pause()

    def _take_end(self, trailers: Sequence[Header], reusable: bool) -> None:
        channel, self._upstream = self._upstream, None
        assert channel is not None
        if self._tunnelled:
            self._tunnel_ended()
            return
        if reusable:
            self.gateway.pool.release(channel)
        else:
            channel.discard()
        if self._whole is not None:
            self._whole_response()
            return
        if self._chain.body_filter and self.raw_method != b"HEAD":
            self.connection.write(self._filter(b"", True, self._chain.body_filter))
        self._end_response(trailers if trailers and wants_trailers(self) else ())

    def _tunnel_ended(self) -> None:
        """The upstream has closed its side of a tunnel."""
        self.connection.hang_up()

    def _end_response(self, trailers: Sequence[Header]) -> None:
        self.receive_ms = milliseconds(
            self.gateway.time() - self._chosen_at - self.upstream_latency_ms / 1000
        )
        self.connection.end(trailers)

    # -- buffered responses ------------------------------------------------------------------
    def _hold(self, body: bytes, complete: bool) -> None:
        self._whole = [body] if body else []
        if complete:
            self._whole_response()

    def _whole_response(self) -> None:
        assert self._whole is not None
        self.upstream_response_body = b"".join(self._whole)
        self._whole = None
        self._run_response(0)

    def _run_response(self, index: int) -> None:
        handlers = self._chain.response
        self.phase = "response"
        while index < len(handlers):
            name = handlers[index][0]
            waiting = None
            try:
                waiting = call(self, handlers[index])
            except ShortCircuit:
                pass
            except Exception:
                report("response", name)
                self.answer = self.failure_answer()
            index += 1
            if waiting is not None:
                deferred = as_deferred(waiting)
                deferred.addErrback(self._response_failed, name)
                deferred.addCallback(self._response_resumed, index)
                deferred.addErrback(self._broken)
                return
            if self.answer is not None:
                break
        if self._over:
            return
        answer = self.answer
        if answer is not None:
            self.answer_with(answer)
        else:
            self._send_whole(None, self.upstream_response_body or b"")

    def _response_resumed(self, _: object, index: int) -> None:
        if not self._over:
            self._run_response(index if self.answer is None else len(self._chain.response))

    def _response_failed(self, failure: Failure, name: str) -> None:
        if not isinstance(failure.value, ShortCircuit):
            log.failure("{plugin}: {phase} failed", failure=failure, plugin=name, phase="response")
            self.answer = self.failure_answer(failure)

    # -- the client --------------------------------------------------------------------------
    def client_paused(self) -> None:
        self._ahead = 0
        channel = self._upstream
        if channel is None or not self.headers_sent:
            return
        if self._tunnelled or not self._state.response_buffering:
            channel.pause()

    def client_resumed(self) -> None:
        channel = self._upstream
        if channel is not None and self.headers_sent:
            channel.resume()
