"""The forms of host names, addresses, paths, names and tags: one function each, error or None.

Grammar and texts are Kong's (C{kong/tools/ip.lua}, C{kong/db/schema/typedefs.lua}).
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable
from typing import Literal

import attrs
import re2  # type: ignore[import-untyped]

from kongtx.http.paths import normalise_path

BAD_PORT = "invalid port number"

_IPV4 = re.compile(r"(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})(?::(\d+))?", re.ASCII)
_DIGITS_AND_DOTS = re.compile(r"[\d.]+", re.ASCII)
_HOST = re.compile(r"[\dA-Za-z._-]+", re.ASCII)
_PORT = re.compile(r":(\d+)\Z", re.ASCII)
_PREFIXES = frozenset(map(str, range(129)))
_GROUP = re.compile(r"[0-9A-Fa-f]{1,4}")
_PATH = re.compile(r"/[\w.\-~/%:@!$&'()*+,;=]*", re.ASCII)
_ESCAPE = re.compile("%[0-9A-Fa-f]{2}")
_NAME = re.compile(r"[\w.\-~]+", re.ASCII)
_UTF8_NAME = re.compile(r"[0-9A-Za-z_.\-~\u0080-\U0010ffff]+")
_TAG = re.compile(r"[ \x21-\x2b\x2d\x2e\x30-\x7e\u0080-\U0010ffff]+")
_HEADER_NAME = re.compile(r"[A-Za-z0-9_-]+")
_NOT_TOKEN = re.compile(r'[\x00-\x20\x7f-\U0010ffff()<>@,;:\\"/?={}\[\]]')


@attrs.frozen
class Address:
    """A host name or address, normalised, with the port that came with it.

    @ivar kind: C{ipv4}, C{ipv6} or C{name}.
    @ivar host: IPv4 without leading zeros, IPv6 in full (eight groups of four) without brackets, a
        name as written.
    @ivar port: None when there was none.
    """

    kind: str
    host: str
    port: int | None


def parse_address(text: str) -> Address | str:
    """Read C{host[:port]} or C{[ipv6]:port}; returns what is wrong as text."""
    if text.count(":") > 1:
        return _parse_ipv6(text)
    if _DIGITS_AND_DOTS.fullmatch(text.replace(":", "")):
        return _parse_ipv4(text)
    return _parse_name(text)


def _port(digits: str | None) -> int | Literal[False] | None:
    """A port from decimal digits, False when it is too great; None for none."""
    if not digits:
        return None
    digits = digits.lstrip("0") or "0"
    if len(digits) > 5 or int(digits) > 65535:
        return False
    return int(digits)


def _parse_ipv4(text: str) -> Address | str:
    found = _IPV4.fullmatch(text)
    if found is None:
        return f"invalid ipv4 address: {text}"
    numbers = [int(part) for part in found.groups()[:4]]
    if max(numbers) > 255:
        return f"invalid ipv4 address: {text}"
    port = _port(found[5])
    if port is False:
        return BAD_PORT
    return Address("ipv4", ".".join(map(str, numbers)), port)


def _parse_ipv6(text: str) -> Address | str:
    inner = text
    port: int | Literal[False] | None = None
    if text.startswith("[") and "]" in text:
        inner, _, rest = text[1:].partition("]")
        if rest:
            if not (rest.startswith(":") and rest[1:].isascii() and rest[1:].isdigit()):
                return "invalid ipv6 address"
            port = _port(rest[1:])
            if port is False:
                return BAD_PORT
    # A scope (%eth0) is accepted by the resolver's parser, yet is no address to connect to here.
    groups = _ipv6_groups(inner)
    if groups is None:
        return f"invalid ipv6 address: {text}"
    return Address("ipv6", ":".join(groups), port)


def _ipv6_groups(text: str) -> list[str] | None:
    head, gap, tail = text.partition("::")
    before = head.split(":") if head else []
    after = tail.split(":") if tail else []
    if gap:
        before += ["0"] * (8 - len(before) - len(after))
    groups = before + after
    if len(groups) != 8 or not all(_GROUP.fullmatch(group) for group in groups):
        return None
    return [group.lower().rjust(4, "0") for group in groups]


def _parse_name(text: str) -> Address | str:
    found = _PORT.search(text)
    name = text[: found.start()] if found else text
    port = _port(found[1] if found else None)
    if port is False:
        return BAD_PORT
    if not _HOST.fullmatch(name):
        return f"invalid hostname: {text}"
    labels = name.split(".")
    for index, label in enumerate(labels):
        if label.endswith("-") or (not label and index != len(labels) - 1):
            return f"invalid hostname: {text}"
    return Address("name", name, port)


def format_address(address: Address, port: int) -> str:
    """C{host:port} with IPv6 in brackets; C{port} when the address has none of its own."""
    host = f"[{address.host}]" if address.kind == "ipv6" else address.host
    return f"{host}:{port if address.port is None else address.port}"


def normalise_target(text: str) -> str:
    """A target with its default port 8000 and its address written in full."""
    address = parse_address(text)
    return text if isinstance(address, str) else format_address(address, 8000)


def check_host(value: str) -> str | None:
    """A host name or address without port."""
    address = parse_address(value)
    if address == BAD_PORT:
        return "must not have a port"
    if isinstance(address, str):
        return f"invalid value: {value}"
    return None if address.port is None else "must not have a port"


def check_host_with_optional_port(value: str) -> str | None:
    """A host name or address, with or without port."""
    address = parse_address(value)
    return address if isinstance(address, str) else None


def check_host_with_wildcards(value: str) -> str | None:
    """As C{check_host_with_optional_port} where an asterisk stands for anything."""
    return check_host_with_optional_port(value.replace("*", "abc"))


def check_sni(value: str) -> str | None:
    """A host name: no address, no port."""
    address = parse_address(value)
    if address == BAD_PORT:
        return "must not have a port"
    if isinstance(address, str):
        return f"invalid value: {value}"
    if address.kind != "name":
        return "must not be an IP"
    return None if address.port is None else "must not have a port"


def check_wildcard_host(value: str) -> str | None:
    """A host name that may have one asterisk as its first or last character."""
    at = value.find("*")
    if at < 0:
        return check_sni(value)
    if at not in (0, len(value) - 1):
        return "wildcard must be leftmost or rightmost character"
    if value.count("*") > 1:
        return "only one wildcard must be specified"
    return check_sni(value.replace("*", "wildcard"))


def is_ip(value: str) -> bool:
    """Whether text is an IPv4 or IPv6 address (the latter with or without brackets)."""
    family = socket.AF_INET6 if ":" in value else socket.AF_INET
    if family == socket.AF_INET6 and value.startswith("[") and value.endswith("]"):
        value = value[1:-1]
    try:
        socket.inet_pton(family, value)
    except (OSError, ValueError):
        return False
    return True


def check_ip(value: str) -> str | None:
    """An IPv4 or IPv6 address."""
    return None if is_ip(value) else f"not an ip address: {value}"


def check_ip_or_cidr(value: str) -> str | None:
    """An address, or a range such as C{10.0.0.0/8}."""
    ip, slash, prefix = value.partition("/")
    if is_ip(ip):
        if not slash:
            return None
        bits = 128 if ":" in ip else 32
        if prefix in _PREFIXES and int(prefix) <= bits:
            return None
    return f"invalid ip or cidr range: '{value}'"


def check_path(value: str) -> str | None:
    """A URL path of RFC 3986 characters, rightly percent-encoded."""
    if not _PATH.fullmatch(value):
        return (
            f"invalid path: '{value}' (characters outside of the reserved list of RFC 3986 found)"
        )
    return _bad_escape(value)


def _bad_escape(value: str) -> str | None:
    rest = _ESCAPE.sub("___", value)
    at = rest.find("%")
    return None if at < 0 else f"invalid url-encoded value: '{rest[at : at + 3]}'"


def check_regex(pattern: str) -> str | None:
    """What the router's regular expression engine (RE2) finds wrong with a pattern, or None."""
    options = re2.Options()
    options.log_errors = False
    try:
        re2.compile(pattern.encode("utf-8", "surrogatepass"), options)
    except re2.error as error:
        reason = error.args[0] if error.args else "not supported"
        return reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)
    return None


def check_router_path(value: str, regex: Callable[[str], str | None]) -> str | None:
    """A route's path: a normalised prefix, or C{~} and a regular expression.

    @param value: the path.
    @param regex: says what is wrong with a pattern.
    """
    if value.startswith("~"):
        error = regex(value[1:])
        # The text names PCRE because clients know it so; the engine is not PCRE.
        return error and f"invalid regex: '{value[1:]}' (PCRE returned: {error})"
    if _PATH.fullmatch(value):
        bad = _bad_escape(value)
        if bad is not None:
            return bad
    raw = value.encode("utf-8", "surrogatepass")
    normal = normalise_path(raw)
    if normal == raw:
        return None
    shown = normal.decode(errors="replace")
    return f"non-normalized path, consider use '{shown}' instead"


def check_name(value: str) -> str | None:
    """Letters, digits and C{. - _ ~}."""
    if _NAME.fullmatch(value):
        return None
    return f"invalid value '{value}': it must only contain alphanumeric and '., -, _, ~' characters"


def check_utf8_name(value: str) -> str | None:
    """As C{check_name}, with any character beyond ASCII as well."""
    if _UTF8_NAME.fullmatch(value):
        return None
    return (
        f"invalid value '{value}': "
        "the only accepted ascii characters are alphanumerics or ., -, _, and ~"
    )


def check_tag(value: str) -> str | None:
    """Printable characters but for the comma and the slash, which filters use."""
    if _TAG.fullmatch(value):
        return None
    return (
        f"invalid tag '{value}': "
        "expected printable ascii (except `,` and `/`) or valid utf-8 sequences"
    )


def check_header_name(value: str) -> str | None:
    """A header name, of letters, digits, C{-} and C{_}."""
    if _HEADER_NAME.fullmatch(value):
        return None
    return f"bad header name '{value}', allowed characters are A-Z, a-z, 0-9, '_', and '-'"


def check_cookie_name(value: str) -> str | None:
    """A cookie name: an HTTP token (RFC 2616 §2.2)."""
    if not _NOT_TOKEN.search(value):
        return None
    return (
        "contains one or more invalid characters. ASCII control characters (0-31;127), space, "
        'tab and the characters ()<>@,;:\\"/?={}[] are not allowed.'
    )


@attrs.frozen
class Url:
    """The parts of a URL; None where one is missing. C{port} is as written."""

    scheme: str | None
    host: str | None
    port: str | None
    path: str | None


_SCHEME = re.compile(r"([0-9A-Za-z][0-9A-Za-z+.-]*):")


def parse_url(text: str) -> Url | None:
    """Split a URL leniently, dropping user information, query and fragment; None when empty."""
    if not text:
        return None
    rest = text.partition("#")[0]
    scheme = host = port = None
    found = _SCHEME.match(rest)
    if found:
        scheme, rest = found[1], rest[found.end() :]
    if rest.startswith("//"):
        authority, slash, rest = rest[2:].partition("/")
        rest = slash + rest
        authority = authority.rpartition("@")[2]
        before, colon, after = authority.rpartition(":")
        if colon and "]" not in after:
            authority, port = before, after
        if authority.startswith("[") and authority.endswith("]"):
            authority = authority[1:-1]
        host = authority or None
    path = rest.partition("?")[0].partition(";")[0]
    return Url(scheme, host, port, path or None)


def check_url(value: str) -> str | None:
    """A URL with a host and a scheme."""
    url = parse_url(value)
    if url is None or url.host is None:
        return "missing host in url"
    return None if url.scheme is not None else "missing scheme in url"
