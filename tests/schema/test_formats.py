"""Names, addresses and paths: what is accepted, and what is said of the rest."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kongtx.schema import formats
from kongtx.schema.formats import Address, Url

V6 = "0000:0000:0000:0000:0000:0000:0000:0001"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("example.com", Address("name", "example.com", None)),
        ("Example.COM.:80", Address("name", "Example.COM.", 80)),
        ("a_b-c", Address("name", "a_b-c", None)),
        ("-a", Address("name", "-a", None)),
        ("010.0.0.1", Address("ipv4", "10.0.0.1", None)),
        ("1.2.3.4:65535", Address("ipv4", "1.2.3.4", 65535)),
        ("::1", Address("ipv6", V6, None)),
        ("[::1]", Address("ipv6", V6, None)),
        ("[::1]:80", Address("ipv6", V6, 80)),
        ("1:2:3:4:5:6:7:8", Address("ipv6", "0001:0002:0003:0004:0005:0006:0007:0008", None)),
        ("a.b:70000", "invalid port number"),
        ("1.2.3.4:70000", "invalid port number"),
        ("[::1]:70000", "invalid port number"),
        ("1.2.3", "invalid ipv4 address: 1.2.3"),
        ("1.2.3.256", "invalid ipv4 address: 1.2.3.256"),
        ("::x", "invalid ipv6 address: ::x"),
        ("1::2::3", "invalid ipv6 address: 1::2::3"),
        ("[::1]x", "invalid ipv6 address"),
        ("[::1]:", "invalid ipv6 address"),
        ("a..b", "invalid hostname: a..b"),
        ("a-.b", "invalid hostname: a-.b"),
        ("é.com", "invalid hostname: é.com"),
        ("a/b", "invalid hostname: a/b"),
        (":80", "invalid ipv4 address: :80"),
    ],
)
def test_addresses_are_read(text: str, expected: Address | str) -> None:
    assert formats.parse_address(text) == expected


@given(st.ip_addresses(v=6))
def test_any_ipv6_address_is_written_in_full(address: ipaddress.IPv6Address) -> None:
    parsed = formats.parse_address(str(address))
    assert isinstance(parsed, Address)
    assert parsed.host == address.exploded
    assert formats.is_ip(str(address))


@given(st.text(max_size=30))
def test_any_text_is_an_address_or_not(text: str) -> None:
    parsed = formats.parse_address(text)
    if isinstance(parsed, Address):
        assert formats.normalise_target(formats.normalise_target(text)) == (
            formats.normalise_target(text)
        )
    else:
        assert "invalid" in parsed


@pytest.mark.parametrize(
    ("check", "good", "bad"),
    [
        (
            formats.check_host,
            ["a", "1.2.3.4", "::1"],
            {"a:1": "must not have a port", "a:99999": "must not have a port", "@": None},
        ),
        (
            formats.check_sni,
            ["a.b"],
            {"1.2.3.4": "must not be an IP", "a:1": "must not have a port", "a b": None},
        ),
        (
            formats.check_wildcard_host,
            ["*.a", "a.*", "a"],
            {
                "a*b": "wildcard must be leftmost or rightmost character",
                "*.a.*": "only one wildcard must be specified",
                "*:1": "must not have a port",
                "a.*.": "wildcard must be leftmost or rightmost character",
            },
        ),
        (formats.check_ip, ["1.2.3.4", "::1", "[::1]"], {"a": "not an ip address: a"}),
        (
            formats.check_ip_or_cidr,
            ["1.2.3.4", "1.2.3.4/0", "1.2.3.4/32", "::/128"],
            {
                "1.2.3.4/33": "invalid ip or cidr range: '1.2.3.4/33'",
                "1.2.3.4/": "invalid ip or cidr range: '1.2.3.4/'",
                "1.2.3.4/01": "invalid ip or cidr range: '1.2.3.4/01'",
                "::/129": "invalid ip or cidr range: '::/129'",
                "01.2.3.4": "invalid ip or cidr range: '01.2.3.4'",
            },
        ),
        (
            formats.check_path,
            ["/", "/a-b_c.d~e/%20:@!$&'()*+,;="],
            {
                "/%2": "invalid url-encoded value: '%2'",
                "/%zz%20": "invalid url-encoded value: '%zz'",
                "/?": "invalid path: '/?' (characters outside of the reserved list of RFC 3986 "
                "found)",
            },
        ),
        (
            formats.check_name,
            ["a.b-c_d~9"],
            {
                "é": "invalid value 'é': it must only contain alphanumeric and '., -, _, ~' "
                "characters"
            },
        ),
        (
            formats.check_utf8_name,
            ["é日本.-_~"],
            {
                "a/b": "invalid value 'a/b': the only accepted ascii characters are alphanumerics "
                "or ., -, _, and ~"
            },
        ),
        (
            formats.check_tag,
            ["a b", "é", "!~"],
            {
                "a/b": "invalid tag 'a/b': expected printable ascii (except `,` and `/`) or valid "
                "utf-8 sequences",
                "a\tb": None,
            },
        ),
        (
            formats.check_header_name,
            ["X-a_1"],
            {"a b": "bad header name 'a b', allowed characters are A-Z, a-z, 0-9, '_', and '-'"},
        ),
        (formats.check_cookie_name, ["a!b"], {"a=b": None, "é": None}),
        (
            formats.check_url,
            ["http://a", "x://a:1/b"],
            {"/a": "missing host in url", "//a": "missing scheme in url"},
        ),
        (formats.check_regex, ["a+", "(?i)x"], {"(": None, "(?=x)": None}),
    ],
)
def test_formats(
    check: Callable[[str], str | None], good: list[str], bad: dict[str, str | None]
) -> None:
    assert {text: check(text) for text in good} == dict.fromkeys(good)
    for text, error in bad.items():
        found = check(text)
        assert found
        assert error is None or found == error


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http://u:p@h:1/p;x?q#f", Url("http", "h", "1", "/p")),
        ("h.com", Url(None, None, None, "h.com")),
        ("http:h", Url("http", None, None, "h")),
        ("//[::1]:8/", Url(None, "::1", "8", "/")),
        ("http://[::1]", Url("http", "::1", None, None)),
    ],
)
def test_urls_are_split(text: str, expected: Url) -> None:
    assert formats.parse_url(text) == expected


def test_an_empty_url_is_none() -> None:
    assert formats.parse_url("") is None


@pytest.mark.parametrize("host", ["h", "1.2.3.4", "[::1]"])
def test_a_port_of_many_digits_is_too_great(host: str) -> None:
    assert formats.parse_address(f"{host}:{'9' * 5000}") == "invalid port number"
    found = formats.parse_address(f"{host}:{'0' * 5000}8")
    assert isinstance(found, Address)
    assert found.port == 8
