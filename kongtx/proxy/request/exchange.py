"""A request's way through the gateway, from its channel to the upstream. Hot path.

Handlers of the rewrite and access phases run as long as they do not wait; when one does, the rest
of the request's way goes on from its Deferred.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from twisted.python.failure import Failure
from zope.interface import implementer

from kongtx.balancer.interfaces import IBalancer
from kongtx.http.interfaces import IExchange
from kongtx.http.paths import normalise_path
from kongtx.pdk.kong import Kong
from kongtx.proxy.errors import BodyLost
from kongtx.proxy.interfaces import IPhaseHandler, ShortCircuit
from kongtx.proxy.phases import EMPTY, Chain, Step, as_deferred, log, report
from kongtx.proxy.request.bodies import BodyStore
from kongtx.proxy.request.context import Answer
from kongtx.proxy.request.forwarding import forwarded_host, forwarded_scheme
from kongtx.proxy.request.upstream import WAITING_BYTES, Forwarding
from kongtx.proxy.routes import RouteState

_REDIRECTS: Final = {
    301: b"301 Moved Permanently",
    302: b"302 Found",
    307: b"307 Temporary Redirect",
    308: b"308 Permanent Redirect",
}
_REDIRECT_BODY: Final = (
    b"<html>\r\n<head><title>%b</title></head>\r\n<body>\r\n<center><h1>%b</h1></center>\r\n"
    b"<hr><center>%b</center>\r\n</body>\r\n</html>\r\n"
)


@implementer(IExchange)
class Exchange(Forwarding):
    """One request."""

    __slots__ = ("_configured",)

    # -- the channel -------------------------------------------------------------------------
    def start(self, body: bytes, complete: bool) -> None:
        try:
            self._start(body, complete)
        except Exception:
            self._broken()

    def _start(self, body: bytes, complete: bool) -> None:
        gateway = self.gateway
        self._set_out()
        self.body_complete = complete
        if body:
            self._body = store = BodyStore()
            store.put(body)
        self.started = gateway.time()
        configured = self._configured = gateway.configured
        self._chain = configured.global_chain
        if gateway.trusted_peers:
            gateway.resolve_client(self)
        else:
            self.client_ip, self.client_port = self.connection.peer
        target = self.target
        mark = target.find(b"?")
        if mark < 0:
            raw_path = target
            self.query = b""
        else:
            raw_path = target[:mark]
            self.query = target[mark + 1 :]
        self.raw_path = raw_path
        self.path = normalise_path(raw_path)
        if configured.global_chain.rewrite:
            self.phase = "rewrite"
            self._run(iter(configured.global_chain.rewrite), self._rewritten)
        else:
            self._find_route()

    def body_part(self, data: bytes) -> None:
        try:
            self._take_body(data)
        except Exception:
            self._broken()

    def body_end(self, trailers: Sequence[tuple[bytes, bytes]]) -> None:
        try:
            self._take_body_end()
        except Exception:
            self._broken()

    def _take_body(self, data: bytes) -> None:
        if self._streaming and self._upstream is not None:
            self._write_upstream(data)
            return
        if self._over or self.headers_sent or self.upstream_body is not None:
            return
        store = self._body
        if store is None:
            store = self._body = BodyStore()
        store.put(data)
        if self._body_waiter is not None:
            self._body_grew(store.size)
        elif self._upstream is not None and not self._streaming:
            self._stream_body()
        elif store.size > WAITING_BYTES and not (
            self.match is not None and self._state.request_buffering
        ):
            self.connection.pause_body()

    def _take_body_end(self) -> None:
        self.body_complete = True
        if self._over:
            return
        if self._body_waiter is not None:
            self._body_arrived()
        elif self._upstream is not None and self.upstream_body is None:
            if self._streaming:
                self._body_sent()
            else:
                self._stream_body()
        elif self._awaiting_body:
            self._awaiting_body = False
            self._proxied = True
            self._choose()

    def body_failed(self, status: int) -> None:
        if self._over:
            return
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.cancel()
        self._drop_upstream()
        if self.headers_sent:
            self._cut()
            return
        self._body_arrived(BodyLost("the body did not come complete", status))
        if not self._over:
            self._proxied = False
            self.answer_page(status)

    # -- phases that may wait --------------------------------------------------------------------
    def _run(self, steps: Iterator[Step], done: Callable[[], None]) -> None:
        """Run the handlers that are left, until one has answered; then go on with C{done}."""
        for name, method, config, row, node in steps:
            try:
                if node is None:
                    waiting = method(self)
                else:
                    kong = self.pdk
                    if kong is None:
                        kong = self.pdk = Kong(self, node)
                    kong.row = row
                    waiting = method(config, kong)
            except ShortCircuit:
                break
            except Exception:
                self._handler_failed(name)
                break
            if waiting is not None:
                deferred = as_deferred(waiting)
                deferred.addErrback(self._waiting_failed, name)
                deferred.addCallback(self._resume, steps, done)
                deferred.addErrback(self._broken)
                return
            if self.answer is not None:
                break
        done()

    def _resume(self, _: object, steps: Iterator[Step], done: Callable[[], None]) -> None:
        if self._over:
            return
        if self.answer is not None:
            done()
        else:
            self._run(steps, done)

    def _handler_failed(self, name: str) -> None:
        report(self.phase, name)
        self.answer = self.failure_answer()

    def _waiting_failed(self, failure: Failure, name: str) -> None:
        error = failure.value
        if isinstance(error, ShortCircuit):
            return
        if isinstance(error, BodyLost):
            if not self._over and self.answer is None:
                self.answer_page(error.status)
            return
        log.failure("{plugin}: {phase} failed", failure=failure, plugin=name, phase=self.phase)
        self.answer = self.failure_answer(failure)

    def _rewritten(self) -> None:
        answer = self.answer
        if answer is not None:
            self.answer_with(answer)
        else:
            self._find_route()

    # -- routing -----------------------------------------------------------------------------
    def _find_route(self) -> None:
        configured = self._configured
        match = configured.router.match(self)
        if match is None:
            self.answer_error(404, "no Route matched with those values")
            return
        route = match.route
        state = configured.states.get(route["id"])
        if state is None:
            state = configured.add_state(match)
        self.match = match
        self._state = state
        self.route = route
        self.service = state.service
        if state.restricted and self._refused_by_protocol(state):
            return
        gateway = self.gateway
        if gateway.allows_debug_header and b"kong-debug" in self._fields:
            self.response_headers += state.debug_headers
        self.upstream_path = match.upstream_path
        self.upstream_scheme = state.scheme
        if state.preserve_host and not self.upstream_host:
            self.upstream_host = self._fields.get(b"host", self.host)
        chain = state.chain
        if chain is None:
            self.phase = "access"
            self._collect(state, 0, [])
            return
        self._chain = chain
        if chain.access:
            self.phase = "access"
            self._run(iter(chain.access), self._accessed)
        else:
            self._accessed()

    def _refused_by_protocol(self, state: RouteState) -> bool:
        """Answer a request whose protocol its route does not take (Kong: runloop.access.before)."""
        secure = forwarded_scheme(self) == b"https"
        if state.https_only and not secure:
            self._ask_for_https(state.redirect_status)
            return True
        if not state.grpc:
            return False
        if not self._fields.get(b"content-type", b"").startswith(b"application/grpc"):
            self.answer_error(415, "Non-gRPC request matched gRPC route")
        elif self.minor != 2:
            self.answer_error(
                426,
                "Please use HTTP2 protocol",
                ((b"connection", b"Upgrade"), (b"upgrade", b"HTTP/2")),
            )
        elif state.grpcs_only and not secure:
            headers = (
                (b"content-type", b"application/grpc"),
                (b"grpc-status", b"1"),
                (b"grpc-message", b"gRPC request matched gRPCs route"),
            )
            self.answer_with(Answer(200, b"", headers, "exit"))
        else:
            return False
        return True

    def _ask_for_https(self, status: int) -> None:
        words = _REDIRECTS.get(status)
        if words is None:
            self.answer_error(
                426,
                "Please use HTTPS protocol",
                ((b"Connection", b"Upgrade"), (b"Upgrade", b"TLS/1.2, HTTP/1.1")),
            )
            return
        location = b"https://%b%b" % (forwarded_host(self), self.target)
        body = _REDIRECT_BODY % (words, words, self.gateway.server)
        headers = ((b"Content-Type", b"text/html"), (b"Location", location))
        self.answer_with(Answer(status, body, headers, "exit"))

    # -- access ------------------------------------------------------------------------------
    def _collect(self, state: RouteState, index: int, chosen: list[IPhaseHandler]) -> None:
        """Run access, choosing each plugin's configuration by the consumer known by then."""
        steps = state.steps
        while index < len(steps):
            step = steps[index]
            index += 1
            handler = step.by_consumer.get(self.consumer_id, step.handler)
            if handler is None:
                continue
            chosen.append(handler)
            if self.answer is not None or handler.access is None:
                continue
            waiting = None
            try:
                waiting = handler.access(self)
            except ShortCircuit:
                pass
            except Exception:
                self._handler_failed(handler.name)
            if waiting is not None:
                deferred = as_deferred(waiting)
                deferred.addErrback(self._waiting_failed, handler.name)
                deferred.addCallback(self._collect_on, state, index, chosen)
                deferred.addErrback(self._broken)
                return
        self._chain = self._configured.chain_of(tuple(chosen))
        self._accessed()

    def _collect_on(
        self, _: object, state: RouteState, index: int, chosen: list[IPhaseHandler]
    ) -> None:
        if not self._over:
            self._collect(state, index, chosen)

    def _accessed(self) -> None:
        answer = self.answer
        if answer is not None:
            self.answer_with(answer)
            return
        state = self._state
        service = self.service
        if service is None or state.balancer is None:
            self.answer_error(503, "no Service found with those values")
            return
        target = self.upstream_target
        self._balancer = state.balancer if target is None else self.balancer_of(target)
        if self._chain.response:
            self.buffered = True
        self.forward()

    def balancer_of(self, target: tuple[str, int]) -> IBalancer:
        host, port = target
        service = {**(self.service or {}), "host": host, "port": port}
        return self._configured.snapshot.balancer_for(service)


class Refusal(Exchange):
    """A request that could not be understood: it is answered, and only global plugins see it."""

    __slots__ = ("_refusal",)

    def __init__(self, gateway: Any, connection: Any, status: int, head: bytes) -> None:
        line = head.split(b"\r\n", 1)[0][:256].split(b" ")
        method = line[0] if line[0].isalpha() else b""
        target = line[1] if len(line) > 1 and line[1][:1] == b"/" else b"/"
        super().__init__(gateway, connection, method, target, 1, [], [], {}, b"", 0)
        self._refusal = status

    def start(self, body: bytes, complete: bool) -> None:
        gateway = self.gateway
        self._set_out()
        self.body_complete = True
        self.started = gateway.time()
        self._configured = gateway.configured
        self._chain = EMPTY if gateway.configured is None else gateway.configured.global_chain
        self.client_ip, self.client_port = self.connection.peer
        self.raw_path = self.path = self.target
        self.query = b""
        self.answer_page(self._refusal)


def chain_of(handlers: Sequence[IPhaseHandler]) -> Chain:
    """The chain of some handlers."""
    return Chain(handlers) if handlers else EMPTY
