"""Routes that cannot do what they seem to, each with a request that shows it."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kongtx.router.inspection.lint import Kind, lint, lint_json, show_request
from tests.router.oracle import decide, fits
from tests.router.strategies import http_requests, http_routes, stream_requests, stream_routes
from tests.router.support import FLAVORS, RouteRequest, route, router_of, service

every_flavor = pytest.mark.parametrize("flavor", FLAVORS)


def told(flavor, *routes, services=()):
    """Findings as (kind, route, other)."""
    return [
        (
            finding.kind.value,
            finding.route["name"],
            finding.other["name"] if finding.other else None,
        )
        for finding in lint(flavor, routes, {each["id"]: each for each in services})
    ]


@every_flavor
@pytest.mark.parametrize(
    "routes",
    [
        [],
        [{"paths": ["/a"]}, {"paths": ["/a/b"]}, {"paths": ["/"]}],
        [{"hosts": ["a.test"]}, {"hosts": ["*.test"]}],
        [{"paths": ["/a"], "methods": ["GET"]}, {"paths": ["/a"], "methods": ["POST"]}],
        [{"paths": ["/a"]}, {"paths": ["/a"], "methods": ["POST"]}],
        [{"paths": ["/ab"]}, {"paths": ["/ac"]}],
        [{"headers": {"x": ["1"]}}, {"headers": {"x": ["1"], "y": ["2"]}}],
        [{"paths": [r"~/u/\d+$"]}, {"paths": ["/u/1"]}],
    ],
)
def test_what_is_fine(flavor, routes):
    assert told(flavor, *(route(n, **fields) for n, fields in enumerate(routes, 1))) == []


@every_flavor
def test_a_regex_that_cannot_be_is_refused(flavor):
    findings = lint(flavor, [route(1, paths=["~/a(?=b)"]), route(2, paths=["/a"])], {})

    assert [(each.kind, each.route["name"]) for each in findings] == [(Kind.REFUSED, "route-1")]
    assert "look-ahead is not available" in findings[0].reason


@every_flavor
def test_a_missing_service_is_refused(flavor):
    assert told(flavor, route(1, paths=["/"], service={"id": "4711"})) == [
        ("refused", "route-1", None)
    ]


@every_flavor
def test_a_disabled_service(flavor):
    owner = service(enabled=False)

    findings = lint(flavor, [route(paths=["/"], service={"id": owner["id"]})], {owner["id"]: owner})

    assert [(each.kind, each.reason) for each in findings] == [
        (Kind.NEVER_MATCHES, "its service service-1 is disabled")
    ]


@every_flavor
@pytest.mark.parametrize(
    ("path", "better"),
    [
        ("/a/../b", "/b"),
        ("/a/./b", "/a/b"),
        ("/a//b", "/a/b"),
        ("/%61", "/a"),
        ("/a%2fb", "/a%2Fb"),
    ],
)
def test_a_path_that_no_request_has(flavor, path, better):
    findings = lint(flavor, [route(paths=[path])], {})

    assert [(each.kind, each.reason) for each in findings] == [
        (Kind.NEVER_MATCHES, f"no normalised path begins with {path}: write {better}")
    ]


@every_flavor
@pytest.mark.parametrize(
    ("over", "under"),
    [
        ({"paths": ["~/a"]}, {"paths": ["/a/b"]}),
        ({"paths": ["~/.*"]}, {"paths": ["/a/b"]}),
        ({"paths": ["/a", "~/b"]}, {"paths": ["/b/c"]}),
        (
            {"hosts": ["a.test"], "paths": ["/a"]},
            {"hosts": ["*.test", "a.test"], "paths": ["/b"]},
        ),
        ({"headers": {"x": ["1", "2"]}}, {"headers": {"X": ["1"]}}),
        ({"paths": ["/a"]}, {"paths": ["/a"]}),
    ],
)
def test_a_route_that_another_shadows(flavor, over, under):
    first = route(2 if flavor == "traditional_compatible" else 1, **over)
    second = route(1 if flavor == "traditional_compatible" else 2, **under)
    shadowed = "hosts" not in over
    expected = [("never-matches", second["name"], first["name"])] if shadowed else []

    assert told(flavor, first, second) == expected


@every_flavor
def test_a_part_that_another_route_shadows(flavor):
    findings = lint(flavor, [route(1, paths=["~/a"]), route(2, paths=["/a/b", "/c/d/e"])], {})

    (finding,) = findings
    assert (finding.kind, finding.route["name"], finding.other["name"]) == (
        Kind.SHADOWED,
        "route-2",
        "route-1",
    )
    assert finding.reason == (
        "every request for path beginning with /a/b gets route-1: a regex path"
    )
    assert show_request(finding.request) == {
        "method": "GET",
        "url": "http://example.com/a/b",
        "headers": [],
    }


@pytest.mark.parametrize(
    ("flavor", "rule"),
    [("traditional", "created earlier"), ("traditional_compatible", "higher id")],
)
@pytest.mark.parametrize(
    ("one", "two"),
    [
        ({"hosts": ["a.test", "b.test"]}, {"hosts": ["b.test", "c.test"]}),
        ({"hosts": ["*.test"]}, {"hosts": ["a.*"]}),
        (
            {"paths": ["/a"], "methods": ["GET", "PUT"]},
            {"paths": ["/a"], "methods": ["PUT", "POST"]},
        ),
        ({"headers": {"x": ["1"]}}, {"headers": {"y": ["1"]}}),
        ({"headers": {"x": ["1"]}}, {"headers": {"x": ["2"]}}),
        ({"headers": {"x": ["1", "2"]}}, {"headers": {"x": ["~*3"]}}),
        ({"paths": [r"~/u/\d+"]}, {"paths": [r"~/u/[0-9a-f]+"]}),
    ],
)
def test_routes_that_only_a_tie_break_keeps_apart(flavor, rule, one, two):
    routes = [route(1, **one), route(2, **two)]

    (finding,) = lint(flavor, routes, {})

    assert finding.kind is Kind.AMBIGUOUS
    assert finding.reason.endswith(f"first: {rule}")
    router = router_of(flavor, *routes)
    assert router.match(finding.request).route is finding.other
    assert router.remove(finding.other["id"]).match(finding.request).route is finding.route


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        (
            'http.method == "GET" && http.method == "PUT"',
            'nothing can meet both http.method == "GET" and http.method == "PUT"',
        ),
        (
            'http.path ^= "/a" && http.path == "/b"',
            'nothing can meet both http.path ^= "/a" and http.path == "/b"',
        ),
        (
            'http.path ^= "/a" && http.path ^= "/b"',
            'nothing can meet both http.path ^= "/a" and http.path ^= "/b"',
        ),
        (
            "net.src.port > 5 && net.src.port <= 5",
            "nothing can meet both net.src.port > 5 and net.src.port <= 5",
        ),
        ('lower(http.path) ^= "/A"', 'nothing can meet lower(http.path) ^= "/A"'),
        ('http.path ^= "a"', 'nothing can meet http.path ^= "a"'),
        ('http.path == "/a/../b"', 'nothing can meet http.path == "/a/../b"'),
    ],
)
def test_expressions_that_nothing_can_meet(expression, reason):
    findings = lint("expressions", [route(expression=expression, priority=0)], {})

    assert [(each.kind, each.reason) for each in findings] == [(Kind.NEVER_MATCHES, reason)]


@pytest.mark.parametrize(
    "expression",
    [
        'any(http.headers.x) == "a" && any(http.headers.x) == "b"',
        "net.src.port > 5 && net.src.port < 7",
        'http.path ^= "/a" && http.path ^= "/a/b"',
        '(http.method == "GET" || http.method == "PUT") && http.method != "PUT"',
        'http.path == "/a" && http.path.segments.len == 1',
    ],
)
def test_expressions_that_something_can_meet(expression):
    assert told("expressions", route(expression=expression, priority=0)) == []


def test_an_expression_that_another_shadows():
    over = route(1, expression='http.path ^= "/a" || http.host == "a.test"', priority=2)
    under = route(2, expression='http.path == "/a/b" && http.method == "GET"', priority=1)

    (finding,) = lint("expressions", [over, under], {})

    assert (finding.kind, finding.other["name"]) == (Kind.NEVER_MATCHES, "route-1")
    assert finding.reason.endswith("gets route-1: higher priority (2 over 1)")
    assert show_request(finding.request)["url"] == "http://example.com/a/b"


def test_stream_routes():
    routes = [
        route(1, protocols=["tcp"], sources=[{"ip": "10.0.0.0/8", "port": None}]),
        route(2, protocols=["tcp"], sources=[{"ip": "10.1.0.0/16", "port": None}]),
    ]

    (finding,) = lint("traditional", routes, {})

    assert (finding.kind, finding.route["name"]) == (Kind.NEVER_MATCHES, "route-2")
    assert show_request(finding.request)["source"] == ["10.1.0.0", 1024]


def test_it_can_be_written_as_json():
    answer = lint_json("traditional", [route(1, paths=["/a"]), route(2, paths=["/a"])], {})

    assert json.loads(json.dumps(answer)) == [
        {
            "kind": "never-matches",
            "route": {"id": "00000000-0000-0000-0000-000000000002", "name": "route-2"},
            "other": {"id": "00000000-0000-0000-0000-000000000001", "name": "route-1"},
            "reason": "every request for path beginning with /a gets route-1: created earlier",
            "request": {"method": "GET", "url": "http://example.com/a", "headers": []},
        }
    ]


def test_a_request_as_a_client_would_make_it():
    request = RouteRequest(
        method=b"PUT",
        host=b"::1",
        host_port=8443,
        path=b"/a",
        query=b"b=1",
        headers=[(b"x", b"1")],
        scheme=b"https",
        sni=b"a.test",
        source=("10.0.0.1", 5),
    )

    assert show_request(request) == {
        "method": "PUT",
        "url": "https://[::1]:8443/a?b=1",
        "headers": [["x", "1"]],
        "sni": "a.test",
        "source": ["10.0.0.1", 5],
    }


@every_flavor
def test_of_a_route_that_ties_with_many_three_are_shown(flavor):
    # A request may have several values of a header.
    routes = [route(n, headers={"x": [str(n)]}) for n in range(1, 21)]
    found = told(flavor, *routes)
    assert {kind for kind, _, _ in found} == {"ambiguous"}
    losses = Counter(name for _, name, _ in found)
    assert max(losses.values()) == 3
    assert len(losses) == 19


def _check_honesty(data):
    """No finding may be wrong, whatever the routes and requests."""
    flavor = data.draw(st.sampled_from(FLAVORS))
    streams = data.draw(st.booleans())
    routes = data.draw(stream_routes(flavor) if streams else http_routes(flavor))
    asked = stream_requests() if streams else http_requests()
    requests = data.draw(st.lists(asked, min_size=1, max_size=6))
    for finding in lint(flavor, routes, {}):
        mine = finding.route["id"]
        if finding.request is not None:
            fitting = {each["id"] for each in fits(flavor, routes, finding.request)}
            assert {mine, finding.other["id"]} <= fitting
        if finding.kind is Kind.NEVER_MATCHES:
            assert all(decide(flavor, routes, request) != mine for request in requests)


@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(data=st.data())
def test_no_finding_is_wrong(data):
    _check_honesty(data)


@pytest.mark.long
@settings(
    max_examples=300, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
@given(data=st.data())
def test_no_finding_is_wrong_at_length(data):
    _check_honesty(data)
