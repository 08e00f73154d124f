"""What a router is made of, answers and refuses."""

from __future__ import annotations

import pytest
from zope.interface.verify import verifyObject

from kongtx.router import build_router, validate_route
from kongtx.router.errors import RegexError, RouterError
from kongtx.router.interfaces import IMatch, IRouter, IRouteRequest
from kongtx.router.router import LONGEST_KEY
from tests.router.support import FLAVORS, RouteRequest, ask, request_for, route, router_of, service

every_flavor = pytest.mark.parametrize("flavor", FLAVORS)


@every_flavor
def test_it_keeps_the_contracts(flavor):
    router = router_of(flavor, route(paths=["/"]))
    request = request_for("GET", "/")

    assert verifyObject(IRouter, router)
    assert verifyObject(IRouteRequest, request)
    assert verifyObject(IMatch, router.match(request))


def test_an_unknown_flavor_is_refused():
    with pytest.raises(RouterError, match="unknown router_flavor 'modern'"):
        build_router("modern", [], {})


@every_flavor
def test_a_route_without_conditions_is_refused(flavor):
    with pytest.raises(RouterError, match="has no condition to match on"):
        router_of(flavor, route())
    with pytest.raises(RouterError, match="has no condition to match on"):
        router_of(flavor, route(protocols=["tcp"]))


@every_flavor
def test_a_regex_that_needs_backtracking_is_refused(flavor):
    with pytest.raises(RegexError, match="look-ahead is not available"):
        router_of(flavor, route(paths=["~/a(?=b)"]))


@every_flavor
def test_a_bad_address_is_refused(flavor):
    with pytest.raises(RouterError, match=r"'10\.0\.0' is neither an IP address nor a range"):
        router_of(flavor, route(protocols=["tcp"], sources=[{"ip": "10.0.0", "port": None}]))


@every_flavor
def test_the_match_has_the_route_and_its_service(flavor):
    owner = service(path="/base")
    entity = route(paths=["/a"], service={"id": owner["id"]})

    match = build_router(flavor, [entity], {owner["id"]: owner}).match(request_for("GET", "/a/b"))

    assert match.route is entity
    assert match.service is owner
    assert match.upstream_path == b"/base/b"
    assert match.prefix == b"/a"
    assert match.captures == ((), {})


@every_flavor
def test_a_missing_service_is_refused(flavor):
    with pytest.raises(RouterError, match="belongs to service 4711, which does not exist"):
        build_router(flavor, [route(paths=["/"], service={"id": "4711"})], {})


@every_flavor
def test_routes_of_a_disabled_service_are_left_out(flavor):
    owner = service(enabled=False)

    router = build_router(
        flavor, [route(paths=["/"], service={"id": owner["id"]})], {owner["id"]: owner}
    )

    assert ask(router, "/") is None


@every_flavor
@pytest.mark.parametrize(
    ("pattern", "path", "captures"),
    [
        (r"~/u/(?<id>\d+)/(\w+)", "/u/12/x", ((b"12", b"x"), {"id": b"12"})),
        (r"~/u/(?P<id>\d+)", "/u/12", ((b"12",), {"id": b"12"})),
        (
            r"~/(users/)?1984/(?<sub>profile)$",
            "/1984/profile",
            ((b"", b"profile"), {"sub": b"profile"}),
        ),
        (r"~/u/\d+", "/u/12", ((), {})),
        (r"~/u/(?<name>[a-z ]+)", "/u/%6aohn%20doe", ((b"john doe",), {"name": b"john doe"})),
        (r"~/(?<word>[^/]+)", "/%C3%A9t%C3%A9", (("été".encode(),), {"word": "été".encode()})),
    ],
)
def test_captures_of_a_regex_path(flavor, pattern, path, captures):
    match = router_of(flavor, route(paths=[pattern])).match(request_for("GET", path))

    assert match.captures == captures


def test_a_path_that_is_not_text_matches_no_path_of_the_compatible_flavor():
    router = router_of("traditional_compatible", route(paths=["/"]))

    assert ask(router, "/%ff") is None
    assert ask(router, "/%C3%A9") == "route-1"


def test_a_path_that_is_not_text_does_not_matter_without_paths():
    router = router_of("traditional_compatible", route(hosts=["a.test"]))

    assert ask(router, "http://a.test/%ff") == "route-1"


def test_bytes_are_bytes_in_the_traditional_flavor():
    assert ask(router_of("traditional", route(paths=["/"])), "/%ff") == "route-1"


@every_flavor
def test_decisions_depend_on_the_headers_that_routes_name(flavor):
    router = router_of(flavor, route(1, headers={"x-v": ["1"]}), route(2, headers={"X-W": ["1"]}))

    answers = [ask(router, "/", x_v="1"), ask(router, "/", x_v="2"), ask(router, "/", x_w="1")]

    assert answers * 2 == [
        ask(router, "/", x_v="1"),
        ask(router, "/", x_v="2"),
        ask(router, "/", x_w="1"),
        "route-1",
        None,
        "route-2",
    ]


@every_flavor
def test_http_and_stream_routes_do_not_meet(flavor):
    router = router_of(
        flavor,
        route(1, paths=["/"]),
        route(2, protocols=["tcp"], sources=[{"ip": "10.0.0.0/8", "port": None}]),
    )
    source = ("10.0.0.1", 4000)

    assert router.match(RouteRequest(scheme=b"tcp", source=source)).route["name"] == "route-2"
    assert router.match(RouteRequest(scheme=b"http", source=source)).route["name"] == "route-1"


@every_flavor
def test_an_update_leaves_the_old_router_as_it_was(flavor):
    old = router_of(flavor, route(1, paths=["/a"]), route(2, paths=["/a/b"]))

    new = old.replace(route(2, paths=["/c"]), None).replace(route(3, hosts=["a.test"]), None)

    assert [ask(old, "/a/b"), ask(old, "/c"), ask(old, "http://a.test/x")] == [
        "route-2",
        None,
        None,
    ]
    assert [ask(new, "/a/b"), ask(new, "/c"), ask(new, "http://a.test/x")] == [
        "route-1",
        "route-2",
        "route-3",
    ]


@every_flavor
def test_a_refused_update_changes_nothing(flavor):
    router = router_of(flavor, route(1, paths=["/a"]))

    with pytest.raises(RegexError):
        router.replace(route(1, paths=["~("]), None)

    assert ask(router, "/a") == "route-1"


@every_flavor
def test_removing_what_is_not_there_is_fine(flavor):
    assert len(router_of(flavor).remove("nothing")) == 0


@every_flavor
def test_a_decision_that_needed_no_header_holds_for_any(flavor):
    router = router_of(
        flavor,
        route(1, paths=["/a"], hosts=["a.test"], methods=["GET"]),
        route(2, paths=["/a"], headers={"x-v": ["1"]}),
    )

    first = router.match(request_for("GET", "http://a.test/a", [("x-v", "1")]))
    second = router.match(request_for("GET", "http://a.test/a", [("x-v", "2")]))
    elsewhere = [ask(router, "/a", x_v=value) for value in ("1", "2", "1")]

    assert first is second
    assert first.route["name"] == "route-1"
    assert elsewhere == ["route-2", None, "route-2"]


@every_flavor
def test_of_two_routes_with_the_same_id_the_later_counts(flavor):
    router = router_of(flavor, route(1, paths=["/a"]), route(1, paths=["/b"]))

    assert [ask(router, "/a"), ask(router, "/b"), len(router)] == [None, "route-1", 1]
    assert ask(router.remove(route(1)["id"]), "/b") is None


@every_flavor
def test_text_that_is_not_unicode_is_refused(flavor):
    with pytest.raises(RouterError, match="has text that is not Unicode"):
        router_of(flavor, route(paths=["/\ud800"]))
    with pytest.raises(RegexError, match="not Unicode"):
        router_of(flavor, route(paths=["~/\ud800"]))


@every_flavor
def test_long_requests_are_answered_but_not_remembered(flavor):
    router = router_of(flavor, route(1, paths=["/a"]), route(2, headers={"x-v": ["1"]}))
    long_path = request_for("GET", "/a" + "b" * LONGEST_KEY)
    long_header = request_for("GET", "/b", [("x-v", "1"), ("x-w", "b" * LONGEST_KEY)])

    for request, name in ((long_path, "route-1"), (long_header, "route-2")):
        first, second = router.match(request), router.match(request)
        assert first.route["name"] == second.route["name"] == name
        assert first is not second


@pytest.mark.parametrize(
    ("flavor", "fields", "message"),
    [
        ("traditional", {"paths": ["/a"]}, None),
        ("expressions", {"expression": 'http.path == "/a"'}, None),
        (
            "traditional_compatible",
            {"headers": {"x": ["~*a(?=b)"]}},
            "invalid regex: 'a(?=b)' (look-ahead is not available in a linear-time engine)",
        ),
        (
            "expressions",
            {"expression": "http.path == 1"},
            "expected a string after 'http.path ==', but this is an integer, at line 1, column 14\n"
            "  |\n"
            "1 | http.path == 1\n"
            "  |              ^",
        ),
    ],
)
def test_a_route_is_validated_alone(flavor, fields, message):
    assert validate_route(flavor, route(**fields)) == message
