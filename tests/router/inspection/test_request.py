"""The request that a client makes for a URL."""

from __future__ import annotations

import pytest

from kongtx.router.errors import RouterError
from kongtx.router.inspection.request import request_for


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://A.test/x?y=1", (b"http", b"a.test", 80, b"/x", b"y=1", b"")),
        ("https://a.test", (b"https", b"a.test", 443, b"/", b"", b"a.test")),
        ("https://a.test:8443/", (b"https", b"a.test", 8443, b"/", b"", b"a.test")),
        ("http://a.test?q", (b"http", b"a.test", 80, b"/", b"q", b"")),
        ("http://[::1]:81/", (b"http", b"::1", 81, b"/", b"", b"")),
        ("/a/../b//c", (b"http", b"", 80, b"/b/c", b"", b"")),
        ("/a?next=tcp://b", (b"http", b"", 80, b"/a", b"next=tcp://b", b"")),
        ("/a://b", (b"http", b"", 80, b"/a:/b", b"", b"")),
        ("a.test?next=http://b", (b"http", b"a.test", 80, b"/", b"next=http://b", b"")),
    ],
)
def test_urls(url, expected):
    request = request_for("GET", url)

    assert (
        request.scheme,
        request.host,
        request.host_port,
        request.path,
        request.query,
        request.sni,
    ) == expected


def test_a_host_header_counts_before_the_url():
    request = request_for("GET", "http://a.test/", [("Host", "B.test:81"), ("X-One", "1")])

    assert (request.host, request.host_port) == (b"b.test", 81)
    assert request.headers == [(b"host", b"B.test:81"), (b"x-one", b"1")]


@pytest.mark.parametrize(
    ("url", "scheme", "sni", "destination"),
    [
        ("tcp://10.0.0.9:5432", b"tcp", b"", ("10.0.0.9", 5432)),
        ("tls://db.test:5432", b"tls", b"db.test", ("127.0.0.1", 5432)),
        ("udp://[::1]:53", b"udp", b"", ("::1", 53)),
    ],
)
def test_connections(url, scheme, sni, destination):
    request = request_for("", url, source="10.0.0.1")

    assert (request.scheme, request.sni, request.destination) == (scheme, sni, destination)
    assert request.source == ("10.0.0.1", 0)


@pytest.mark.parametrize("url", ["gopher://a.test/", "http://a.test:/", "http://a.test:8a/"])
def test_what_is_no_url(url):
    with pytest.raises(RouterError):
        request_for("GET", url)
