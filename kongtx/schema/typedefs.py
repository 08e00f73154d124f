"""Fields that many schemas use, under Kong's names; each call makes one, keywords add to it.

Source: Kong: C{kong/db/schema/typedefs.lua}.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kongtx.schema import formats, keys
from kongtx.schema.checks import at_least_one_of
from kongtx.schema.field import Field
from kongtx.schema.fields import array, foreign, integer, map_of, number, record, set_of, string

PROTOCOLS = ["grpc", "grpcs", "http", "https", "tcp", "tls", "tls_passthrough", "udp"]
HTTP_PROTOCOLS = ["grpc", "grpcs", "http", "https"]
MAX_TIMEOUT = 2**31 - 2
_NO_EMPTY_SEGMENT = [{"pattern": "//", "err": "must not have empty segments"}]


def uuid(**more: Any) -> Field:
    """A UUID, made when not given."""
    return string(uuid=True, auto=True, **more)


def auto_timestamp_s(**more: Any) -> Field:
    """Seconds since 1970, filled in."""
    return integer(timestamp=True, auto=True, **more)


def auto_timestamp_ms(**more: Any) -> Field:
    """Seconds since 1970 to the millisecond, filled in."""
    return number(timestamp=True, auto=True, **more)


def http_method(**more: Any) -> Field:
    """An HTTP method, in capitals."""
    return string(match="^%u+$", **more)


def protocol(**more: Any) -> Field:
    """A protocol of a service or route."""
    return string(one_of=PROTOCOLS, **more)


def protocols(**more: Any) -> Field:
    """The protocols a plugin runs on; those of HTTP unless C{default} says otherwise."""
    return set_of(protocol(), required=True, **{"default": list(HTTP_PROTOCOLS), **more})


def protocols_http(**more: Any) -> Field:
    """The protocols of a plugin that understands only HTTP and gRPC."""
    elements = string(one_of=HTTP_PROTOCOLS)
    return set_of(elements, required=True, default=list(HTTP_PROTOCOLS), **more)


def host(**more: Any) -> Field:
    """A host name or address without port."""
    return string(custom_validator=formats.check_host, **more)


def host_with_optional_port(**more: Any) -> Field:
    """A host name or address, with or without port."""
    return string(custom_validator=formats.check_host_with_optional_port, **more)


def wildcard_host(**more: Any) -> Field:
    """A host name that may begin or end with an asterisk."""
    return string(custom_validator=formats.check_wildcard_host, **more)


def sni(**more: Any) -> Field:
    """A TLS server name."""
    return string(custom_validator=formats.check_sni, **more)


def ip(**more: Any) -> Field:
    """An IP address."""
    return string(custom_validator=formats.check_ip, **more)


def ip_or_cidr(**more: Any) -> Field:
    """An IP address or range."""
    return string(custom_validator=formats.check_ip_or_cidr, **more)


def port(**more: Any) -> Field:
    """A port number."""
    return integer(between=[0, 65535], **more)


def path(**more: Any) -> Field:
    """A URL path."""
    return string(
        starts_with="/",
        match_none=_NO_EMPTY_SEGMENT,
        custom_validator=formats.check_path,
        **more,
    )


def url(**more: Any) -> Field:
    """A URL with scheme and host."""
    return string(custom_validator=formats.check_url, **more)


def cookie_name(**more: Any) -> Field:
    """A cookie's name."""
    return string(custom_validator=formats.check_cookie_name, **more)


def header_name(**more: Any) -> Field:
    """A header's name."""
    return string(custom_validator=formats.check_header_name, **more)


def timeout(**more: Any) -> Field:
    """A time in milliseconds."""
    return integer(between=[0, MAX_TIMEOUT], **more)


def name(**more: Any) -> Field:
    """A unique name in ASCII."""
    return string(unique=True, custom_validator=formats.check_name, **more)


def utf8_name(**more: Any) -> Field:
    """A unique name, of any letters."""
    return string(unique=True, custom_validator=formats.check_utf8_name, **more)


def certificate(**more: Any) -> Field:
    """A certificate in PEM form."""
    return string(custom_validator=keys.check_certificate, **more)


def key(**more: Any) -> Field:
    """A private key in PEM form."""
    return string(custom_validator=keys.check_key, **more)


def tag(**more: Any) -> Field:
    """One tag."""
    return string(required=True, custom_validator=formats.check_tag, **more)


def tags(**more: Any) -> Field:
    """The tags of an entity."""
    return set_of(tag(), **more)


def no_consumer() -> Field:
    """For plugins that cannot be set on a consumer."""
    return foreign("consumers", eq=None)


def no_route() -> Field:
    """For plugins that cannot be set on a route."""
    return foreign("routes", eq=None)


def no_service() -> Field:
    """For plugins that cannot be set on a service."""
    return foreign("services", eq=None)


def addresses(**more: Any) -> Field:
    """Addresses and ports of connections, for the C{sources} and C{destinations} of routes."""
    element = record(
        {"ip": ip_or_cidr(), "port": port()}, entity_checks=[at_least_one_of("ip", "port")]
    )
    return set_of(element, **more)


def methods(**more: Any) -> Field:
    """HTTP methods."""
    return set_of(http_method(), **more)


def hosts(**more: Any) -> Field:
    """Host names, each with at most one wildcard label at an end."""
    element = string(
        match_all=[
            {
                "pattern": "^[^*]*%*?[^*]*$",
                "err": "invalid wildcard: must have at most one wildcard",
            }
        ],
        match_any={
            "patterns": ["^%*%.", "%.%*$", "^[^*]*$"],
            "err": "invalid wildcard: must be placed at leftmost or rightmost label",
        },
        custom_validator=formats.check_host_with_wildcards,
    )
    return array(element, **more)


def router_paths(regex: Callable[[str], str | None] = formats.check_regex, **more: Any) -> Field:
    """Paths of routes: prefixes, and after C{~} regular expressions that C{regex} accepts."""
    element = string(
        match_any={
            "patterns": ["^/", "^~/"],
            "err": "should start with: / (fixed path) or ~/ (regex path)",
        },
        match_none=_NO_EMPTY_SEGMENT,
        custom_validator=lambda value: formats.check_router_path(value, regex),
    )
    return array(element, **more)


def headers(names: Field | None = None, **more: Any) -> Field:
    """Header names, each with its values."""
    return map_of(names or header_name(), array(string()), **more)


def semantic_version(**more: Any) -> Field:
    """A version such as 3.9.1 or 3.9.1-rc.1."""
    return string(
        match_any={
            "patterns": ["^%d+[%.%d]*$", "^%d+[%.%d]*%-?.*$"],
            "err": "invalid version number: must be in format of X.Y.Z",
        },
        match_none=[{"pattern": "%.%.", "err": "must not have empty version segments"}],
        **more,
    )
