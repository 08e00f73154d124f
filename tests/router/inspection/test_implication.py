"""What one condition says about another."""

from __future__ import annotations

import pytest

from kongtx.router.conditions import (
    HostCondition,
    MethodCondition,
    PeerCondition,
    SniCondition,
)
from kongtx.router.expressions.types import parse_checked
from kongtx.router.flavors.traditional import header_condition, path_condition
from kongtx.router.inspection.implication import excludes, implies, is_impossible, node_implies


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (["a.test"], ["a.test"], True),
        (["a.test"], ["b.test"], False),
        (["a.test"], ["a.test", "b.test"], True),
        (["a.test", "c.test"], ["a.test", "b.test"], False),
        (["x.a.test"], ["*.a.test"], True),
        (["a.test"], ["*.a.test"], False),
        (["*.x.a.test"], ["*.a.test"], True),
        (["*.a.test"], ["x.a.test"], False),
        (["a.test"], ["a.*"], True),
        (["a.b.*"], ["a.*"], True),
        (["*.a.test"], ["a.*"], False),
        (["a.test:80"], ["a.test"], True),
        (["a.test"], ["a.test:80"], False),
        (["a.test:81"], ["a.test:80"], False),
    ],
)
def test_hosts(one, other, expected):
    assert implies(HostCondition(one), HostCondition(other)) is expected


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (["/a/b"], ["/a"], True),
        (["/a"], ["/a/b"], False),
        (["/a/b", "/c"], ["/a"], False),
        (["/a/b"], ["~/a"], True),
        (["/a/b"], ["~/a/.$"], False),
        (["/a/b"], [r"~/a\b"], False),
        (["/a/b"], [r"~/\w/b"], True),
        ([r"~/a/\d+"], ["/a"], True),
        ([r"~/a/\d+"], [r"~/a/\d+"], True),
        ([r"~/a/1"], [r"~/a/\d+"], False),
    ],
)
def test_paths(one, other, expected):
    assert implies(path_condition(one, True), path_condition(other, True)) is expected


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (("x", ["a"]), ("x", ["A", "b"]), True),
        (("x", ["a"]), ("y", ["a"]), False),
        (("x", ["abc"]), ("x", ["~*^A"]), True),
        (("x", ["~*a"]), ("x", ["~*a"]), True),
        (("x", ["~*ab"]), ("x", ["~*a"]), False),
    ],
)
def test_headers(one, other, expected):
    assert implies(header_condition(*one, True), header_condition(*other, True)) is expected


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ([("10.0.0.1", None)], [("10.0.0.0/8", None)], True),
        ([("10.0.0.0/16", None)], [("10.0.0.0/8", None)], True),
        ([("10.0.0.0/8", None)], [("10.0.0.0/16", None)], False),
        ([("10.0.0.1", 5)], [(None, 5)], True),
        ([("10.0.0.1", None)], [(None, 5)], False),
        ([(None, 5)], [("0.0.0.0/0", None)], False),
        ([("::1", None)], [("0.0.0.0/0", None)], False),
    ],
)
def test_peers(one, other, expected):
    def condition(peers, side="src"):
        return PeerCondition(side, [{"ip": ip, "port": port} for ip, port in peers])

    assert implies(condition(one), condition(other)) is expected
    assert not implies(condition(one), condition(other, "dst"))


def test_methods_and_server_names():
    assert implies(MethodCondition(["GET"]), MethodCondition(["PUT", "GET"]))
    assert not implies(MethodCondition(["GET", "POST"]), MethodCondition(["PUT", "GET"]))
    assert implies(SniCondition(["a.b.test"], b"https"), SniCondition(["*.test"], b"https"))
    assert not implies(SniCondition(["a.test"], b"https"), SniCondition(["a.test"], None))
    assert not implies(MethodCondition(["GET"]), SniCondition(["a.test"], None))


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ('http.path == "/a/b"', 'http.path ^= "/a"', True),
        ('http.path ^= "/a"', 'http.path == "/a"', False),
        ('http.path ^= "/ab"', 'http.path contains "a"', True),
        ('http.path ^= "/ab"', 'http.path ~ "^/a"', True),
        ('http.path ^= "/ab"', 'http.path ~ "b$"', False),
        ('http.path == "/ab"', 'http.path ~ "b$"', True),
        ('http.host == "X.test"', 'http.host =^ ".TEST"', True),
        ("net.src.port == 5", "net.src.port > 4", True),
        ("net.src.port == 5", "net.src.port > 5", False),
        ("net.src.ip == 10.0.0.1", "net.src.ip in 10.0.0.0/8", True),
        ('any(http.headers.x) == "a"', 'any(http.headers.x) ^= "a"', True),
        ('any(http.headers.x) == "a"', 'http.headers.x ^= "a"', False),
        ('lower(http.path) == "/a"', 'http.path ^= "/a"', False),
        ('http.method == "GET" || http.method == "PUT"', 'http.method != "POST"', True),
        ('http.method == "GET" || http.method == "PUT"', 'http.method == "PUT"', False),
        ('http.method == "GET"', 'http.method == "PUT" || http.method == "GET"', True),
        ('http.method == "GET" && http.path ^= "/a"', 'http.path ^= "/"', True),
        ('http.method == "GET"', 'http.method == "GET" && http.path ^= "/"', False),
    ],
)
def test_expressions(one, other, expected):
    assert node_implies(parse_checked(one), parse_checked(other)) is expected


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ('http.method == "GET"', 'http.method == "PUT"', True),
        ('http.method == "GET"', 'http.method != "GET"', True),
        ('http.path ^= "/a"', 'http.path ^= "/b"', True),
        ('http.path ^= "/a"', 'http.path ^= "/a/b"', False),
        ('any(http.headers.x) == "a"', 'any(http.headers.x) == "b"', False),
        ('http.headers.x == "a"', 'any(http.headers.x) == "b"', True),
        ("net.src.port > 5", "net.src.port < 6", True),
        ("net.src.port >= 5", "net.src.port < 6", False),
        ("net.src.port < 6", "net.src.port > 5", True),
        ("net.src.port > 5", "net.src.port > 7", False),
        ("net.src.port > 5", "net.dst.port < 5", False),
        ('http.method == "A"', 'http.method == "B" || http.method == "C"', True),
        ('http.method == "A"', 'http.method == "A" || http.method == "C"', False),
    ],
)
def test_expressions_that_exclude_each_other(one, other, expected):
    assert excludes(parse_checked(one), parse_checked(other)) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('http.path ^= "a"', True),
        ('http.path ^= "/a"', False),
        ('http.path contains "a"', False),
        ('http.path != "a"', False),
        ('http.path ^= ""', False),
        ('lower(http.method) == "GET"', True),
        ('lower(http.host) == "A.test"', False),
        ('http.path ^= "a" || http.path ^= "/a"', False),
        ('http.path ^= "a" && http.method == "GET"', True),
        ('!(http.path ^= "a")', False),
    ],
)
def test_impossible_expressions(text, expected):
    assert is_impossible(parse_checked(text)) is expected
