"""Request heads: what is understood, and what is refused (RFC 9112 §2-6, §11.2)."""

from __future__ import annotations

import pytest
from httptools import HttpParserError, HttpRequestParser
from hypothesis import given
from hypothesis import strategies as st

from kongtx.http.heads import judge_partial, parse_head
from kongtx.http.limits import Limits

LIMITS = Limits()
START = b"GET / HTTP/1.1\r\n"
HOST = b"Host: a\r\n"


def head(*lines: bytes, start: bytes = START, host: bytes = HOST) -> bytes:
    return start + host + b"".join(line + b"\r\n" for line in lines) + b"\r\n"


def test_a_head_is_taken_apart() -> None:
    parsed = parse_head(
        b"PUT /a?b=c HTTP/1.1\r\nHost: Example.COM:8080\r\nX-A:  1 \t\r\nx-a: 2\r\n"
        b"Content-Length: 12\r\n\r\n",
        LIMITS,
    )
    assert parsed == (
        b"PUT",
        b"/a?b=c",
        1,
        [
            (b"host", b"Example.COM:8080"),
            (b"x-a", b"1"),
            (b"x-a", b"2"),
            (b"content-length", b"12"),
        ],
        [b"Host", b"X-A", b"x-a", b"Content-Length"],
        {b"host": b"Example.COM:8080", b"x-a": b"1", b"content-length": b"12"},
        b"example.com",
        8080,
        True,
        12,
    )


@pytest.mark.parametrize(
    ("data", "status"),
    [
        # Lines must end in CRLF, and CR or NUL is nowhere else.
        (b"GET / HTTP/1.1\nHost: a\n\r\n\r\n", 400),
        (START + b"Host: a\nX: 1\r\n\r\n", 400),
        (START + b"Host: a\r\nX: 1\rY: 2\r\n\r\n", 400),
        (head(b"X: a\x00b"), 400),
        (head(b"X\x00: b"), 400),
        (head(b"X: a\x01b"), 400),
        (head(b"X: a\x7fb"), 400),
        # Names are tokens, right before their colon.
        (head(b"X : 1"), 400),
        (head(b"X\t: 1"), 400),
        (head(b": 1"), 400),
        (head(b"no colon"), 400),
        (head(b"X(Y): 1"), 400),
        (head(b"X\x80: 1"), 400),
        (START + b" Host: a\r\n\r\n", 400),
        # No line folding.
        (head(b"X: a", b" b"), 400),
        (head(b"X: a", b"\tb"), 400),
        # One length, one way to say it.
        (head(b"Content-Length: 1", b"Transfer-Encoding: chunked"), 400),
        (head(b"Transfer-Encoding: chunked", b"Content-Length: 1"), 400),
        (head(b"Content-Length: 1", b"Content-Length: 2"), 400),
        (head(b"Content-Length: 1", b"Content-Length: 1"), 400),
        (head(b"Content-Length: 1, 1"), 400),
        (head(b"Content-Length: +1"), 400),
        (head(b"Content-Length: -1"), 400),
        (head(b"Content-Length: 0x1"), 400),
        (head(b"Content-Length: 1 1"), 400),
        (head(b"Content-Length: 1_0"), 400),
        (head(b"Content-Length:"), 400),
        (head(b"Content-Length: 99999999999999999999999"), 400),
        # Codings: chunked alone, once.
        (head(b"Transfer-Encoding: gzip, chunked"), 501),
        (head(b"Transfer-Encoding: chunked, gzip"), 400),
        (head(b"Transfer-Encoding: chunked, chunked"), 400),
        (head(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"), 400),
        (head(b"Transfer-Encoding: identity"), 400),
        (head(b"Transfer-Encoding: xchunked"), 400),
        (head(b"Transfer-Encoding: \x0bchunked"), 400),
        (head(b"Transfer-Encoding: chunked", start=b"POST / HTTP/1.0\r\n"), 400),
        # The request line.
        (head(start=b"GET  / HTTP/1.1\r\n"), 400),
        (head(start=b"GET /  HTTP/1.1\r\n"), 400),
        (head(start=b"GET\t/ HTTP/1.1\r\n"), 400),
        (head(start=b"GET / HTTP/1.1 \r\n"), 400),
        (head(start=b" GET / HTTP/1.1\r\n"), 400),
        (head(start=b"get / HTTP/1.1\r\n"), 400),
        (head(start=b"GARBAGE / HTTP/1.1\r\n"), 400),
        (head(start=b"GET / HTTP/1.2\r\n"), 400),
        (head(start=b"GET / HTTP/2.0\r\n"), 400),
        (head(start=b"GET / HTTP/0.9\r\n"), 400),
        (head(start=b"GET / HTTP/11\r\n"), 400),
        (head(start=b"GET / http/1.1\r\n"), 400),
        (head(start=b"GET / RTSP/1.0\r\n"), 400),
        (head(start=b"GET /\r\n"), 400),
        (head(start=b"GET /a\x00b HTTP/1.1\r\n"), 400),
        (head(start=b"GET /a\x7fb HTTP/1.1\r\n"), 400),
        (head(start=b"GET /\xff HTTP/1.1\r\n"), 400),
        # Targets.
        (head(start=b"GET a HTTP/1.1\r\n"), 400),
        (head(start=b"GET * HTTP/1.1\r\n"), 400),
        (head(start=b"GET ftp://x/ HTTP/1.1\r\n"), 400),
        (head(start=b"GET http://u:p@x/ HTTP/1.1\r\n"), 400),
        (head(start=b"CONNECT a:443 HTTP/1.1\r\n"), 405),
        (head(start=b"CONNECT /a HTTP/1.1\r\n"), 405),
        (head(start=b"TRACE /a HTTP/1.1\r\n"), 405),
        # Hosts.
        (head(host=b""), 400),
        (head(host=b"Host: \r\n"), 400),
        (head(host=b"Host: a\r\nHost: a\r\n"), 400),
        (head(host=b"Host: a\r\nhost: b\r\n"), 400),
        (head(host=b"Host: a b\r\n"), 400),
        (head(host=b"Host: a/b\r\n"), 400),
        (head(host=b"Host: a@b\r\n"), 400),
        (head(host=b"Host: a,b\r\n"), 200),
        (head(host=b"Host: a:b\r\n"), 400),
        (head(host=b"Host: a:65536\r\n"), 400),
        (head(host=b"Host: a:1:2\r\n"), 400),
        (head(host=b"Host: a..b\r\n"), 400),
        (head(host=b"Host: [::1\r\n"), 400),
        (head(host=b"Host: [zz]\r\n"), 400),
        # Sizes.
        (head(start=b"GET /" + b"a" * 8192 + b" HTTP/1.1\r\n"), 414),
        (head(b"X: " + b"a" * 8192), 494),
        (head(*[b"X: " + b"a" * 8000] * 5), 494),
        (head(*[b"X: 1"] * 1001), 494),
    ],
)
def test_what_is_wrong_is_refused(data: bytes, status: int) -> None:
    parsed = parse_head(data, LIMITS)
    assert (parsed if isinstance(parsed, int) else 200) == status


def test_a_body_over_the_limit_is_refused() -> None:
    assert parse_head(head(b"Content-Length: 11"), Limits(body_bytes=10)) == 413


@pytest.mark.parametrize(
    ("data", "target", "host", "port"),
    [
        (head(start=b"GET http://B.example:81/x?y HTTP/1.1\r\n"), b"/x?y", b"b.example", 81),
        (head(start=b"GET HTTPS://b HTTP/1.1\r\n"), b"/", b"b", 0),
        (head(start=b"GET http://b?q HTTP/1.1\r\n"), b"/?q", b"b", 0),
        (head(start=b"OPTIONS * HTTP/1.1\r\n"), b"*", b"a", 0),
        (head(host=b"Host: [::1]:80\r\n"), b"/", b"[::1]", 80),
        (head(host=b"Host: a.example.\r\n"), b"/", b"a.example", 0),
        (head(start=b"GET / HTTP/1.0\r\n", host=b""), b"/", b"", 0),
        (head(start=b"GET /a#b HTTP/1.1\r\n"), b"/a#b", b"a", 0),
    ],
)
def test_targets_and_hosts_are_understood(
    data: bytes, target: bytes, host: bytes, port: int
) -> None:
    parsed = parse_head(data, LIMITS)
    assert not isinstance(parsed, int)
    assert (parsed[1], parsed[6], parsed[7]) == (target, host, port)


@pytest.mark.parametrize("host", [b"Host: other\r\n", b""])
def test_an_absolute_target_says_the_host_whatever_the_field_says(host: bytes) -> None:
    start = b"GET http://b.example:81/x HTTP/1." + (b"1" if host else b"0") + b"\r\n"
    parsed = parse_head(head(b"X: y", start=start, host=host), LIMITS)
    assert not isinstance(parsed, int)
    assert dict(parsed[3]) == {b"host": b"b.example:81", b"x": b"y"}
    assert [name.lower() for name in parsed[4]] == [name for name, _ in parsed[3]]
    assert parsed[5][b"host"] == b"b.example:81"


@pytest.mark.parametrize(
    ("version", "connection", "keeps"),
    [
        (b"1.1", None, True),
        (b"1.1", b"close", False),
        (b"1.1", b"Close", False),
        (b"1.1", b"x, close", False),
        (b"1.1", b"keep-alive", True),
        (b"1.0", None, False),
        (b"1.0", b"Keep-Alive", True),
        (b"1.0", b"keep-alive, close", False),
    ],
)
def test_connections_are_kept_as_their_client_says(
    version: bytes, connection: bytes | None, keeps: bool
) -> None:
    lines = [] if connection is None else [b"Connection: " + connection]
    parsed = parse_head(head(*lines, start=b"GET / HTTP/" + version + b"\r\n"), LIMITS)
    assert not isinstance(parsed, int)
    assert parsed[8] is keeps


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"", 0),
        (b"GET / HT", 0),
        (b"GET / HTTP/1.1\r", 0),
        (b"GET / HTTP/1.1\r\nHost: a", 0),
        (b"GET / HTTP/1.1\n", 400),
        (b"GET / HTTP/1.1\rX", 400),
        (b"GET /\x00", 400),
        (b"GET /" + b"a" * 8192, 414),
        (b"GET / HTTP/1.1\r\nX: " + b"a" * 40000, 494),
    ],
)
def test_a_beginning_is_refused_as_soon_as_it_cannot_become_right(data: bytes, status: int) -> None:
    assert judge_partial(data, LIMITS) == status


class Oracle:
    """llhttp on its own."""

    def __init__(self) -> None:
        self.headers: list[tuple[bytes, bytes]] = []
        self.complete = False

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value.strip(b" \t")))

    def on_headers_complete(self) -> None:
        self.complete = True


PIECES = st.sampled_from(
    [
        b"\r\n",
        b"\n",
        b"\r",
        b" ",
        b"\t",
        b":",
        b"X",
        b"a",
        b"\x00",
        b"Host: a",
        b"\x80",
        b",",
        b"Content-Length: 5",
        b"Transfer-Encoding: chunked",
        b"Connection: close",
        b"0",
        b"GET / ",
    ]
)


@given(st.lists(PIECES, max_size=12).map(b"".join))
def test_what_is_accepted_means_the_same_to_llhttp(middle: bytes) -> None:
    data = START + HOST + middle.replace(b"\r\n\r\n", b"\r\n") + b"\r\n\r\n"
    data = data[: data.find(b"\r\n\r\n") + 4]
    parsed = parse_head(data, LIMITS)
    if isinstance(parsed, int):
        return
    oracle = Oracle()
    try:
        HttpRequestParser(oracle).feed_data(data)
    except HttpParserError as error:
        raise AssertionError(f"llhttp refuses it: {error}") from error
    assert oracle.complete
    assert parsed[3] == oracle.headers
    assert all(b"\r" not in v and b"\n" not in v and b"\0" not in v for _, v in parsed[3])
