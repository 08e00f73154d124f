"""Error bodies, byte for byte, in the form a client accepts."""

from __future__ import annotations

import pytest

from kongtx.proxy.pages import (
    GRPC,
    HTML,
    JSON,
    PLAIN,
    XML,
    ErrorPages,
    error_message,
    grpc_status,
    negotiate,
    page_message,
)

ID = b"0123456789abcdef0123456789abcdef"


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        (None, JSON),
        (b"", JSON),
        (b"*/*", JSON),
        (b"text/html", HTML),
        (b"TEXT/HTML", HTML),
        (b"text/plain", PLAIN),
        (b"application/xml", XML),
        (b"text/*", PLAIN),
        (b"application/*", JSON),
        (b"image/png", JSON),
        (b"text/html;q=0.5, application/xml;q=0.9", XML),
        (b"text/html, application/xml", HTML),
        (b"text/html;q=0.1, image/png", JSON),
        (b"text/plain;charset=utf-8;q=1.0", PLAIN),
        (b"text/html;q=0", JSON),
        (b"nonsense", JSON),
        (b"application/grpc", GRPC),
    ],
)
def test_the_type_of_the_highest_quality_is_chosen(accept: bytes | None, chosen: bytes) -> None:
    assert negotiate(accept) == chosen


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        (JSON, b'{\n  "message":"Not found",\n  "request_id":"%b"\n}' % ID),
        (PLAIN, b"Not found\nrequest_id: %b\n" % ID),
        (
            HTML,
            b'<!doctype html>\n<html>\n  <head>\n    <meta charset="utf-8">\n'
            b"    <title>Error</title>\n  </head>\n  <body>\n    <h1>Error</h1>\n"
            b"    <p>Not found.</p>\n    <p>request_id: %b</p>\n  </body>\n</html>\n" % ID,
        ),
        (
            XML,
            b'<?xml version="1.0" encoding="UTF-8"?>\n<error>\n'
            b"  <message>Not found</message>\n  <requestid>%b</requestid>\n</error>\n" % ID,
        ),
        (GRPC, b""),
    ],
)
def test_bodies_are_kongs(content_type: bytes, body: bytes) -> None:
    assert ErrorPages().render(content_type, "Not found", ID) == body


def test_templates_replace_them() -> None:
    pages = ErrorPages(templates={JSON: '{"m":"%s","i":"%s"}', PLAIN: "only %s"})
    assert (
        pages.render(JSON, "no %s", ID)
        == b'{"m":"no %b","i":"%%s"}'.replace(b"%b", ID).replace(b"%%", b"%")
        or pages.render(JSON, "no", ID) == b'{"m":"no","i":"%b"}' % ID
    )
    assert pages.render(PLAIN, "text", ID) == b"only text"


@pytest.mark.parametrize(
    ("accept", "content_type", "chosen"),
    [
        (None, None, PLAIN),
        (None, b"application/json", JSON),
        (None, b"text/html; charset=utf-8", HTML),
        (b"application/xml", b"text/html", XML),
    ],
)
def test_a_page_takes_the_requests_type_or_the_default(
    accept: bytes | None, content_type: bytes | None, chosen: bytes
) -> None:
    assert ErrorPages().page(502, accept, content_type, ID)[0] == chosen


def test_statuses_have_their_words() -> None:
    assert page_message(494) == "Request header or cookie too large"
    assert page_message(401) == "The upstream server responded with 401"
    assert error_message(401) == "Unauthorized"
    assert error_message(418) == "The upstream server responded with 418"
    assert [grpc_status(code) for code in (200, 401, 418, 502, 302, 204)] == [0, 16, 3, 13, 2, 0]
