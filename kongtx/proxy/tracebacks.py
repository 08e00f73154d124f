"""Answers that tell a plugin's author what went wrong; in development mode alone."""

from __future__ import annotations

from html import escape

import msgspec
from twisted.python.failure import Failure

from kongtx.proxy.pages import HTML, JSON, PLAIN, error_message

_PAGE = "<!doctype html><title>{title}</title><h1>{title}</h1><p>request_id: {id}<pre>{text}</pre>"


def show(failure: Failure, content_type: bytes, request_id: bytes) -> tuple[bytes, bytes]:
    """A 500's body with a traceback.

    @param content_type: one of those in L{kongtx.proxy.pages}, that the client accepts.
    @return: the body's type, and the body.
    """
    text, title, identifier = failure.getTraceback(), error_message(500), request_id.decode()
    if content_type == HTML:
        page = _PAGE.format(title=escape(title), id=identifier, text=escape(text))
        return HTML, page.encode("utf-8", "replace")
    if content_type == JSON:
        told = {"message": title, "request_id": identifier, "traceback": text.splitlines()}
        return JSON, msgspec.json.format(msgspec.json.encode(told), indent=2)
    return PLAIN, f"{title}\nrequest_id: {identifier}\n\n{text}".encode("utf-8", "replace")
