"""Random routes and requests from a small vocabulary, so that they meet often."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import attrs
from hypothesis import strategies as st

from tests.router.support import RouteRequest, route

NAMES = ["a.test", "b.test", "x.a.test", "y.x.a.test", "a.org"]
HOSTS = [*NAMES, "*.a.test", "*.test", "a.*", "x.*", "a.test:80", "*.a.test:8443", "a.*:80"]
PATHS = ["/", "/a", "/ab", "/a/", "/a/b", "/a/bc", "/b", "/a/b/c"]
REGEXES = [
    "~/a",
    "~/a/\\w+$",
    "~/(?P<first>\\w)/(?P<rest>.*)",
    "~/a|/b",
    "~/ab?c*",
    "~/[ab]/b",
    "~/a/b\\b",
]
METHODS = ["GET", "POST", "PUT"]
VALUES = ["One", "two", "three", "~*t.o", "~*^ONE$", "~*e"]
SNIS = ["a.test", "b.test", "x.a.test."]
_WILD_SNIS = ["*.a.test", "a.*"]
PEERS = [
    {"ip": ip, "port": port}
    for ip in (None, "10.0.0.1", "10.0.0.0/8", "::1", "fd00::/8", "10.0.1.77/24")
    for port in (None, 1000, 2000)
    if (ip, port) != (None, None)
]
_KEYS = st.lists(st.integers(0, 2**128 - 1), min_size=1, max_size=14, unique=True)


def some(values: list[Any], size: int = 3) -> st.SearchStrategy[Any]:
    """Nothing, or a few different values."""
    return st.none() | st.lists(st.sampled_from(values), min_size=1, max_size=size, unique_by=str)


@st.composite
def http_routes(draw: Any, flavor: str) -> list[dict[str, Any]]:
    """A set of HTTP routes, each with at least one condition."""
    routes = []
    for number, key in enumerate(draw(_KEYS), 1):
        fields = {
            "hosts": draw(some(HOSTS)),
            "paths": draw(some(PATHS + REGEXES)),
            "methods": draw(some(METHODS)),
            "headers": draw(
                st.none()
                | st.dictionaries(
                    st.sampled_from(["X-One", "x_two", "Version"]),
                    st.lists(st.sampled_from(VALUES), min_size=1, max_size=2, unique=True),
                    min_size=1,
                    max_size=2,
                )
            ),
            "snis": draw(some(SNIS if flavor == "traditional" else SNIS + _WILD_SNIS)),
        }
        if not any(fields.values()):
            fields["paths"] = ["/"]
        routes.append(
            route(
                number,
                id=str(UUID(int=key)),
                created_at=1_700_000_000 + draw(st.integers(0, 3)),
                regex_priority=draw(st.sampled_from([-1, 0, 0, 1, 10])),
                **fields,
            )
        )
    return routes


@st.composite
def stream_routes(draw: Any, flavor: str) -> list[dict[str, Any]]:
    """A set of stream routes, each with at least one condition."""
    routes = []
    for number, key in enumerate(draw(_KEYS), 1):
        fields = {
            "sources": draw(some(PEERS)),
            "destinations": draw(some(PEERS)),
            "snis": draw(some(SNIS if flavor == "traditional" else SNIS + _WILD_SNIS)),
        }
        if not any(fields.values()):
            fields["sources"] = [PEERS[0]]
        routes.append(
            route(
                number,
                id=str(UUID(int=key)),
                created_at=1_700_000_000 + draw(st.integers(0, 3)),
                protocols=["tcp", "tls"],
                **fields,
            )
        )
    return routes


_ADDRESSES = st.sampled_from(["10.0.0.1", "10.0.1.5", "10.9.9.9", "::1", "fd00::5", "192.0.2.1"])


def http_requests() -> st.SearchStrategy[RouteRequest]:
    """An HTTP request."""
    return st.builds(
        RouteRequest,
        method=st.sampled_from([b"GET", b"POST", b"HEAD"]),
        host=st.sampled_from([b"", b"z.test", *[name.encode() for name in NAMES]]),
        host_port=st.sampled_from([80, 8443, 9000]),
        path=st.sampled_from([b"/", b"/a", b"/abc", b"/a/b", b"/a/b/c", b"/a/bcd", b"/b", b"/c"]),
        headers=st.lists(
            st.tuples(
                st.sampled_from([b"x-one", b"x-two", b"version", b"accept"]),
                st.sampled_from([b"one", b"ONE", b"two", b"Three", b"*/*"]),
            ),
            max_size=4,
        ),
        scheme=st.sampled_from([b"http", b"https"]),
        sni=st.sampled_from([b"", b"a.test", b"b.test", b"x.a.test"]),
        source=st.tuples(_ADDRESSES, st.sampled_from([1000, 2000, 3000])),
        destination=st.just(("127.0.0.1", 8000)),
    ).map(_without_tls_no_name)


def _without_tls_no_name(request: RouteRequest) -> RouteRequest:
    return attrs.evolve(request, sni=b"") if request.scheme == b"http" else request


def stream_requests() -> st.SearchStrategy[RouteRequest]:
    """A connection."""
    return st.builds(
        RouteRequest,
        scheme=st.sampled_from([b"tcp", b"tls", b"udp"]),
        sni=st.sampled_from([b"", b"a.test", b"b.test", b"x.a.test"]),
        source=st.tuples(_ADDRESSES, st.sampled_from([1000, 2000, 3000])),
        destination=st.tuples(_ADDRESSES, st.sampled_from([1000, 2000, 3000])),
    )
