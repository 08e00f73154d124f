"""Host addresses with an optional port, brought to one spelling.

Kong: kong/tools/ip.lua. IPv4 loses leading zeros, IPv6 is written in full, names stay as they are.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Literal

import attrs

MAX_PORT = 65535
_IPV4 = re.compile(r"(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})(?::(\d{1,5}))?")
_IPV6_BRACKETS = re.compile(r"\[([^\]]*)\](?::(\d{1,5}))?")
_NAME = re.compile(r"((?:[A-Za-z0-9_-]+\.)*[A-Za-z0-9_-]+\.?)(?::(\d{1,5}))?")


@attrs.frozen
class Address:
    """@ivar host: without brackets. @ivar port: C{None} when none was written."""

    host: str
    port: int | None
    family: Literal["ipv4", "ipv6", "name"]


def parse_address(text: str) -> Address:
    """Read C{host}, C{host:port}, C{ipv6} or C{[ipv6]:port}.

    @raise ValueError: when it is none of these or the port is over 65535.
    """
    if text.count(":") > 1:
        return _ipv6(text)
    if re.fullmatch(r"[\d.]+", text.partition(":")[0]):
        return _ipv4(text)
    match = _NAME.fullmatch(text)
    if match is None or any(label.endswith("-") for label in match[1].split(".")):
        raise ValueError(f"invalid hostname: {text}")
    return Address(match[1], _port(match[2]), "name")


def _ipv4(text: str) -> Address:
    match = _IPV4.fullmatch(text)
    if match is None or any(int(part) > 255 for part in match.groups()[:4]):
        raise ValueError(f"invalid ipv4 address: {text}")
    host = ".".join(str(int(part)) for part in match.groups()[:4])
    return Address(host, _port(match[5]), "ipv4")


def _ipv6(text: str) -> Address:
    match = _IPV6_BRACKETS.fullmatch(text)
    host, port = (match[1], match[2]) if match else (text, None)
    try:
        parsed = ipaddress.IPv6Address(host)
    except ValueError as error:
        raise ValueError(f"invalid ipv6 address: {text}") from error
    if parsed.scope_id:
        raise ValueError(f"invalid ipv6 address: {text}")
    return Address(parsed.exploded, _port(port), "ipv6")


def _port(text: str | None) -> int | None:
    if text is None:
        return None
    port = int(text)
    if port > MAX_PORT:
        raise ValueError(f"invalid port number: {text}")
    return port


def is_ip_or_cidr(text: str) -> bool:
    """Whether the text is an IPv4 or IPv6 address, or a block of them."""
    address, slash, prefix = text.partition("/")
    if slash and not prefix.isdecimal():
        return False
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return "%" not in address
