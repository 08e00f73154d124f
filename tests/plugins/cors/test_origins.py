"""Which origins are shared with."""

from __future__ import annotations

import pytest

from kongtx.plugins.cors.origins import Allowed, Origins, normalised


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        (b"https://a.example", (b"https://a.example", b"a.example")),
        (b"https://a.example:443", (b"https://a.example", b"a.example")),
        (b"http://a.example:80", (b"http://a.example", b"a.example")),
        (b"http://a.example:443", (b"http://a.example:443", b"a.example")),
        (b"http://user@a.example:1/path", (b"http://a.example:1", b"a.example")),
        (b"http://[::1]:8080", (b"http://[::1]:8080", b"[::1]")),
        (b"null", (b"null", b"null")),
        (b"a.example", (b"a.example", b"a.example")),
    ],
)
def test_an_origin_is_normalised(origin: bytes, expected: tuple[bytes, bytes]) -> None:
    assert normalised(origin) == expected


@pytest.mark.parametrize("configured", [None, [], ["*"]])
def test_anything_goes_by_default(configured: list[str] | None) -> None:
    assert Origins(configured).allowed(b"http://x") == Allowed(b"*", False)
    assert Origins(configured).allowed(None) == Allowed(b"*", False)


def test_a_single_origin_is_told_whoever_asks() -> None:
    origins = Origins(["https://a.example:443"])
    assert origins.allowed(b"http://other") == Allowed(b"https://a.example:443", True)
    assert origins.allowed(None) == Allowed(b"https://a.example:443", True)


@pytest.mark.parametrize(
    ("configured", "origin", "expected"),
    [
        (["http://a.example", "http://b.example"], b"http://b.example:80", b"http://b.example"),
        (["http://a.example", "http://b.example"], b"https://b.example", None),
        (["http://a.example", "http://b.example"], b"http://a.example.evil", None),
        (["http://a.example", "http://b.example"], None, None),
        (["http://a.example", "*"], b"http://c.example", b"*"),
        (["http://a.example", "*"], None, None),
        ([r".*\.example"], b"https://x.example:8080", b"https://x.example:8080"),
        ([r".*\.example"], b"https://x.example.evil", None),
        ([r"^.*\.example$"], b"http://x.example", b"http://x.example"),
        ([r"a\.example|b\.example"], b"http://a.example.evil", None),
        ([r"a\.example|b\.example"], b"http://b.example", b"http://b.example"),
        ([r"https?://.*\.example"], b"http://x.example", b"http://x.example"),
        ([r"https://.*\.example"], b"http://x.example", None),
        ([r"https://.*\.example"], b"https://x.example:1", None),
        ([r"https://.*\.example(:\d+)?"], b"https://x.example:1", b"https://x.example:1"),
        ([r".*\.example", "http://b.test"], b"null", None),
        ([r".*\.example"], b"", None),
    ],
)
def test_of_several_origins_that_of_the_request_decides(
    configured: list[str], origin: bytes | None, expected: bytes | None
) -> None:
    assert Origins(configured).allowed(origin) == Allowed(expected, True)
