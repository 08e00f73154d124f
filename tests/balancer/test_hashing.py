import pytest

from kongtx.balancer.hashing import HashCookie, compile_hash

from .support import Request, upstream_of


def _value(request, **fields):
    return compile_hash(upstream_of(**fields), lambda: "new-id")(request)


@pytest.mark.parametrize(
    ("fields", "request_", "value"),
    [
        ({"hash_on": "consumer"}, Request(consumer_id="c1"), b"c1"),
        ({"hash_on": "consumer"}, Request(), None),
        ({"hash_on": "ip"}, Request(client_ip="192.0.2.9"), b"192.0.2.9"),
        ({"hash_on": "path"}, Request(path=b"/a%20b"), b"/a%20b"),
        (
            {"hash_on": "header", "hash_on_header": "X-User"},
            Request(headers=[(b"x-user", b"a"), (b"y", b"-"), (b"x-user", b"b")]),
            b"a, b",
        ),
        ({"hash_on": "header", "hash_on_header": "X-User"}, Request(), None),
        ({"hash_on": "query_arg", "hash_on_query_arg": "q"}, Request(query=b"a=1&q=2"), b"2"),
        ({"hash_on": "query_arg", "hash_on_query_arg": "q"}, Request(query=b"q=b&q=a"), b"a,b"),
        ({"hash_on": "query_arg", "hash_on_query_arg": "q"}, Request(query=b"q"), b"true"),
        ({"hash_on": "query_arg", "hash_on_query_arg": "q"}, Request(query=b"q="), b""),
        ({"hash_on": "query_arg", "hash_on_query_arg": "q"}, Request(query=b"%71=x%20+y"), b"x  y"),
        ({"hash_on": "query_arg", "hash_on_query_arg": "q"}, Request(query=b"qq=1"), None),
        ({"hash_on": "query_arg", "hash_on_query_arg": "q"}, Request(), None),
        (
            {"hash_on": "uri_capture", "hash_on_uri_capture": "id"},
            Request(captures=((b"7",), {"id": b"7"})),
            b"7",
        ),
        (
            {"hash_on": "uri_capture", "hash_on_uri_capture": "2"},
            Request(captures=((b"7", b"8"), {})),
            b"8",
        ),
        ({"hash_on": "uri_capture", "hash_on_uri_capture": "id"}, Request(), None),
        (
            {"hash_on": "cookie", "hash_on_cookie": "sid"},
            Request(headers=[(b"cookie", b"a=1; sid=xyz; b")]),
            b"xyz",
        ),
    ],
)
def test_each_kind_of_value(fields, request_, value):
    assert _value(request_, **fields) == value


@pytest.mark.parametrize(
    ("fallback", "value"),
    [
        ({"hash_fallback": "ip"}, b"192.0.2.1"),
        ({"hash_fallback": "path"}, b"/p"),
        ({"hash_fallback": "consumer"}, b"c1"),
        ({"hash_fallback": "header", "hash_fallback_header": "Y"}, b"yy"),
        ({"hash_fallback": "query_arg", "hash_fallback_query_arg": "f"}, b"ff"),
        ({"hash_fallback": "uri_capture", "hash_fallback_uri_capture": "c"}, b"cc"),
        ({"hash_fallback": "cookie", "hash_on_cookie": "sid"}, b"new-id"),
        ({"hash_fallback": "none"}, None),
    ],
)
def test_the_fallback_has_its_own_fields(fallback, value):
    request = Request(
        path=b"/p", query=b"f=ff", headers=[(b"y", b"yy")], consumer_id="c1",
        captures=((), {"c": b"cc"}),
    )  # fmt: skip

    assert _value(request, hash_on="header", hash_on_header="X", **fallback) == value


def test_the_fallback_is_used_only_when_needed():
    request = Request(headers=[(b"x", b"v")])
    fields = {"hash_on_header": "X", "hash_fallback": "cookie", "hash_on_cookie": "sid"}

    assert _value(request, hash_on="header", **fields) == b"v"
    assert request.hash_cookie is None


def test_a_missing_cookie_is_made_once_and_handed_back():
    made = iter(["one", "two"])
    extract = compile_hash(
        upstream_of(hash_on="cookie", hash_on_cookie="sid", hash_on_cookie_path="/x"),
        lambda: next(made),
    )
    request = Request(headers=[(b"cookie", b"other=1")])

    assert [extract(request), extract(request)] == [b"one", b"one"]
    assert request.hash_cookie == HashCookie(b"sid", b"one", b"/x")
    assert request.hash_cookie.header == b"sid=one; Path=/x; Same-Site=Lax; HttpOnly"


def test_an_upstream_without_hashing_has_no_extractor():
    assert compile_hash(upstream_of(), lambda: "") is None


def test_an_unknown_kind_is_refused():
    with pytest.raises(ValueError, match="hash_on must not be 'moon'"):
        compile_hash(upstream_of(hash_on="moon"), lambda: "")
