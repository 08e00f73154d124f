"""The rules of routing, case by case: (flavors, routes, request, the route it gets)."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from tests.router.support import RouteRequest, ask, route, router_of

BOTH = ("traditional", "traditional_compatible")
TRADITIONAL = ("traditional",)
COMPATIBLE = ("traditional_compatible",)


@attrs.frozen
class Case:
    """One rule, by example: C{expected} numbers the route, 0 for none."""

    rule: str
    routes: list[dict[str, Any]]
    target: str
    expected: int
    method: str = "GET"
    headers: dict[str, str] = attrs.field(factory=dict)
    flavors: tuple[str, ...] = BOTH


# Hosts.
HOSTS = [
    Case("a plain host", [{"hosts": ["a.test"]}], "http://a.test/", 1),
    Case("another host", [{"hosts": ["a.test"]}], "http://b.test/", 0),
    Case("one of several hosts", [{"hosts": ["a.test", "b.test"]}], "http://b.test/", 1),
    Case("host case does not matter", [{"hosts": ["A.test"]}], "http://a.TEST/", 1),
    Case("a host without port takes any port", [{"hosts": ["a.test"]}], "http://a.test:123/", 1),
    Case("a host with port takes that port", [{"hosts": ["a.test:123"]}], "http://a.test:123/", 1),
    Case("a host with port refuses others", [{"hosts": ["a.test:123"]}], "http://a.test:124/", 0),
    Case("port 80 is implied", [{"hosts": ["a.test:80"]}], "http://a.test/", 1),
    Case("port 443 is implied", [{"hosts": ["a.test:443"]}], "https://a.test/", 1),
    Case(
        "a host with the port goes before the same host without, though younger",
        [{"hosts": ["a.test"]}, {"hosts": ["a.test:321"]}],
        "http://a.test:321/",
        2,
    ),
    Case(
        "a mixed route is ranked by the host that matches",
        [{"hosts": ["a.test"]}, {"hosts": ["a.test:321", "b.test"]}],
        "http://a.test:321/",
        2,
        flavors=TRADITIONAL,
    ),
    Case("an IPv6 host", [{"hosts": ["[::1]"]}], "http://[::1]/", 1),
    Case("an IPv6 host with its port", [{"hosts": ["[::1]:81"]}], "http://[::1]:81/", 1),
    Case("an IPv6 host with another port", [{"hosts": ["[::1]:81"]}], "http://[::1]:82/", 0),
    Case("no host at all", [{"hosts": ["a.test"]}, {"paths": ["/"]}], "/", 2),
    Case("a leading wildcard", [{"hosts": ["*.a.test"]}], "http://x.a.test/", 1),
    Case("a leading wildcard over two labels", [{"hosts": ["*.a.test"]}], "http://y.x.a.test/", 1),
    Case("a leading wildcard needs a label", [{"hosts": ["*.a.test"]}], "http://a.test/", 0),
    Case(
        "a leading wildcard ends where it says", [{"hosts": ["*.a.test"]}], "http://x.a.test.b/", 0
    ),
    Case("a wildcard within a label", [{"hosts": ["*a.test"]}], "http://aa.test/", 1),
    Case("a trailing wildcard within a label", [{"hosts": ["a.te*"]}], "http://a.test/", 1),
    Case("a trailing wildcard", [{"hosts": ["a.*"]}], "http://a.org/", 1),
    Case("a trailing wildcard over two labels", [{"hosts": ["a.*"]}], "http://a.co.uk/", 1),
    Case("a trailing wildcard starts where it says", [{"hosts": ["a.*"]}], "http://b.a.org/", 0),
    Case("a wildcard takes any port", [{"hosts": ["a.*"]}], "http://a.org:99/", 1),
    Case(
        "a wildcard with port takes that port",
        [{"hosts": ["*.a.test:99"]}],
        "http://x.a.test:99/",
        1,
    ),
    Case(
        "a wildcard with port refuses others",
        [{"hosts": ["*.a.test:99"]}],
        "http://x.a.test:98/",
        0,
    ),
    Case(
        "a plain host goes before a wildcard",
        [{"hosts": ["*.a.test"]}, {"hosts": ["x.a.test"]}],
        "http://x.a.test/",
        2,
    ),
    Case(
        "a wildcard with port goes before one without",
        [{"hosts": ["a.*"]}, {"hosts": ["a.*:123"]}],
        "http://a.org:123/",
        2,
    ),
    Case(
        "a wildcard host with a path goes before a plain host alone",
        [{"hosts": ["x.a.test"]}, {"hosts": ["*.a.test"], "paths": ["/p"]}],
        "http://x.a.test/p",
        2,
    ),
    Case(
        "a plain host with the wrong path leaves the wildcard",
        [{"hosts": ["*.a.test"], "paths": ["/p"]}, {"hosts": ["x.a.test"], "paths": ["/q"]}],
        "http://x.a.test/p",
        1,
    ),
]

# Paths.
PATHS = [
    Case("a prefix is the whole path", [{"paths": ["/a"]}], "/a", 1),
    Case("a prefix goes on with a segment", [{"paths": ["/a"]}], "/a/b", 1),
    Case("a prefix ends anywhere in a segment", [{"paths": ["/a"]}], "/ab", 1),
    Case("a prefix with a slash wants the slash", [{"paths": ["/a/"]}], "/a", 0),
    Case("a prefix is not found further on", [{"paths": ["/a"]}], "/b/a", 0),
    Case("path case matters", [{"paths": ["/A"]}], "/a", 0),
    Case("the root takes all", [{"paths": ["/"]}], "/x/y", 1),
    Case("the query is no part of the path", [{"paths": ["/a?"]}], "/a?x", 0),
    Case("the longer prefix wins", [{"paths": ["/a"]}, {"paths": ["/a/b"]}], "/a/b/c", 2),
    Case(
        "the longer prefix wins, first or last", [{"paths": ["/a/b"]}, {"paths": ["/a"]}], "/a/b", 1
    ),
    Case("the longer prefix must match", [{"paths": ["/a"]}, {"paths": ["/a/b"]}], "/a/c", 1),
    Case(
        "each path of a route has its own place",
        [{"paths": ["/a", "/x/long/path"]}, {"paths": ["/a/b"]}],
        "/a/b",
        2,
    ),
    Case("one of several paths", [{"paths": ["/a", "/b"]}], "/b", 1),
    Case("encoded letters are decoded first", [{"paths": ["/abc"]}], "/%61bc", 1),
    Case("an encoded slash is no slash", [{"paths": ["/a/b"]}], "/a%2Fb", 0),
    Case("dot segments are removed first", [{"paths": ["/b"]}], "/a/../b", 1),
    Case("double slashes are merged first", [{"paths": ["/a/b"]}], "/a//b", 1),
    Case("a regex", [{"paths": [r"~/u/\d+"]}], "/u/12", 1),
    Case("a regex goes on", [{"paths": [r"~/u/\d+"]}], "/u/12/x", 1),
    Case("a regex that ends", [{"paths": [r"~/u/\d+$"]}], "/u/12/x", 0),
    Case("a regex begins at the start", [{"paths": [r"~/u/\d+"]}], "/x/u/12", 0),
    Case(
        "a regex goes before any prefix",
        [{"paths": ["/u/12/x"]}, {"paths": [r"~/u/\d+"]}],
        "/u/12/x",
        2,
    ),
    Case(
        "the higher regex_priority wins",
        [
            {"paths": [r"~/u/\w+"], "regex_priority": 1},
            {"paths": [r"~/u/\d+"], "regex_priority": 5},
        ],
        "/u/12",
        2,
    ),
    Case(
        "a negative regex_priority goes last",
        [{"paths": [r"~/u/\w+"], "regex_priority": -1}, {"paths": [r"~/u/\d+"]}],
        "/u/12",
        2,
    ),
    Case(
        "regex_priority means nothing to prefixes",
        [{"paths": ["/u"], "regex_priority": 9}, {"paths": ["/u/1"]}],
        "/u/1",
        2,
    ),
    Case(
        "branches of a regex all begin at the start",
        [{"paths": ["~/a|/b"]}],
        "/x/b",
        0,
        flavors=TRADITIONAL,
    ),
    Case(
        "only the first branch of a regex begins at the start",
        [{"paths": ["~/a|/b"]}],
        "/x/b",
        1,
        flavors=COMPATIBLE,
    ),
]

# Methods, headers, server names.
OTHERS = [
    Case("a method", [{"methods": ["POST"]}], "/", 1, method="POST"),
    Case("another method", [{"methods": ["POST"]}], "/", 0),
    Case("method case matters", [{"methods": ["POST"]}], "/", 0, method="post"),
    Case("a header value", [{"headers": {"x-v": ["1"]}}], "/", 1, headers={"x_v": "1"}),
    Case("one of several values", [{"headers": {"x-v": ["1", "2"]}}], "/", 1, headers={"x_v": "2"}),
    Case("another value", [{"headers": {"x-v": ["1"]}}], "/", 0, headers={"x_v": "2"}),
    Case("no such header", [{"headers": {"x-v": ["1"]}}], "/", 0),
    Case("name case does not matter", [{"headers": {"X-V": ["1"]}}], "/", 1, headers={"x_V": "1"}),
    Case(
        "value case does not matter",
        [{"headers": {"x-v": ["One"]}}],
        "/",
        1,
        headers={"x_v": "oNE"},
    ),
    Case(
        "value case beyond ASCII does not matter",
        [{"headers": {"x-v": ["Été"]}}],
        "/",
        1,
        headers={"x_v": "éTÉ"},
    ),
    Case("values are whole", [{"headers": {"x-v": ["1"]}}], "/", 0, headers={"x_v": "1,2"}),
    Case(
        "every named header is needed",
        [{"headers": {"x-v": ["1"], "x-w": ["1"]}}],
        "/",
        0,
        headers={"x_v": "1"},
    ),
    Case(
        "more header names win",
        [{"headers": {"x-v": ["1"]}}, {"headers": {"x-v": ["1"], "x-w": ["1"]}}],
        "/",
        2,
        headers={"x_v": "1", "x_w": "1"},
    ),
    Case(
        "more header names go before a longer path",
        [
            {"headers": {"x-v": ["1"]}, "paths": ["/long/path"]},
            {"headers": {"x-v": ["1"], "x-w": ["1"]}, "paths": ["/"]},
        ],
        "/long/path",
        2,
        headers={"x_v": "1", "x_w": "1"},
    ),
    Case(
        "a header pattern",
        [{"headers": {"user-agent": [r"~*windows|linux"]}}],
        "/",
        1,
        headers={"user_agent": "Mozilla (X11; Linux)"},
    ),
    Case(
        "a pattern ignores case in both",
        [{"headers": {"user-agent": ["~*LINUX"]}}],
        "/",
        1,
        headers={"user_agent": "on linux"},
    ),
    Case(
        "a pattern among values is a pattern",
        [{"headers": {"x-v": ["~*^a", "b"]}}],
        "/",
        1,
        headers={"x_v": "abc"},
        flavors=COMPATIBLE,
    ),
    Case(
        "a pattern among values is a value",
        [{"headers": {"x-v": ["~*^a", "b"]}}],
        "/",
        0,
        headers={"x_v": "abc"},
        flavors=TRADITIONAL,
    ),
    Case("a server name", [{"snis": ["a.test"]}], "https://a.test/", 1),
    Case("another server name", [{"snis": ["a.test"]}], "https://b.test/", 0),
    Case("a last dot of a server name is ignored", [{"snis": ["a.test."]}], "https://a.test/", 1),
    Case("server names do not matter without TLS", [{"snis": ["a.test"]}], "http://b.test/", 1),
    Case(
        "a wildcard server name",
        [{"snis": ["*.a.test"]}],
        "https://x.a.test/",
        1,
        flavors=COMPATIBLE,
    ),
    Case(
        "a trailing wildcard server name",
        [{"snis": ["a.*"]}],
        "https://a.org/",
        1,
        flavors=COMPATIBLE,
    ),
    Case(
        "an https-only route takes plain requests, to be redirected",
        [{"hosts": ["a.test"], "protocols": ["https"]}],
        "http://a.test/",
        1,
    ),
    Case(
        "a gRPC route is found by its path",
        [{"paths": ["/pkg.Service/"], "protocols": ["grpc"], "strip_path": False}],
        "/pkg.Service/Call",
        1,
        method="POST",
    ),
]

# Which route goes first.
ORDER = [
    Case(
        "more kinds of condition win",
        [{"paths": ["/a/b/c"]}, {"paths": ["/a"], "methods": ["GET"]}],
        "/a/b/c",
        2,
    ),
    Case(
        "host and path go before path alone",
        [{"paths": ["/a/b"]}, {"hosts": ["a.test"], "paths": ["/a"]}],
        "http://a.test/a/b",
        2,
    ),
    Case(
        "a host goes before a path",
        [{"paths": ["/a"]}, {"hosts": ["a.test"]}],
        "http://a.test/a",
        2,
    ),
    Case(
        "a host goes before a header",
        [{"headers": {"x-v": ["1"]}}, {"hosts": ["a.test"]}],
        "http://a.test/",
        2,
        headers={"x_v": "1"},
        flavors=TRADITIONAL,
    ),
    Case(
        "a header goes before a path",
        [{"paths": ["/a"]}, {"headers": {"x-v": ["1"]}}],
        "/a",
        2,
        headers={"x_v": "1"},
    ),
    Case("a path goes before a method", [{"methods": ["GET"]}, {"paths": ["/"]}], "/a", 2),
    Case(
        "a method goes before a server name",
        [{"snis": ["a.test"]}, {"methods": ["GET"]}],
        "https://a.test/",
        2,
        flavors=TRADITIONAL,
    ),
    Case(
        "without TLS a route with a server name goes after the same without",
        [
            {"hosts": ["a.test"], "snis": ["a.test"]},
            {"hosts": ["a.test"], "protocols": ["http"]},
        ],
        "http://a.test/",
        2,
        flavors=TRADITIONAL,
    ),
    Case(
        "with TLS a server name counts",
        [{"hosts": ["a.test"]}, {"hosts": ["a.test"], "snis": ["a.test"]}],
        "https://a.test/",
        2,
    ),
    Case(
        "a better kind that does not match is passed over",
        [{"paths": ["/a"]}, {"hosts": ["b.test"], "paths": ["/a"]}],
        "http://a.test/a",
        1,
    ),
    Case(
        "plain hosts go before a longer path",
        [{"hosts": ["*.a.test"], "paths": ["/a/b"]}, {"hosts": ["x.a.test"], "paths": ["/a"]}],
        "http://x.a.test/a/b",
        2,
    ),
    Case(
        "plain hosts go before a regex",
        [{"hosts": ["*.a.test"], "paths": ["~/a"]}, {"hosts": ["x.a.test"], "paths": ["/a"]}],
        "http://x.a.test/a",
        2,
    ),
    Case(
        "the older of equals wins",
        [{"paths": ["/a"], "created_at": 5}, {"paths": ["/a"], "created_at": 4}],
        "/a",
        2,
        flavors=TRADITIONAL,
    ),
    Case(
        "the higher id of equals wins, whatever its age",
        [{"paths": ["/a"], "created_at": 4}, {"paths": ["/a"], "created_at": 5}],
        "/a",
        2,
        flavors=COMPATIBLE,
    ),
    Case("nothing matches", [{"paths": ["/a"]}, {"hosts": ["a.test"]}], "http://b.test/b", 0),
]


@pytest.mark.parametrize(
    ("flavor", "case"),
    [
        pytest.param(flavor, case, id=f"{flavor}: {case.rule}")
        for case in HOSTS + PATHS + OTHERS + ORDER
        for flavor in case.flavors
    ],
)
def test_rule(flavor, case):
    routes = [route(number, **fields) for number, fields in enumerate(case.routes, 1)]

    name = ask(router_of(flavor, *routes), case.target, case.method, **case.headers)

    assert name == (f"route-{case.expected}" if case.expected else None)


STREAM = [
    ("an address", [{"sources": [{"ip": "10.0.0.1", "port": None}]}], "10.0.0.1", 1),
    ("another address", [{"sources": [{"ip": "10.0.0.1", "port": None}]}], "10.0.0.2", 0),
    ("a range", [{"sources": [{"ip": "10.0.0.0/8", "port": None}]}], "10.9.9.9", 1),
    ("a range with host bits", [{"sources": [{"ip": "10.1.2.3/8", "port": None}]}], "10.9.9.9", 1),
    ("outside of a range", [{"sources": [{"ip": "10.0.0.0/8", "port": None}]}], "11.0.0.1", 0),
    ("an IPv6 range", [{"sources": [{"ip": "fd00::/8", "port": None}]}], "fd00::7", 1),
    (
        "a mapped address is IPv4",
        [{"sources": [{"ip": "10.0.0.1", "port": None}]}],
        "::ffff:10.0.0.1",
        1,
    ),
    ("a port", [{"destinations": [{"ip": None, "port": 5432}]}], "10.0.0.1", 1),
    ("another port", [{"destinations": [{"ip": None, "port": 5433}]}], "10.0.0.1", 0),
    (
        "source and destination go before source",
        [
            {"sources": [{"ip": "10.0.0.1", "port": None}]},
            {
                "sources": [{"ip": "10.0.0.0/8", "port": None}],
                "destinations": [{"ip": None, "port": 5432}],
            },
        ],
        "10.0.0.1",
        2,
    ),
    (
        "source and destination go before a server name",
        [
            {
                "sources": [{"ip": "10.0.0.0/8", "port": None}],
                "destinations": [{"ip": None, "port": 5432}],
            },
            {"snis": ["db.test"]},
        ],
        "10.0.0.1",
        1,
    ),
    (
        "a server name goes before a source",
        [{"snis": ["db.test"]}, {"sources": [{"ip": "10.0.0.1", "port": None}]}],
        "10.0.0.1",
        1,
    ),
]


@pytest.mark.parametrize("flavor", BOTH)
@pytest.mark.parametrize(
    ("routes", "source", "expected"), [c[1:] for c in STREAM], ids=[c[0] for c in STREAM]
)
def test_stream_rule(flavor, routes, source, expected):
    entities = [
        route(number, protocols=["tcp", "tls"], **fields) for number, fields in enumerate(routes, 1)
    ]
    router = router_of(flavor, *entities)

    match = router.match(_connection(source))

    assert (match and match.route["name"]) == (f"route-{expected}" if expected else None)


def _connection(source):
    return RouteRequest(
        scheme=b"tls", sni=b"db.test", source=(source, 4000), destination=("10.0.0.9", 5432)
    )
