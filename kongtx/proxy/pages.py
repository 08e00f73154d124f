"""Error bodies in the form a client accepts, byte for byte as Kong's. Pure."""

from __future__ import annotations

import re
from typing import Final

import attrs

JSON: Final = b"application/json; charset=utf-8"
HTML: Final = b"text/html; charset=utf-8"
PLAIN: Final = b"text/plain; charset=utf-8"
XML: Final = b"application/xml; charset=utf-8"
GRPC: Final = b"application/grpc"

_TYPES: Final = {
    b"application/json": JSON,
    b"text/html": HTML,
    b"text/plain": PLAIN,
    b"application/xml": XML,
    b"application/*": JSON,
    b"text/*": PLAIN,
    b"*/*": JSON,
    GRPC: GRPC,
}

_BODIES: Final = {
    JSON: b'{\n  "message":"%b",\n  "request_id":"%b"\n}',
    PLAIN: b"%b\nrequest_id: %b\n",
    HTML: b"""<!doctype html>
<html>
  <head>
    <meta charset="utf-8">
    <title>Error</title>
  </head>
  <body>
    <h1>Error</h1>
    <p>%b.</p>
    <p>request_id: %b</p>
  </body>
</html>
""",
    XML: b"""<?xml version="1.0" encoding="UTF-8"?>
<error>
  <message>%b</message>
  <requestid>%b</requestid>
</error>
""",
}

# Kong: kong.error_handlers, for what the proxy itself answers.
_PAGE_MESSAGES: Final = {
    400: "Bad request",
    404: "Not found",
    405: "Method not allowed",
    408: "Request timeout",
    411: "Length required",
    412: "Precondition failed",
    413: "Payload too large",
    414: "URI too long",
    417: "Expectation failed",
    494: "Request header or cookie too large",
    500: "An unexpected error occurred",
    502: "An invalid response was received from the upstream server",
    503: "The upstream server is currently unavailable",
    504: "The upstream server is timing out",
}

# Kong: kong.response.error, for what plugins answer without a message of their own.
_MESSAGES: Final = {
    **_PAGE_MESSAGES,
    401: "Unauthorized",
    402: "Payment required",
    403: "Forbidden",
    406: "Not acceptable",
    407: "Proxy authentication required",
    409: "Conflict",
    410: "Gone",
    429: "Too many requests",
}

_ACCEPTED: Final = re.compile(
    rb"\s*((?:[a-z0-9][a-z0-9\-!#$&^_+.]*|\*)/(?:[a-z0-9][a-z0-9\-!#$&^_+.]*|\*))"
    rb"((?:\s*;[^;]*)*)\s*",
    re.IGNORECASE,
)
_QUALITY: Final = re.compile(rb";\s*q\s*=\s*(1(?:\.0{0,3})?|0(?:\.\d{0,3})?)", re.IGNORECASE)

GRPC_STATUSES: Final = {
    200: 0,
    400: 3,
    401: 16,
    403: 7,
    404: 5,
    409: 6,
    429: 8,
    499: 1,
    500: 13,
    501: 12,
    503: 14,
    504: 4,
}


def page_message(status: int) -> str:
    """The words for an error that the proxy itself answers."""
    return _PAGE_MESSAGES.get(status) or f"The upstream server responded with {status}"


def error_message(status: int) -> str:
    """The words for an error that a plugin answers without a message."""
    return _MESSAGES.get(status) or f"The upstream server responded with {status}"


def negotiate(accept: bytes | None) -> bytes:
    """The content type of an error body for an Accept header.

    The media type with the highest quality decides, the first of several; if it is none of ours,
    JSON.
    """
    if accept is None:
        return JSON
    chosen = JSON
    best = 0.0
    for value in accept.split(b","):
        match = _ACCEPTED.fullmatch(value)
        if match is None:
            continue
        quality = _QUALITY.search(match[2])
        q = float(quality[1]) if quality is not None else 1.0
        if q > best:
            best = q
            chosen = _TYPES.get(match[1].lower(), JSON)
    return chosen


def grpc_status(status: int) -> int:
    """The gRPC status that stands for an HTTP status."""
    known = GRPC_STATUSES.get(status)
    if known is not None:
        return known
    return {4: 3, 5: 13, 2: 0}.get(status // 100, 2)


@attrs.frozen
class ErrorPages:
    """The templates of one gateway."""

    #: By content type; a template has up to two C{%s}: the message, then the request id.
    templates: dict[bytes, str] = attrs.Factory(dict)
    #: Of an error page for a client that says neither Accept nor Content-Type.
    default_type: bytes = b"text/plain"

    def render(self, content_type: bytes, message: str, request_id: bytes) -> bytes:
        """An error body.

        @param content_type: what L{negotiate} has chosen.
        @param message: goes in as it is, as Kong does.
        """
        if content_type == GRPC:
            return b""
        template = self.templates.get(content_type)
        if template is None:
            return _BODIES[content_type] % (message.encode(), request_id)
        text = ""
        for value in (message, request_id.decode()):
            before, mark, template = template.partition("%s")
            text += before + (value if mark else "")
        return (text + template).encode()

    def page(
        self, status: int, accept: bytes | None, content_type: bytes | None, request_id: bytes
    ) -> tuple[bytes, bytes]:
        """The page for an error that the proxy itself answers.

        @param accept: the request's Accept.
        @param content_type: the request's Content-Type, which stands in for it.
        @return: the page's content type and body.
        """
        if accept is None:
            accept = content_type if content_type is not None else self.default_type
        chosen = negotiate(accept.split(b";")[0] if content_type is accept else accept)
        return chosen, self.render(chosen, page_message(status), request_id)
