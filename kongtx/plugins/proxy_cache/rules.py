"""What may be kept, for how long, and when it may be sent again. Pure.

Source: RFC 9111, of which Kong's C{plugins/proxy-cache} heeds a part.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Any

import attrs

Directives = Mapping[str, int | str | bool]
Header = tuple[bytes, bytes]

_FOR_EVER = 2**31

#: What concerns one connection, and is not sent again with a kept response.
HOP_BY_HOP = frozenset(
    (
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"te",
        b"trailers",
        b"transfer-encoding",
        b"upgrade",
        b"content-length",
    )
)


@lru_cache(maxsize=1024)
def directives(value: bytes) -> Directives:
    """The directives of a Cache-Control header (RFC 9111 §5.2); numbers as such."""
    found: dict[str, int | str | bool] = {}
    for part in value.decode("latin-1").split(","):
        name, equals, argument = part.strip().partition("=")
        argument = argument.strip().strip('"')
        if name:
            found[name.strip().lower()] = _number_or_text(argument) if equals else True
    return found


def _number_or_text(argument: str) -> int | str:
    """A number of seconds, no more than the standard asks to be told apart (RFC 9111 §1.2.2)."""
    if not (argument.isascii() and argument.isdigit()):
        return argument
    return min(int(argument), _FOR_EVER) if len(argument) <= 10 else _FOR_EVER


def seconds(found: Directives, name: str) -> int | None:
    """The number of a directive; L{None} if it has none."""
    value = found.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


@attrs.frozen
class MediaType:
    """A media type; C{*} stands for any type or subtype."""

    type: str
    subtype: str
    parameters: Mapping[str, str]

    def matches(self, other: MediaType) -> bool:
        """Whether the other is of this type, with the same parameters and no others."""
        return (
            self.type in ("*", other.type)
            and self.subtype in ("*", other.subtype)
            and self.parameters == other.parameters
        )


@lru_cache(maxsize=1024)
def media_type(value: str) -> MediaType | None:
    """The media type that a Content-Type names; L{None} for what is none."""
    essence, *parameters = value.split(";")
    kind, slash, subtype = essence.strip().lower().partition("/")
    if not (kind and slash and subtype):
        return None
    pairs = (part.partition("=") for part in parameters if part.strip())
    return MediaType(
        kind, subtype, {name.strip().lower(): text.strip().strip('"') for name, _, text in pairs}
    )


@attrs.frozen
class Policy:
    """A configuration, as far as it decides.

    @ivar ttl: for how many seconds a response is good, unless it says so itself.
    @ivar heeds: whether Cache-Control of requests and responses is heeded.
    """

    statuses: frozenset[int]
    methods: frozenset[bytes]
    types: Sequence[MediaType]
    ttl: int
    heeds: bool

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Policy:
        """That of a configuration."""
        types = (media_type(value) for value in config["content_type"])
        return cls(
            frozenset(config["response_code"]),
            frozenset(method.encode() for method in config["request_method"]),
            [each for each in types if each is not None],
            config["cache_ttl"],
            config["cache_control"],
        )

    def takes_request(self, method: bytes, asked: Directives) -> bool:
        """Whether a request's response may come from the cache, or go into it."""
        if method not in self.methods:
            return False
        return not (self.heeds and ("no-store" in asked or "no-cache" in asked))

    def lifetime(self, status: int, headers: Sequence[Header], now: int) -> int | None:
        """For how long a response is good, in seconds; L{None} if it must not be kept."""
        if status not in self.statuses:
            return None
        kind = media_type(_value(headers, b"content-type").decode("latin-1"))
        if kind is None or not any(expected.matches(kind) for expected in self.types):
            return None
        if not self.heeds:
            return self.ttl
        said = directives(_value(headers, b"cache-control"))
        if not said.keys().isdisjoint(("private", "no-store", "no-cache")):
            return None
        return _said_lifetime(said, headers, now) or None

    def fresh(self, age: int, ttl: int, asked: Directives) -> bool:
        """Whether what has been kept for some time may be sent to a client."""
        if not self.heeds:
            return age <= self.ttl
        max_age = seconds(asked, "max-age")
        max_stale = seconds(asked, "max-stale")
        min_fresh = seconds(asked, "min-fresh")
        return not (
            (max_age is not None and age > max_age)
            or (max_stale is not None and age - ttl > max_stale)
            or (min_fresh is not None and ttl - age < min_fresh)
        )


def _said_lifetime(said: Directives, headers: Sequence[Header], now: int) -> int:
    """The lifetime that a response tells itself (RFC 9111 §4.2.1); 0 if it does not."""
    for name in ("s-maxage", "max-age"):
        number = seconds(said, name)
        if number is not None:
            return number
    try:
        expires = parsedate_to_datetime(_value(headers, b"expires").decode("latin-1"))
        return max(0, int(expires.timestamp()) - now)
    except (ValueError, OverflowError):
        return 0


def sent_again(headers: Sequence[Header]) -> list[Header]:
    """The headers of a kept response that go out with it another time."""
    return [
        header
        for header in headers
        if (name := header[0].lower()) not in HOP_BY_HOP
        and name not in (b"age", b"date", b"x-cache-status", b"x-cache-key")
        and b"ratelimit-remaining" not in name
    ]


def _value(headers: Sequence[Header], name: bytes) -> bytes:
    """The values of a header with commas between them; empty without one."""
    return b", ".join(value for key, value in headers if key.lower() == name)
