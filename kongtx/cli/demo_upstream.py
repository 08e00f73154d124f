"""A small web service for the quick start to stand before; run as a module, it serves on loopback.

It prints C{listening on 127.0.0.1:PORT} when it does, and ends when its standard input closes, so
that it never outlives who started it.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import msgspec
from twisted.internet import endpoints, reactor, task
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import Protocol
from twisted.internet.stdio import StandardIO
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site
from twisted.web.static import File


class Echo(Resource):
    """Answers with what it was asked, as JSON."""

    isLeaf = True

    def render(self, request: Request) -> bytes:
        """Method, path, arguments, headers and body."""
        request.setHeader(b"content-type", b"application/json")
        headers = {
            name.decode("latin-1").lower(): b", ".join(values).decode("latin-1")
            for name, values in request.requestHeaders.getAllRawHeaders()
        }
        answer: dict[str, Any] = {
            "method": request.method.decode("latin-1"),
            "path": request.path.decode("latin-1"),
            "arguments": {
                name.decode("latin-1"): [value.decode("latin-1") for value in values]
                for name, values in (request.args or {}).items()
            },
            "headers": headers,
            "body": request.content.read().decode("utf-8", "replace") if request.content else "",
        }
        return msgspec.json.format(msgspec.json.encode(answer), indent=2) + b"\n"


class Status(Resource):
    """Answers C{/status/418} with that status."""

    isLeaf = True

    def render(self, request: Request) -> bytes:
        """The status named by the path."""
        code = request.postpath[0] if request.postpath else b""
        request.setResponseCode(int(code) if code.isdigit() and 200 <= int(code) <= 599 else 404)
        return b"status " + code + b"\n"


class Slow(Resource):
    """Answers C{/slow/3} after so many seconds, ten at most."""

    isLeaf = True

    def __init__(self, clock: IReactorTime) -> None:
        super().__init__()
        self._clock = clock

    def render(self, request: Request) -> int:
        """Wait, then answer."""
        seconds = request.postpath[0] if request.postpath else b"1"
        wait = min(int(seconds), 10) if seconds.isdigit() else 1
        waiting = task.deferLater(self._clock, wait, self._answer, request)
        request.notifyFinish().addErrback(lambda _: waiting.cancel())
        waiting.addErrback(lambda _: None)
        return NOT_DONE_YET

    def _answer(self, request: Request) -> None:
        request.write(b"that took a while\n")
        request.finish()


def make_site(clock: IReactorTime, files: Path) -> Site:
    """The service: C{/echo}, C{/status}, C{/slow}, and the files of a folder below C{/files}."""
    root = Resource()
    root.putChild(b"echo", Echo())
    root.putChild(b"status", Status())
    root.putChild(b"slow", Slow(clock))
    root.putChild(b"files", File(str(files)))
    return Site(root)


class _UntilInputCloses(Protocol):
    def connectionLost(self, reason: Any = None) -> None:
        clock: Any = reactor
        if clock.running:
            clock.stop()


def main(arguments: list[str]) -> None:
    """Serve until the standard input closes.

    @param arguments: the folder to serve files from.
    """
    clock: Any = reactor
    site = make_site(clock, Path(arguments[0]))
    endpoint = endpoints.TCP4ServerEndpoint(clock, 0, interface="127.0.0.1")

    def listening(port: Any) -> None:
        sys.stdout.write(f"listening on 127.0.0.1:{port.getHost().port}\n")
        sys.stdout.flush()

    endpoint.listen(site).addCallback(listening)
    StandardIO(_UntilInputCloses())
    clock.run()


if __name__ == "__main__":
    main(sys.argv[1:])
