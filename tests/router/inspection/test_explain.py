"""Why a request gets the route it gets."""

from __future__ import annotations

import json

import pytest

from kongtx.router.errors import RouterError
from kongtx.router.inspection.explain import explain, explain_url
from tests.router.support import FLAVORS, request_for, route, router_of

every_flavor = pytest.mark.parametrize("flavor", FLAVORS)


def explained(router, target, method="GET", headers=()):
    return explain(router, request_for(method, target, headers))


def named(contenders):
    return [(each.route["name"], each.reason) for each in contenders]


@every_flavor
def test_the_winner_and_its_conditions(flavor):
    router = router_of(flavor, route(1, hosts=["a.test"], paths=["/a"], methods=["GET", "PUT"]))

    explanation = explained(router, "http://a.test/a/b")

    assert explanation.match.route["name"] == "route-1"
    assert {checked.condition for checked in explanation.conditions} == {
        "host a.test",
        "path beginning with /a",
        "method GET or PUT",
    }
    assert all(checked.holds for checked in explanation.conditions)


@pytest.mark.parametrize(
    ("flavor", "winner", "loser", "reason"),
    [
        ("traditional", {"paths": ["/a/b"]}, {"paths": ["/a"]}, "longer path (4 over 2)"),
        (
            "traditional_compatible",
            {"paths": ["/a/b"]},
            {"paths": ["/a"]},
            "longer path (4 over 2)",
        ),
        ("traditional_compatible", {"paths": ["~/a"]}, {"paths": ["/a"]}, "a regex path"),
        (
            "traditional",
            {"paths": ["~/a"], "regex_priority": 3},
            {"paths": ["~/a/."], "regex_priority": -1},
            "higher regex_priority (3 over -1)",
        ),
        (
            "traditional",
            {"hosts": ["a.test"]},
            {"paths": ["/a"]},
            "stronger kinds of condition (host, header, path, method, SNI)",
        ),
        (
            "traditional_compatible",
            {"paths": ["/a"], "methods": ["GET"]},
            {"paths": ["/a/b"]},
            "more kinds of condition (2 over 1)",
        ),
        ("traditional", {"paths": ["/a"]}, {"paths": ["/a"]}, "created earlier"),
        ("traditional_compatible", {"hosts": ["a.test"]}, {"hosts": ["a.*"]}, "plain hosts only"),
    ],
)
def test_the_rule_that_decided(flavor, winner, loser, reason):
    router = router_of(flavor, route(1, **winner), route(2, **loser))

    explanation = explained(router, "http://a.test/a/b")

    assert explanation.match.route["name"] == "route-1"
    assert named(explanation.outranked) == [("route-2", f"the other goes first: {reason}")]


@every_flavor
def test_near_misses_name_what_was_not_met(flavor):
    router = router_of(
        flavor,
        route(1, hosts=["a.test"], paths=["/a"], methods=["POST"]),
        route(2, hosts=["b.test"], paths=["/a"], methods=["POST"]),
        route(3, hosts=["c.test"]),
        route(4, hosts=["c.test"], paths=["/c"]),
    )

    explanation = explained(router, "http://a.test/a", method="GET")

    assert explanation.match is None
    assert named(explanation.near_misses)[0] == ("route-1", "not met: method POST")
    assert [each.route["name"] for each in explanation.near_misses] == ["route-1", "route-2"]


def test_terms_of_an_expression_are_conditions():
    router = router_of(
        "expressions",
        route(1, expression='http.path ^= "/a" && (http.method == "PUT" || net.src.port > 1)'),
    )

    explanation = explained(router, "/a")

    assert named(explanation.near_misses) == [
        ("route-1", 'not met: http.method == "PUT" || net.src.port > 1')
    ]


@every_flavor
def test_a_route_with_several_places_is_named_once(flavor):
    router = router_of(flavor, route(1, paths=["/a", "/a/b"]), route(2, paths=["/", "/a/"]))

    explanation = explained(router, "/a/b")

    assert named(explanation.outranked) == [
        ("route-2", "the other goes first: longer path (4 over 3)")
    ]
    assert explanation.near_misses == ()


@every_flavor
def test_it_can_be_written_as_json(flavor):
    router = router_of(flavor, route(1, paths=["/a"]), route(2, paths=["/a/b"], hosts=["b.test"]))

    answer = explain_url(router, "GET", "http://a.test/a/b", [("x-v", "1")])

    assert json.loads(json.dumps(answer)) == {
        "method": "GET",
        "url": "http://a.test/a/b",
        "route": {"id": "00000000-0000-0000-0000-000000000001", "name": "route-1"},
        "service": None,
        "upstream_path": "/b",
        "stripped": "/a",
        "conditions": [{"condition": "path beginning with /a", "holds": True}],
        "outranked": [],
        "near_misses": [
            {
                "route": {"id": "00000000-0000-0000-0000-000000000002", "name": "route-2"},
                "reason": "not met: host b.test",
                "conditions": answer["near_misses"][0]["conditions"],
            }
        ],
    }
    assert {each["condition"] for each in answer["near_misses"][0]["conditions"]} == {
        "host b.test",
        "path beginning with /a/b",
    }


@pytest.mark.parametrize("url", ["ftp://a.test/", "http://a.test:x/"])
def test_a_url_that_cannot_be_is_refused(url):
    with pytest.raises(RouterError):
        explain_url(router_of("traditional"), "GET", url)
