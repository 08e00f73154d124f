"""The way back to the client: header_filter, body_filter, framing, log."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from kongtx.http.lines import CR, LF
from kongtx.proxy.pages import GRPC, page_message
from kongtx.proxy.phases import Chain, run_filters, run_log
from kongtx.proxy.request.context import Answer, RequestContext
from kongtx.proxy.request.response_headers import CONTENT_LENGTH

Header = tuple[bytes, bytes]

_NAMES_KEPT: Final = 1024
#: Names as they have been found to be good.
_good_names: Final = {CONTENT_LENGTH}

_NUMBERS: Final = tuple(b"%d" % number for number in range(1000))


def milliseconds(seconds: float) -> int:
    """A duration for a latency header or the log; never negative."""
    return int(seconds * 1000) if seconds > 0 else 0


def digits(number: int) -> bytes:
    """A number as text; the usual ones without making anything."""
    return _NUMBERS[number] if 0 <= number < 1000 else b"%d" % number


def without(headers: Sequence[Header], *names: bytes) -> list[Header]:
    """The headers that have none of these (lower-case) names."""
    return [header for header in headers if header[0].lower() not in names]


class Answering(RequestContext):
    """A request that can be answered."""

    __slots__ = ("_chain", "_over", "_proxied", "_trying")

    #: Whose response phases run.
    _chain: Chain
    #: The answer has ended, one way or the other.
    _over: bool
    #: The request has been sent upstream, or was about to be.
    _proxied: bool
    #: The balancer has been told of the start of an attempt, and not yet of its end.
    _trying: bool

    # -- answers of our own --------------------------------------------------------------------
    def answer_with(self, answer: Answer) -> None:
        """Send an answer that does not come from the upstream."""
        if self._over:
            return
        self.answer = None
        self.buffered = False
        self.status = answer.status
        self.response_source = answer.source
        names = {name.lower() for name, _ in answer.headers}
        early = self.response_headers
        headers = [header for header in early if header[0].lower() not in names]
        headers += answer.headers
        if not any(name.lower() == b"date" for name, _ in headers):
            headers.insert(0, (b"Date", self.gateway.date()))
        self.response_headers = sendable(headers)
        self._send_whole(None, answer.body)

    def answer_error(
        self, status: int, message: str | None, headers: Sequence[Header] = ()
    ) -> None:
        """Answer with an error body (Kong: C{kong.response.error})."""
        self.answer_with(self.error_answer(status, message, headers, "exit"))

    def answer_page(self, status: int) -> None:
        """Answer with an error page, as the proxy itself does (Kong: C{kong.error_handlers})."""
        fields = self._fields
        content_type, body = self.gateway.pages.page(
            status, fields.get(b"accept"), fields.get(b"content-type"), self.request_id
        )
        if status == 494:
            status = 400
        if content_type == GRPC and self.minor == 2:
            self.answer_with(self.error_answer(status, page_message(status)))
            return
        self.answer_with(Answer(status, body, ((b"Content-Type", content_type),), "error"))

    # -- the response's header -------------------------------------------------------------------
    def _run_header_filter(self) -> bytes | None:
        """Run the phase.

        @return: a body that replaces the response's, when a handler has answered instead.
        """
        handlers = self._chain.header_filter
        if not handlers:
            return None
        self.answer = None
        run_filters(self, "header_filter", handlers)
        answer: Answer | None = self.answer
        if answer is None and self._response_head and self.status == self.upstream_status:
            return None
        self.response_headers = sendable(self.response_headers)
        if answer is None:
            return None
        self.answer = None
        self.status = answer.status
        self.response_source = answer.source
        names = {name.lower() for name, _ in answer.headers}
        self.response_headers = sendable(
            [
                *without(self.response_headers, b"content-length", *names),
                *answer.headers,
            ]
        )
        return answer.body

    def _add_core_headers(self) -> None:
        """Latencies, Via, Server and the request's id, as the C{headers} property asks."""
        gateway = self.gateway
        headers = self.response_headers
        if self._proxied or self.stands_for_upstream:
            if gateway.sends_upstream_latency and self.upstream_latency_ms >= 0:
                headers.append((b"X-Kong-Upstream-Latency", digits(self.upstream_latency_ms)))
            if gateway.sends_proxy_latency:
                headers.append((b"X-Kong-Proxy-Latency", digits(self.proxy_latency_ms)))
            if gateway.sends_via:
                headers.append((b"Via", gateway.via))
        else:
            elapsed = milliseconds(gateway.time() - self.started)
            if self.proxy_latency_ms < 0:
                self.proxy_latency_ms = elapsed
            if gateway.sends_response_latency:
                headers.append((b"X-Kong-Response-Latency", digits(elapsed)))
            if gateway.sends_server:
                self.response_headers = headers = without(headers, b"server")
                headers.append((b"Server", gateway.server))
        if gateway.sends_request_id:
            headers.append((b"X-Kong-Request-Id", self.request_id))

    def _send_whole(self, reason: bytes | None, body: bytes) -> None:
        """Send a response of which all is in hand, through the filters."""
        replaced = self._run_header_filter()
        if replaced is not None:
            body, reason = replaced, None
        self._add_core_headers()
        if self._proxied and self.response_source != "service" and self.gateway.sends_server:
            self.response_headers = without(self.response_headers, b"server")
            self.response_headers.append((b"Server", self.gateway.server))
        handlers = self._chain.body_filter
        if handlers:
            body = self._filter(body, True, handlers)
        self._respond_whole(reason, body)

    def _respond_whole(self, reason: bytes | None, body: bytes) -> None:
        headers, length = self.response_headers, len(body)
        if any(name.lower() == b"content-length" for name, _ in headers):
            headers, length = self._own_length(length)
        if self._chain.log:
            self.response_headers = [*headers, (b"Content-Length", b"%d" % length)]
        self.headers_sent = True
        self.connection.respond(self.status, reason, headers, body, length, True)

    def _own_length(self, length: int) -> tuple[list[Header], int]:
        """Take a plugin's Content-Length out: framing is the channel's.

        A HEAD request's answer may say a length that its body has not.
        """
        said = next(
            (
                value
                for name, value in self.response_headers
                if name.lower() == b"content-length" and value.isdigit()
            ),
            b"",
        )
        if self.raw_method == b"HEAD" and said:
            length = int(said)
        return without(self.response_headers, b"content-length", b"transfer-encoding"), length

    def _filter(self, data: bytes, last: bool, handlers: Any) -> bytes:
        """Run body_filter over one piece."""
        self.chunk = data
        self.chunk_is_last = last
        run_filters(self, "body_filter", handlers)
        return self.chunk

    # -- the end -----------------------------------------------------------------------------
    def finished(self) -> None:
        """The channel has sent all of the answer."""
        if not self._over:
            self._over = True
            self._end_log()

    def _abandon_try(self) -> None:
        raise NotImplementedError

    def _end_log(self) -> None:
        """Run the log phase; always the last thing that happens to a request."""
        gateway = self.gateway
        chain = self._chain
        if self._trying:
            self._abandon_try()
        if chain.log or gateway.log_sink is not None:
            self.total_ms = milliseconds(gateway.time() - self.started)
            if chain.log:
                run_log(self, chain.log)
            if gateway.log_sink is not None:
                gateway.log_sink.log(self)
        # What plugins see refers back to the request; undone, nothing waits for the collector.
        if self.pdk is not None:
            self.pdk = None
        if self._body is not None:
            self._body.close()


def sendable(headers: list[Header]) -> list[Header]:
    """Headers that plugins have touched, without those that would break the message.

    A Content-Length is called so, in this case.
    """
    if not headers:
        return headers
    names, values = zip(*headers, strict=True)
    text = b"".join(values)
    if LF not in text and CR not in text and _good_names.issuperset(names):
        return headers
    return [
        (CONTENT_LENGTH if name.lower() == b"content-length" else name, value)
        for name, value in headers
        if not (LF in value or CR in value) and (name in _good_names or _is_good(name))
    ]


def _is_good(name: bytes) -> bool:
    """Whether a header of this name may be sent by a plugin."""
    lower = name.lower()
    if LF in name or CR in name or b":" in name or lower == b"transfer-encoding":
        return False
    if lower != b"content-length":
        if len(_good_names) >= _NAMES_KEPT:
            _good_names.clear()
            _good_names.add(CONTENT_LENGTH)
        _good_names.add(name)
    return True
