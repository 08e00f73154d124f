"""Many routes that nothing but their patterns tells apart."""

from __future__ import annotations

import random
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kongtx.router.facts import Facts
from kongtx.router.leaf import MANY
from kongtx.router.sieve import FEW, Sieve
from tests.router.support import FLAVORS, ask, request_for, route, router_of


def regex_routes(count):
    return [
        route(
            number,
            id=str(UUID(int=number * 7919)),
            paths=[rf"~/(?<tenant>\w+)/r{number}/(\d+)$"],
            regex_priority=number % 3,
        )
        for number in range(1, count + 1)
    ]


@pytest.mark.parametrize("flavor", FLAVORS)
@pytest.mark.parametrize("count", [FEW - 1, FEW, 3 * FEW, MANY + 100])
def test_the_right_one_is_found(flavor, count):
    router = router_of(flavor, *regex_routes(count))

    for number in (1, count // 2, count):
        match = router.match(request_for("GET", f"/acme/r{number}/12"))
        assert match.route["name"] == f"route-{number}"
        assert match.captures == ((b"acme", b"12"), {"tenant": b"acme"})
    assert ask(router, f"/acme/r{count + 1}/12") is None
    assert ask(router, "/acme/r1/x") is None


@pytest.mark.parametrize("count", [2 * FEW, MANY + 100])
def test_an_edit_is_seen_and_leaves_the_old_as_it_was(count):
    routes = regex_routes(count)
    old = router_of("traditional", *routes)
    assert ask(old, "/a/r7/1") == "route-7"

    changed = old.replace({**routes[6], "paths": [r"~/\w+/changed"]}, None)
    removed = changed.remove(routes[7]["id"])

    assert [ask(old, "/a/r7/1"), ask(old, "/a/changed")] == ["route-7", None]
    assert [ask(changed, "/a/r7/1"), ask(changed, "/a/changed")] == [None, "route-7"]
    assert [ask(removed, "/a/r8/1"), ask(removed, "/a/r9/1")] == [None, "route-9"]
    assert ask(changed, "/a/r8/1") == "route-8"


_EXPRESSIONS = [
    'http.path ~ "^/a"',
    'http.path ~ "b$"',
    'http.path ~ "/[ab]/"',
    'lower(http.path) ~ "a"',
    'http.path contains "b"',
    'http.path ~ "c" && http.method == "GET"',
    'http.path ~ "c" || http.path ~ "a/b"',
    '!(http.path ~ "a")',
    'http.path ~ "^(a|b){300}"',
]


@settings(max_examples=100)
@given(st.integers(0, 2**32), st.text("/abcA", max_size=6))
def test_it_finds_what_trying_all_finds(seed, path):
    chance = random.Random(seed)
    routes = [
        route(
            number,
            expression=chance.choice(_EXPRESSIONS),
            priority=chance.randrange(5),
        )
        for number in range(1, 60)
    ]
    router = router_of("expressions", *routes)
    request = request_for("GET", f"/{path}")
    facts = Facts(request)

    match = router.match(request)

    fitting = [entry for entry in router.entries() if entry.holds(facts)]
    best = max(fitting, key=lambda entry: entry.rank, default=None)
    assert (match and match.route) is (best and best.route)


def test_it_picks_few():
    entries = sorted(
        router_of("traditional", *regex_routes(100)).entries(), key=lambda entry: -entry.rank
    )

    picked = Sieve(entries).pick(b"/acme/r7/1")

    assert [entries[place].route["name"] for place in picked] == ["route-7"]
    assert Sieve(entries).pick(b"/nothing") == []


def test_a_pattern_too_large_for_a_set_is_always_picked():
    routes = [*regex_routes(50), route(99, paths=["~/[a-z]{900}"])]
    entries = list(router_of("traditional", *routes).entries())

    picked = Sieve(entries).pick(b"/nothing")

    assert [entries[place].route["name"] for place in picked] == ["route-99"]
