"""What a request is hashed on. Pure; hot path."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl

import attrs

from kongtx.balancer.interfaces import IBalanceRequest

Extractor = Callable[[IBalanceRequest], "bytes | None"]


@attrs.frozen(slots=True)
class HashCookie:
    """The cookie that keeps a client at its peer.

    @ivar name: the upstream's C{hash_on_cookie}.
    @ivar value: a fresh UUID.
    @ivar path: the upstream's C{hash_on_cookie_path}.
    """

    name: bytes
    value: bytes
    path: bytes

    @property
    def header(self) -> bytes:
        """The value of the C{Set-Cookie} header."""
        # "Same-Site" is how Kong spells it; browsers ignore it and default to Lax.
        return b"%s=%s; Path=%s; Same-Site=Lax; HttpOnly" % (self.name, self.value, self.path)


def compile_hash(upstream: Mapping[str, Any], make_id: Callable[[], str]) -> Extractor | None:
    """A function from a request to the bytes that it is hashed on, by C{hash_on}, then
    C{hash_fallback}.

    @param upstream: the entity.
    @param make_id: makes the value of a new cookie.
    @return: L{None} if the upstream does not hash. The function returns L{None} for a request
        that has neither value.
    """
    first = _extractor(upstream, "hash_on", make_id)
    if first is None:
        return None
    second = _extractor(upstream, "hash_fallback", make_id)
    if second is None:
        return first

    def extract(request: IBalanceRequest) -> bytes | None:
        value = first(request)
        return second(request) if value is None else value

    return extract


def _extractor(
    upstream: Mapping[str, Any], field: str, make_id: Callable[[], str]
) -> Extractor | None:
    kind = upstream.get(field) or "none"
    if kind == "none":
        return None
    if kind == "consumer":
        return lambda request: request.consumer_id.encode() or None
    if kind == "ip":
        return lambda request: request.client_ip.encode()
    if kind == "path":
        return lambda request: request.path
    if kind == "cookie":
        # Both fields share the cookie's name (Kong: hash_on_cookie alone exists).
        return _cookie(upstream, make_id)
    argument = str(upstream.get(f"{field}_{kind}") or "")
    if kind == "header":
        return _header(argument.lower().encode("latin-1"))
    if kind == "query_arg":
        return _query_argument(argument)
    if kind == "uri_capture":
        return _capture(argument)
    raise ValueError(f"{field} must not be {kind!r}")


def _header(name: bytes) -> Extractor:
    def extract(request: IBalanceRequest) -> bytes | None:
        values = [value for found, value in request.headers if found == name]
        return b", ".join(values) if values else None

    return extract


def _cookie(upstream: Mapping[str, Any], make_id: Callable[[], str]) -> Extractor:
    name = str(upstream["hash_on_cookie"]).encode("latin-1")
    path = str(upstream.get("hash_on_cookie_path") or "/").encode("latin-1")

    def extract(request: IBalanceRequest) -> bytes | None:
        for header, value in request.headers:
            if header != b"cookie":
                continue
            for pair in value.split(b";"):
                key, equals, content = pair.strip().partition(b"=")
                if key == name and equals:
                    return content
        if request.hash_cookie is None:
            request.hash_cookie = HashCookie(name, make_id().encode(), path)
        return request.hash_cookie.value

    return extract


def _query_argument(name: str) -> Extractor:
    quick = name.encode()
    plain = name.isalnum()

    def extract(request: IBalanceRequest) -> bytes | None:
        if plain and quick not in request.query and b"%" not in request.query:
            return None
        values: list[str] = []
        for part in request.query.decode("latin-1").split("&"):
            pairs = parse_qsl(part, keep_blank_values=True, encoding="latin-1")
            if pairs and pairs[0][0] == quick.decode("latin-1"):
                # An argument without "=" is "true" (OpenResty: ngx.req.get_uri_args).
                values.append(pairs[0][1] if "=" in part else "true")
        return ",".join(sorted(values)).encode("latin-1") if values else None

    return extract


def _capture(name: str) -> Extractor:
    position = int(name) - 1 if name.isascii() and name.isdigit() else -1

    def extract(request: IBalanceRequest) -> bytes | None:
        positional, named = request.captures
        if name in named:
            return named[name]
        return positional[position] if 0 <= position < len(positional) else None

    return extract
