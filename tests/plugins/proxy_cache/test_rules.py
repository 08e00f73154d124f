"""What may be kept, and for how long."""

from __future__ import annotations

from typing import Any

import pytest

from kongtx.plugins.proxy_cache.rules import (
    MediaType,
    Policy,
    directives,
    media_type,
    seconds,
    sent_again,
)

NOW = 1_700_000_000
TEXT = (b"Content-Type", b"text/plain")


def policy(**config: Any) -> Policy:
    return Policy.of(
        {
            "response_code": [200],
            "request_method": ["GET"],
            "content_type": ["text/plain", "application/json; charset=utf-8", "image/*"],
            "cache_ttl": 300,
            "cache_control": False,
            **config,
        }
    )


def test_directives_are_read() -> None:
    found = directives(b'No-Cache, max-age=5 , private="set-cookie",, x=')
    assert found == {"no-cache": True, "max-age": 5, "private": "set-cookie", "x": ""}
    assert (seconds(found, "max-age"), seconds(found, "no-cache")) == (5, None)
    assert directives(b"") == {}
    assert directives(b"max-age=" + b"9" * 5000) == directives(b"max-age=2147483648")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("text/plain", MediaType("text", "plain", {})),
        ('Text/HTML; Charset="utf-8"; ', MediaType("text", "html", {"charset": "utf-8"})),
        ("text", None),
        ("", None),
        ("/", None),
    ],
)
def test_a_media_type_is_read(value: str, expected: MediaType | None) -> None:
    assert media_type(value) == expected


@pytest.mark.parametrize(
    ("content_type", "kept"),
    [
        (b"text/plain", True),
        (b"text/plain; charset=utf-8", False),
        (b"application/json; charset=utf-8", True),
        (b"application/json", False),
        (b"image/png", True),
        (b"audio/ogg", False),
    ],
)
def test_the_type_decides_with_its_parameters(content_type: bytes, kept: bool) -> None:
    lifetime = policy().lifetime(200, [(b"content-type", content_type)], NOW)
    assert (lifetime == 300) is kept


def test_a_response_without_type_or_of_another_status_is_not_kept() -> None:
    assert policy().lifetime(200, [], NOW) is None
    assert policy().lifetime(404, [TEXT], NOW) is None


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([], None),
        ([(b"Cache-Control", b"max-age=7")], 7),
        ([(b"Cache-Control", b"max-age=7, s-maxage=9")], 9),
        ([(b"Cache-Control", b"max-age=7"), (b"Cache-Control", b"private")], None),
        ([(b"Cache-Control", b"max-age=7, no-store")], None),
        ([(b"Cache-Control", b"no-cache")], None),
        ([(b"Cache-Control", b"max-age=0")], None),
        ([(b"Expires", b"Tue, 14 Nov 2023 22:13:30 GMT")], 10),
        ([(b"Expires", b"Tue, 14 Nov 2023 22:13:10 GMT")], None),
        ([(b"Expires", b"0")], None),
        (
            [(b"Expires", b"Tue, 14 Nov 2023 22:13:30 GMT"), (b"Cache-Control", b"max-age=3")],
            3,
        ),
    ],
)
def test_a_response_may_tell_its_own_lifetime(
    headers: list[tuple[bytes, bytes]], expected: int | None
) -> None:
    assert policy(cache_control=True).lifetime(200, [TEXT, *headers], NOW) == expected
    assert policy().lifetime(200, [TEXT, *headers], NOW) == 300


def test_which_requests_are_taken() -> None:
    assert policy().takes_request(b"GET", {"no-store": True}) is True
    assert policy().takes_request(b"POST", {}) is False
    heeding = policy(cache_control=True)
    assert heeding.takes_request(b"GET", {}) is True
    assert heeding.takes_request(b"GET", {"no-store": True}) is False
    assert heeding.takes_request(b"GET", {"no-cache": True}) is False


@pytest.mark.parametrize(
    ("age", "asked", "fresh"),
    [
        (5, b"", True),
        (500, b"", True),
        (5, b"max-age=5", True),
        (6, b"max-age=5", False),
        (12, b"max-stale=2", True),
        (13, b"max-stale=2", False),
        (500, b"max-stale", True),
        (6, b"min-fresh=4", True),
        (7, b"min-fresh=4", False),
    ],
)
def test_a_client_may_ask_for_fresh_ones(age: int, asked: bytes, fresh: bool) -> None:
    assert policy(cache_control=True).fresh(age, 10, directives(asked)) is fresh


def test_otherwise_the_configured_lifetime_decides() -> None:
    assert policy().fresh(300, 1, {"max-age": 1}) is True
    assert policy().fresh(301, 1, {}) is False


def test_what_is_not_sent_again() -> None:
    headers = [
        (b"X", b"1"),
        (b"Connection", b"close"),
        (b"Content-Length", b"1"),
        (b"Date", b"x"),
        (b"Age", b"1"),
        (b"X-Cache-Status", b"Miss"),
        (b"X-RateLimit-Remaining-Minute", b"1"),
        (b"RateLimit-Remaining", b"1"),
    ]
    assert sent_again(headers) == [(b"X", b"1")]
