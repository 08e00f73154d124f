"""The Admin API as a twisted.web resource."""

from __future__ import annotations

import gzip
import time
from http import HTTPStatus

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import ITCPTransport
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.resource import IResource, Resource
from twisted.web.server import NOT_DONE_YET, Request
from zope.interface import implementer

from kongtx.admin import auth
from kongtx.admin.answers import (
    JSON_TYPE,
    NOT_ALLOWED,
    NOT_FOUND,
    UNEXPECTED,
    AbortError,
    Answer,
    for_store_error,
    message,
)
from kongtx.admin.bodies import Body, parse_body, parse_query
from kongtx.admin.call import Call
from kongtx.admin.redaction import redacted
from kongtx.admin.routing import Endpoint, Router, parameters
from kongtx.admin.settings import AdminSettings
from kongtx.db.errors import StoreError

_log = Logger()
_WRITES = ("POST", "PUT", "PATCH")
_GZIP_FROM = 1024


class AdminRequest(Request):
    """A request whose body is not kept beyond the limit of its site."""

    body_limit = 10 << 20
    too_large = False
    started = 0.0
    _received = 0

    def gotLength(self, length: int | None) -> None:
        self.started = time.monotonic()
        self.body_limit = self.channel.site.body_limit  # type: ignore[attr-defined]
        if length is not None and length > self.body_limit:
            self.too_large = True
            length = 0
        super().gotLength(length)  # type: ignore[no-untyped-call]

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        """Leave the body to the endpoint: twisted.web would parse forms, and give up bad ones."""
        assert self.content is not None
        self.content.seek(0, 0)
        self.args = {}
        self.method, self.uri, self.clientproto = command, path, version
        self.path = path.partition(b"?")[0]
        self.process()  # type: ignore[no-untyped-call]

    def handleContentChunk(self, data: bytes) -> None:
        self._received += len(data)
        if self._received > self.body_limit:
            self.too_large = True
        if not self.too_large:
            super().handleContentChunk(data)  # type: ignore[no-untyped-call]
        elif self._received > self.body_limit * 8:
            transport = self.channel.transport
            if ITCPTransport.providedBy(transport):
                transport.abortConnection()
            else:  # a stream of HTTP/2
                self.channel.loseConnection()


@implementer(IResource)
class AdminResource(Resource):
    """Answers every path below it.

    @param router: the endpoints.
    @param settings: what the answers carry, and who may ask.
    @param cors: whether browsers are told what they may do; not on status listeners.
    @param log: is told of failures that nobody expects.
    """

    isLeaf = True

    def __init__(
        self, router: Router, settings: AdminSettings, cors: bool = True, log: Logger = _log
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.router = router
        self.settings = settings
        self._cors = cors
        self._log = log

    def render(self, request: Request) -> int:
        """Begin to answer."""
        # A client that goes away ends nothing: a write goes on until all who follow it know of it.
        gone: list[Failure] = []
        request.notifyFinish().addErrback(gone.append)
        Deferred.fromCoroutine(self._serve(request, gone)).addErrback(self._unsent)
        return NOT_DONE_YET

    async def _serve(self, request: Request, gone: list[Failure]) -> None:
        answer = await self._answer(request)
        if not gone:
            self._send(request, answer)

    async def _answer(self, request: Request) -> Answer:
        method = request.method.decode("latin-1")
        refused = auth.refuse(self.settings, request.getHeader("authorization"))
        if refused is not None and method != "OPTIONS":
            return refused
        if getattr(request, "too_large", False):
            request.setHeader("Connection", "close")
            return message(413, "Request Entity Too Large")
        path = request.path.decode("ascii", "surrogateescape")
        if path == "/robots.txt":
            return Answer(200, b"User-agent: *\nDisallow: /", {"Content-Type": "text/plain"})
        found = self.router.find(path)
        if found is None:
            return NOT_FOUND
        endpoint, values = found
        if method == "OPTIONS":
            return self._options(request, endpoint)
        handler = endpoint.methods.get("GET" if method == "HEAD" else method)
        if handler is None:
            return NOT_ALLOWED
        try:
            call = _call(request, method, endpoint, values)
            return await handler(call)
        except AbortError as error:
            return error.answer
        except StoreError as error:
            return for_store_error(error) or self._failed(method, path)
        except Exception:
            return self._failed(method, path)

    def _failed(self, method: str, path: str) -> Answer:
        self._log.failure("{method} {path} failed", method=method, path=path)
        return UNEXPECTED

    def _unsent(self, failure: Failure) -> None:
        self._log.failure("an answer could not be sent", failure=failure)

    def _options(self, request: Request, endpoint: Endpoint) -> Answer:
        allowed = ", ".join(endpoint.allowed)
        wanted = request.getHeader("access-control-request-headers")
        return Answer(
            204,
            None,
            {
                "Allow": allowed,
                "Access-Control-Allow-Methods": allowed,
                "Access-Control-Allow-Headers": wanted or "Content-Type",
            },
        )

    def _send(self, request: Request, answer: Answer) -> None:
        if answer.body is None and answer.status >= 400:
            # Kong leaves these to nginx's pages; clients are better off with JSON.
            text = "Not found" if answer.status == 404 else HTTPStatus(answer.status).phrase
            answer = message(answer.status, text, **answer.headers)
        if self.settings.redacts_keys:
            answer = redacted(answer)
        payload = answer.payload()
        request.setResponseCode(answer.status)
        headers = request.responseHeaders
        headers.removeHeader("server")
        if self.settings.server is not None:
            headers.setRawHeaders("Server", [self.settings.server])
        if self.settings.latency:
            spent = int((time.monotonic() - getattr(request, "started", 0.0)) * 1000)
            headers.setRawHeaders("X-Kong-Admin-Latency", [str(spent)])
        if self._cors:
            self._allow_origin(request)
        if answer.body is None:
            request.defaultContentType = None
        else:
            headers.setRawHeaders("Content-Type", [JSON_TYPE])
        for name, value in answer.headers.items():
            headers.setRawHeaders(name, [value])
        if len(payload) >= _GZIP_FROM:
            headers.setRawHeaders("Vary", ["Accept-Encoding"])
            if _takes_gzip(request.getHeader("accept-encoding")):
                headers.setRawHeaders("Content-Encoding", ["gzip"])
                payload = gzip.compress(payload, 5, mtime=0)
        if answer.status not in (204, 304):
            headers.setRawHeaders("Content-Length", [str(len(payload))])
        request.write(payload)
        request.finish()

    def _allow_origin(self, request: Request) -> None:
        origin = request.getHeader("origin")
        allowed = self.settings.origins
        if not allowed:
            origin = origin or "*"
        elif origin not in allowed:
            origin = allowed[0]
        headers = request.responseHeaders
        headers.setRawHeaders("Access-Control-Allow-Origin", [origin])
        headers.setRawHeaders("Access-Control-Allow-Credentials", ["true"])


def _call(request: Request, method: str, endpoint: Endpoint, values: list[str]) -> Call:
    headers = {
        name.decode("latin-1").lower(): found[-1].decode("latin-1")
        for name, found in request.requestHeaders.getAllRawHeaders()
    }
    body = Body()
    if method in _WRITES:
        content = request.content.read() if request.content is not None else b""
        body = parse_body(headers.get("content-type"), content, endpoint.yaml)
    _, _, query = request.uri.partition(b"?")
    raw = dict(zip(parameters(endpoint.path), values, strict=True))
    arguments = parse_query(query.decode("ascii", "surrogateescape"))
    return Call(method, raw, arguments, body, headers)


def _takes_gzip(header: str | None) -> bool:
    for item in (header or "").lower().split(","):
        coding, _, weight = item.partition(";")
        if coding.strip() in ("gzip", "*"):
            return weight.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False
