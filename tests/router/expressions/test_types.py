"""Which fields and operators go together."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kongtx.router.expressions import validate_expression


@pytest.mark.parametrize(
    "text",
    [
        'http.method == "GET"',
        'http.host =^ ".example.com"',
        'http.path ^= "/a" && http.path.segments.len > 2',
        'http.path.segments.0 == "a"',
        'http.path.segments.0_2 == "a/b/c"',
        'any(lower(http.headers.x_version)) == "1"',
        'http.queries.q != "x"',
        'net.protocol == "https" && tls.sni == "a.test"',
        "net.src.ip in 10.0.0.0/8 && net.src.port >= 1024",
        "net.dst.ip == ::1 && net.dst.port == 443",
        "net.port == 443",
        r'http.path ~ r#"^/u/(?<id>\d+)$"#',
        'http.host contains "x"',
    ],
)
def test_what_goes_together(text):
    assert validate_expression(text) is None


@pytest.mark.parametrize(
    ("text", "column", "reason"),
    [
        ('http.foo == "a"', 1, "unknown field 'http.foo': the fields are "),
        ('lower(http.foo) == "a"', 7, "unknown field 'http.foo': the fields are "),
        ('http.headers.a.b == "a"', 1, "unknown field 'http.headers.a.b': "),
        ('http.headers. == "a"', 1, "unknown field 'http.headers.': "),
        ("http.path == 1", 14, "expected a string after 'http.path ==', but this is an integer"),
        ('http.path.segments.len == "1"', 27, "expected an integer after "),
        ("http.path > 1", 11, "'>' compares an integer, but http.path is a string"),
        ('net.dst.port ^= "1"', 14, "'^=' compares a string, but net.dst.port is an integer"),
        ('http.path in "a"', 11, "'in' compares an IP address, but http.path is a string"),
        ("net.src.ip in 10.0.0.1", 15, "expected an IP address range after 'net.src.ip in', "),
        ("net.src.ip == 10.0.0.0/8", 15, "expected an IP address after 'net.src.ip ==', "),
        ("lower(net.src.port) == 1", 1, "lower() takes a string, but net.src.port is an integer"),
        ('http.path ~ "/a(?=b)"', 13, "invalid regex: look-ahead is not available"),
        ('http.path ~ "("', 13, "invalid regex: missing )"),
        ('http.path == "/" && net.src.port ~ "a"', 34, "'~' compares a string, but net.src.port"),
        ('http.path.segments.a == "x"', 20, "'a' is no path segment: expected 'len', a number"),
        ('http.path.segments.01 == "x"', 20, "'01' is no path segment: "),
        ('http.path.segments.2_1 == "x"', 20, "'2_1' is no path segment: "),
        ('http.path.segments.1_1 == "x"', 20, "'1_1' is no path segment: "),
    ],
)
def test_what_does_not(text, column, reason):
    message = validate_expression(text)

    assert message is not None
    first, *_, pointer = message.splitlines()
    assert first.startswith(reason)
    assert first.endswith(f", at line 1, column {column}")
    assert pointer.index("^") - len("  | ") == column - 1


def test_stream_routes_have_no_http_fields():
    message = validate_expression('http.path == "/"', ["tcp"])

    assert message is not None
    assert message.startswith(
        "unknown field 'http.path': the fields are "
        "net.dst.ip, net.dst.port, net.protocol, net.src.ip, net.src.port, tls.sni"
    )
    assert validate_expression('tls.sni == "a.test"', ["tls_passthrough"]) is None


def test_deep_nesting_is_refused():
    shallow = "!(" * 90 + 'http.path == "/"' + ")" * 90
    deep = "!(" * 5000 + 'http.path == "/"' + ")" * 5000

    assert validate_expression(shallow) is None
    assert validate_expression(deep).startswith("nested more than 100 deep, at line 1, column 203")


def test_text_that_is_not_unicode_is_refused():
    message = validate_expression('http.path == "\ud800"')

    assert message.startswith("not Unicode: surrogates not allowed, at line 1, column 15")


_PIECES = [
    *(
        "http.path",
        "http.headers.x",
        "net.src.ip",
        "net.src.port",
        "lower(",
        "any(",
        "(",
        ")",
        "!(",
    ),
    *("==", "!=", "~", "^=", "=^", ">", "<=", "in", "not in", "contains", "&&", "||", " ", "\n"),
    *('"a"', '"', "\\", 'r#"', '"#', "10.0.0.1", "10.0.0.0/8", "::1", "12", "0x1F", "é", "$"),
]


@given(st.lists(st.sampled_from(_PIECES), max_size=12).map(" ".join))
def test_any_text_is_taken_or_refused_with_a_place_in_it(text):
    message = validate_expression(text)

    if message is not None:
        place = re.search(r", at line (\d+), column (\d+)\n", message)
        line = text.split("\n")[int(place[1]) - 1]
        assert 1 <= int(place[2]) <= len(line) + 1
