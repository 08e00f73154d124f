"""What expressions mean."""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kongtx.router.expressions.compiler import compile_test
from kongtx.router.expressions.types import parse_checked
from kongtx.router.facts import Facts
from tests.router.expressions.oracle import evaluate, write
from tests.router.expressions.render import route_to_expression
from tests.router.strategies import http_requests, http_routes, stream_requests, stream_routes
from tests.router.support import RouteRequest, ask, request_for, route, router_of

_SLOW_DATA = [HealthCheck.too_slow, HealthCheck.data_too_large]


def holds(text, request, protocols=("http",)):
    return compile_test(parse_checked(text, protocols))(Facts(request))


REQUEST = RouteRequest(
    method=b"POST",
    host=b"api.example.com",
    host_port=8443,
    path=b"/Users/12/posts",
    query=b"a=1&a=2&flag&b=x%20y+z",
    headers=[(b"x-one", b"A"), (b"x-one", b"B"), (b"x-empty", b""), (b"under_score", b"u")],
    scheme=b"https",
    sni=b"api.example.com",
    source=("10.1.2.3", 4000),
    destination=("192.0.2.1", 443),
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('http.method == "POST"', True),
        ('http.method != "POST"', False),
        ('http.host == "API.example.com"', True),
        ('http.host =^ ".example.com"', True),
        ('http.host ^= "api."', True),
        ('http.path ^= "/users"', False),
        ('lower(http.path) ^= "/users"', True),
        ('lower(http.path) ^= "/Users"', False),
        ('http.path contains "/12/"', True),
        (r'http.path ~ r#"/\d+/posts$"#', True),
        (r'http.path ~ r#"^/\d+"#', False),
        ('http.path.segments.0 == "Users"', True),
        ('http.path.segments.0_1 == "Users/12"', True),
        ('http.path.segments.2 == "posts"', True),
        ('http.path.segments.3 != "x"', False),
        ('http.path.segments.1_3 != "x"', False),
        ("http.path.segments.len == 3", True),
        ('http.headers.x_one == "A"', False),
        ('any(http.headers.x_one) == "A"', True),
        ('any(http.headers.x_one) == "B"', True),
        ('http.headers.x_one != "C"', True),
        ('any(lower(http.headers.x_one)) == "b"', True),
        ('http.headers.x_empty == ""', True),
        ('http.headers.x_absent != "A"', False),
        ('!(http.headers.x_absent == "A")', True),
        ('http.headers.under_score == "u"', True),
        ('http.headers.X_One != "C"', True),
        ('http.queries.a == "1"', False),
        ('any(http.queries.a) == "2"', True),
        ('http.queries.flag == ""', True),
        ('http.queries.b == "x y z"', True),
        ('http.queries.absent != ""', False),
        ('net.protocol == "https" && tls.sni == "api.example.com"', True),
        ("net.src.ip in 10.0.0.0/8", True),
        ("net.src.ip not in 10.0.0.0/8", False),
        ("net.src.ip not in 11.0.0.0/8", True),
        ("net.src.ip in fd00::/8", False),
        ("net.src.ip == 10.1.2.3", True),
        ("net.src.ip != 10.1.2.3", False),
        ("net.src.port >= 4000 && net.src.port <= 4000", True),
        ("net.src.port > 4000 || net.src.port < 4000", False),
        ("net.dst.port == 8443", True),
        ("net.dst.ip == 192.0.2.1", True),
        ('http.method == "GET" && http.path ^= "/x" || http.path ^= "/Users"', False),
        ('http.method == "POST" && http.path ^= "/x" || http.path ^= "/Users"', True),
    ],
)
def test_meaning(text, expected):
    assert holds(text, REQUEST) is expected


def test_fields_of_absent_things_fit_nothing():
    bare = RouteRequest(host=b"", sni=b"", source=("unix:", 0))

    assert not holds('http.host != "x"', bare)
    assert not holds('tls.sni != "x"', bare)
    assert not holds("net.src.ip not in 10.0.0.0/8", bare)


def test_lower_case_of_more_than_ascii():
    assert holds('lower(http.path) == "/été"', RouteRequest(path="/ÉTÉ".encode()))
    assert not holds('lower(http.path) == "/été"', RouteRequest(path=b"/\xff"))


def expression_route(number, expression, priority=0, **fields):
    return route(number, expression=expression, priority=priority, **fields)


class TestRoutes:
    def test_the_higher_priority_wins(self):
        router = router_of(
            "expressions",
            expression_route(1, 'http.path ^= "/a"', 5),
            expression_route(2, 'http.path ^= "/a/b"', 4),
        )

        assert ask(router, "/a/b") == "route-1"

    def test_of_equal_priorities_the_higher_id_wins(self):
        router = router_of(
            "expressions",
            expression_route(1, 'http.path ^= "/a"'),
            expression_route(2, 'http.path ^= "/a"'),
        )

        assert ask(router, "/a") == "route-2"

    def test_the_highest_priority_there_is(self):
        router = router_of(
            "expressions",
            expression_route(2, 'http.path ^= "/"', 2**46 - 2),
            expression_route(1, 'http.path ^= "/"', 2**46 - 1),
        )

        assert ask(router, "/") == "route-1"

    def test_an_expression_goes_before_other_routes(self):
        router = router_of(
            "expressions",
            route(2, paths=["/a"], methods=["GET"], hosts=["a.test"], headers={"x-v": ["1"]}),
            expression_route(1, 'http.path ^= "/"'),
        )

        assert ask(router, "http://a.test/a", x_v="1") == "route-1"

    @pytest.mark.parametrize(
        ("protocols", "scheme", "expected"),
        [
            (["http"], "http", "route-1"),
            (["http"], "https", None),
            (["http", "https"], "https", "route-1"),
            (["https"], "http", "route-1"),
            (["https"], "https", "route-1"),
            (["grpc"], "http", "route-1"),
            (["grpc"], "https", None),
            (["grpcs"], "https", "route-1"),
            (["grpcs"], "http", None),
        ],
    )
    def test_protocols(self, protocols, scheme, expected):
        plain = route(1, paths=["/"], protocols=protocols)
        written = expression_route(1, 'http.path ^= "/"', protocols=protocols)

        for entity in (plain, written):
            assert ask(router_of("expressions", entity), f"{scheme}://a.test/") == expected

    def test_decisions_depend_on_the_queries_that_routes_name(self):
        router = router_of("expressions", expression_route(1, 'any(http.queries.v) == "2"'))

        answers = [ask(router, target) for target in ("/?v=2", "/?v=1", "/?w=2", "/?w=3&v=2")]

        assert answers == ["route-1", None, None, "route-1"]

    def test_decisions_depend_on_headers_however_they_are_written(self):
        router = router_of("expressions", expression_route(1, 'http.headers.X_Tier == "gold"'))

        answers = [ask(router, "/", x_tier=tier) for tier in ("gold", "tin", "gold")]

        assert answers == ["route-1", None, "route-1"]

    def test_decisions_depend_on_the_client_where_routes_do(self):
        router = router_of("expressions", expression_route(1, "net.src.ip in 10.0.0.0/8"))

        names = [
            router.match(RouteRequest(source=(address, 1))) is not None
            for address in ("10.0.0.1", "11.0.0.1", "10.0.0.1")
        ]

        assert names == [True, False, True]

    @pytest.mark.parametrize(
        ("text", "path", "prefix", "captures"),
        [
            ('http.path ^= "/a"', "/a/b", b"/a", ((), {})),
            ('http.path == "/a/b"', "/a/b", b"/a/b", ((), {})),
            (r'http.path ~ r#"^/a/(?<id>\d+)"#', "/a/1/b", b"/a/1", ((b"1",), {"id": b"1"})),
            (r'http.path ^= "/a" && http.path ~ r#"^/a/\d+"#', "/a/1/b", b"/a/1", ((), {})),
            (r'http.path ~ r#"/\d+"#', "/a/1/b", b"", ((), {})),
            (r'http.path.segments.1 ~ r#"^(?<id>\d+)$"#', "/a/1", b"", ((b"1",), {"id": b"1"})),
            ('http.path =^ "/b"', "/a/b", b"", ((), {})),
        ],
    )
    def test_what_is_stripped_and_captured(self, text, path, prefix, captures):
        match = router_of("expressions", expression_route(1, text)).match(request_for("GET", path))

        assert (match.prefix, match.captures) == (prefix, captures)

    def test_stream_routes(self):
        router = router_of(
            "expressions",
            expression_route(1, 'tls.sni == "a.test" && net.dst.port == 5432', protocols=["tls"]),
            expression_route(2, "net.src.ip in 10.0.0.0/8", protocols=["tcp"]),
        )
        tls = RouteRequest(scheme=b"tls", sni=b"a.test", destination=("192.0.2.1", 5432))
        tcp = RouteRequest(scheme=b"tcp", source=("10.0.0.1", 5))

        assert router.match(tls).route["name"] == "route-1"
        assert router.match(tcp).route["name"] == "route-2"


# Random expressions.

_TEXTS = st.sampled_from(["", "a", "/a", "/a/b", "GET", "a.test", ".test", "a.", "One", "one", "1"])
_PATTERNS = st.sampled_from(["^/a", "/b$", "^/a/(.)", "a|b", "[A-Z]", "^/(a|b)/b", "^G", "t$"])
_STRINGS = [
    "http.method",
    "http.host",
    "http.path",
    "http.path.segments.0",
    "http.path.segments.1",
    "http.path.segments.0_1",
    "http.headers.x_one",
    "http.headers.version",
    "http.queries.a",
    "tls.sni",
    "net.protocol",
]
_FUNCTIONS = st.sampled_from([(), ("lower",), ("any",), ("lower", "any"), ("any", "lower")])


def _predicates():
    texts = st.tuples(
        st.just("is"),
        st.sampled_from(_STRINGS),
        _FUNCTIONS,
        st.sampled_from(["==", "!=", "^=", "=^", "contains"]),
        _TEXTS,
    ).map(_host_in_lower_case)
    patterns = st.tuples(
        st.just("is"), st.sampled_from(_STRINGS), _FUNCTIONS, st.just("~"), _PATTERNS
    )
    integers = st.tuples(
        st.just("is"),
        st.sampled_from(["http.path.segments.len", "net.src.port", "net.dst.port"]),
        st.just(()),
        st.sampled_from(["==", "!=", ">", ">=", "<", "<="]),
        st.sampled_from([0, 1, 2, 80, 1000, 2000]),
    )
    addresses = st.tuples(
        st.just("is"),
        st.sampled_from(["net.src.ip", "net.dst.ip"]),
        st.just(()),
        st.sampled_from(["==", "!="]),
        st.sampled_from(["10.0.0.1", "::1", "127.0.0.1"]),
    )
    ranges = st.tuples(
        st.just("is"),
        st.sampled_from(["net.src.ip", "net.dst.ip"]),
        st.just(()),
        st.sampled_from(["in", "not in"]),
        st.sampled_from(["10.0.0.0/8", "10.0.1.0/24", "fd00::/8", "0.0.0.0/0"]),
    )
    return texts | texts | patterns | integers | addresses | ranges


def _host_in_lower_case(predicate):
    kind, name, functions, operator, value = predicate
    return kind, name, functions, operator, value.lower() if name == "http.host" else value


expressions = st.recursive(
    _predicates(),
    lambda inner: (
        st.tuples(st.sampled_from(["all", "either"]), st.lists(inner, min_size=2, max_size=4))
        | st.tuples(st.just("not"), inner)
    ),
    max_leaves=8,
)


def _requests():
    return st.builds(
        lambda request, query: RouteRequest(
            **{
                **{
                    name: getattr(request, name)
                    for name in RouteRequest.__slots__
                    if name[0] != "_"
                },
                "query": query,
            }
        ),
        http_requests(),
        st.sampled_from([b"", b"a=1", b"a=1&a=one", b"a", b"b=1"]),
    )


def _check_meaning(expression, request):
    text = write(expression)

    assert holds(text, request) is evaluate(expression, request), text


def _check_routes(chosen, request):
    routes = [
        expression_route(number, write(expression), priority, id=str(UUID(int=number)))
        for number, (expression, priority) in enumerate(chosen, 1)
    ]
    fitting = [
        (priority, number)
        for number, (expression, priority) in enumerate(chosen, 1)
        if evaluate(expression, request)
    ]
    router = router_of("expressions", *routes)

    match = router.match(request)

    expected = f"route-{max(fitting)[1]}" if fitting else None
    assert (match and match.route["name"]) == expected
    fewer = router.remove(str(UUID(int=1))).match(request)
    fitting = [pair for pair in fitting if pair[1] != 1]
    assert (fewer and fewer.route["name"]) == (f"route-{max(fitting)[1]}" if fitting else None)


_PRIORITIZED = st.lists(st.tuples(expressions, st.integers(0, 3)), min_size=1, max_size=20)


@settings(max_examples=200, suppress_health_check=_SLOW_DATA)
@given(expressions, _requests())
def test_any_expression_means_what_the_rules_say(expression, request):
    _check_meaning(expression, request)


@settings(max_examples=50, suppress_health_check=_SLOW_DATA)
@given(_PRIORITIZED, _requests())
def test_the_index_finds_what_trying_all_finds(chosen, request):
    _check_routes(chosen, request)


@pytest.mark.long
@settings(max_examples=2000, suppress_health_check=_SLOW_DATA)
@given(expressions, _requests())
def test_any_expression_means_what_the_rules_say_at_length(expression, request):
    _check_meaning(expression, request)


@pytest.mark.long
@settings(max_examples=500, suppress_health_check=_SLOW_DATA)
@given(_PRIORITIZED, _requests())
def test_the_index_finds_what_trying_all_finds_at_length(chosen, request):
    _check_routes(chosen, request)


@settings(max_examples=50, suppress_health_check=_SLOW_DATA)
@given(st.data())
def test_a_route_and_its_expression_take_the_same_requests(data):
    flavor = "traditional_compatible"
    streams = data.draw(st.booleans())
    entity = data.draw(stream_routes(flavor) if streams else http_routes(flavor))[0]
    request = data.draw(stream_requests() if streams else http_requests())

    matched = router_of(flavor, entity).match(request) is not None

    text = route_to_expression(entity)
    assert holds(text, request, entity["protocols"]) is matched, text


def test_a_route_as_an_expression():
    entity = route(
        hosts=["*.a.test", "b.test:81"],
        paths=["/a", r"~/u/\d+"],
        methods=["GET", "PUT"],
        headers={"X-Tier": ["Gold", "~*^s"]},
        snis=["a.test."],
    )

    assert route_to_expression(entity) == (
        '(net.protocol != "https" || (tls.sni == r#"a.test"#))'
        ' && (http.method == r#"GET"# || http.method == r#"PUT"#)'
        ' && (http.host =^ r#".a.test"# || (http.host == r#"b.test"# && net.dst.port == 81))'
        ' && (http.path ^= r#"/a"# || http.path ~ r#"^/u/\\d+"#)'
        ' && (any(lower(http.headers.x_tier)) == r#"gold"#'
        ' || any(lower(http.headers.x_tier)) ~ r#"(?i)^s"#)'
    )
