"""What plugins see of a request, and what they can do to it."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from twisted.internet.defer import Deferred, ensureDeferred
from zope.interface.verify import verifyObject

from kongtx.pdk.errors import ArgumentError, BodyError, PDKError, PhaseError
from kongtx.pdk.kong import Kong, kong_of
from kongtx.pdk.node import Node
from kongtx.proxy.interfaces import IClientConnection, IRequestContext, ShortCircuit
from kongtx.testing.node import make_node
from kongtx.testing.request import Answer, FakeConnection, FakeRequest

BOB = {"id": "9f2b0c7e-3b7c-4b8e-8a59-2f9a4b1f0c11", "username": "bob", "custom_id": None}


def kong(node: Node | None = None, **attributes: Any) -> Kong:
    return kong_of(FakeRequest(**attributes), node or make_node())


def awaited(coroutine: Any) -> Any:
    results: list[Any] = []
    ensureDeferred(coroutine).addBoth(results.append)
    if hasattr(results[0], "raiseException"):
        results[0].raiseException()
    return results[0]


def test_the_fake_request_is_what_the_gateway_shows() -> None:
    assert verifyObject(IRequestContext, FakeRequest())
    assert verifyObject(IClientConnection, FakeConnection())


def test_a_request_has_one_kong() -> None:
    request, node = FakeRequest(), make_node()
    assert kong_of(request, node) is kong_of(request, node)


FORWARDED = [
    (b"x-forwarded-proto", b"HTTPS"),
    (b"x-forwarded-host", b"user@Shop.example:8443"),
    (b"x-forwarded-path", b"/outer"),
    (b"x-forwarded-prefix", b"/pre"),
]


class TestRequest:
    def test_line_and_host(self) -> None:
        request = kong(
            method=b"POST", target=b"/a/b?x=1&y", host=b"api.example.com", http_version=b"2"
        ).request
        assert request.get_method() == "POST"
        assert request.get_scheme() == "http"
        assert request.get_host() == "api.example.com"
        assert request.get_port() == 8000
        assert request.get_path() == request.get_raw_path() == "/a/b"
        assert request.get_path_with_query() == "/a/b?x=1&y"
        assert request.get_raw_query() == "x=1&y"
        assert request.get_http_version() == 2.0
        assert request.get_start_time() == 1_700_000_000_000

    def test_query(self) -> None:
        request = kong(target=b"/?a=1&a=2&b&c=").request
        assert request.get_query() == {"a": ["1", "2"], "b": True, "c": ""}
        assert request.get_query_arg("a") == "1"
        assert request.get_query_arg("b") is True
        assert request.get_query_arg("z") is None
        assert request.get_query(1) == {"a": "1"}

    @pytest.mark.parametrize("limit", [0, 1001])
    def test_limits_go_from_1_to_1000(self, limit: int) -> None:
        with pytest.raises(ArgumentError, match="from 1 to 1000"):
            kong().request.get_query(limit)
        with pytest.raises(ArgumentError, match="from 1 to 1000"):
            kong().request.get_headers(limit)

    def test_headers_in_any_case_with_underscores(self) -> None:
        request = kong(headers=[(b"x-a", b"1"), (b"x-a", b"2")]).request
        assert request.get_header("X_A") == "1"
        assert request.get_header("x-b") is None
        assert request.get_headers() == {"x-a": ["1", "2"]}

    def test_forwarded_headers_of_a_trusted_peer(self) -> None:
        request = kong(headers=list(FORWARDED), trusted=True).request
        assert request.get_forwarded_scheme() == "https"
        assert request.get_forwarded_host() == "shop.example"
        assert request.get_forwarded_port() == 8443
        assert request.get_forwarded_path() == "/outer"
        assert request.get_forwarded_prefix() == "/pre"

    def test_forwarded_port_is_preferred_if_it_is_a_port(self) -> None:
        for text, port in ((b"444", 444), (b"0", 8443), (b"70000", 8443), (b"x", 8443)):
            headers = [*FORWARDED, (b"x-forwarded-port", text)]
            assert kong(headers=headers, trusted=True).request.get_forwarded_port() == port

    def test_forwarded_headers_of_anyone_else_are_not_believed(self) -> None:
        match = SimpleNamespace(prefix=b"/route")
        request = kong(
            headers=list(FORWARDED), target=b"/in?x", host=b"own.example", match=match
        ).request
        assert request.get_forwarded_scheme() == "http"
        assert request.get_forwarded_host() == "own.example"
        assert request.get_forwarded_port() == 8000
        assert request.get_forwarded_path() == "/in"
        assert request.get_forwarded_prefix() == "/route"

    def test_port_maps_tell_the_port_that_clients_see(self) -> None:
        node = make_node(configuration={"host_ports": {8000: 80}})
        assert kong(node).request.get_forwarded_port() == 80

    def test_bodies(self) -> None:
        form = [(b"content-type", b"application/x-www-form-urlencoded")]
        request = kong(body=b"a=1&a=2", headers=form).request
        assert request.get_raw_body() == b"a=1&a=2"
        assert awaited(request.get_body()) == {"a": ["1", "2"]}
        assert awaited(request.get_body("application/x-www-form-urlencoded", 1)) == {"a": "1"}
        with pytest.raises(BodyError, match="invalid json body"):
            awaited(request.get_body("application/json"))

    def test_a_body_that_is_still_coming_is_waited_for(self) -> None:
        coming: Deferred[bytes] = Deferred()
        results: list[Any] = []
        request = kong(body=coming).request
        ensureDeferred(request.get_body("application/json")).addBoth(results.append)
        assert results == []
        coming.callback(b'{"a":1}')
        assert results == [{"a": 1}]

    def test_captures(self) -> None:
        request = kong(captures=((b"a", b"b"), {"name": b"b"})).request
        assert request.get_uri_captures() == (["a", "b"], {"name": "b"})


class TestClient:
    def test_addresses(self) -> None:
        client = kong(client_ip="10.1.1.1", client_port=99).client
        assert (client.get_ip(), client.get_port()) == ("127.0.0.1", 50000)
        assert (client.get_forwarded_ip(), client.get_forwarded_port()) == ("10.1.1.1", 99)

    def test_authentication_is_seen_by_later_plugins(self) -> None:
        one = kong()
        assert one.client.get_consumer() is one.client.get_credential() is None
        one.client.authenticate(BOB, {"id": "c"})
        assert one.client.get_consumer() == BOB
        assert one.client.get_credential() == {"id": "c"}

    def test_nobody_is_not_authenticated(self) -> None:
        with pytest.raises(ArgumentError, match="either credential or consumer must be provided"):
            kong().client.authenticate(None, None)

    def test_consumers_are_loaded_through_the_cache(self) -> None:
        node = make_node({"consumers": [BOB]})
        client = kong(node).client
        assert awaited(client.load_consumer(BOB["id"])) == BOB
        assert awaited(client.load_consumer("bob", by_username=True)) == BOB
        assert awaited(client.load_consumer("eve", by_username=True)) is None
        node.store["consumers"].rows.clear()
        assert awaited(client.load_consumer(BOB["id"])) == BOB

    def test_a_username_must_be_allowed(self) -> None:
        with pytest.raises(ArgumentError, match="must be a UUID, or by_username=True"):
            awaited(kong().client.load_consumer("bob"))

    @pytest.mark.parametrize(
        ("protocols", "scheme", "forwarded", "protocol"),
        [
            (["http", "https"], b"http", b"", "http"),
            (["http", "https"], b"https", b"", "https"),
            (["grpc"], b"http", b"", "grpc"),
            (["grpc", "grpcs"], b"https", b"", "grpcs"),
            (["http"], b"http", b"https", "https"),
        ],
    )
    def test_protocol(
        self, protocols: list[str], scheme: bytes, forwarded: bytes, protocol: str
    ) -> None:
        client = kong(
            route={"protocols": protocols},
            scheme=scheme,
            trusted=True,
            headers=[(b"x-forwarded-proto", forwarded)],
        ).client
        assert client.get_protocol(allow_terminated=True) == protocol
        assert client.get_protocol() == ("http" if forwarded else protocol)


class TestServiceRequest:
    def test_headers(self) -> None:
        one = kong(headers=[(b"x-a", b"1"), (b"x-b", b"2")])
        request = one.service.request
        request.set_header("X-A", ["3", 4])
        request.add_header("X-C", True)
        request.clear_header("x_b".replace("_", "-"))
        request.set_headers({"X-D": "d", "Host": "other.example"})
        assert one.raw.headers == [
            (b"X-A", b"3"), (b"X-A", b"4"), (b"X-C", b"true"), (b"X-D", b"d"),
        ]  # fmt: skip
        assert one.raw.upstream_host == b"other.example"

    def test_line(self) -> None:
        one = kong(target=b"/?a=1&b=%32&a&c=3")
        request = one.service.request
        request.set_scheme("https")
        request.set_path("/x%20y")
        request.set_method("PATCH")
        request.clear_query_arg("a")
        raw = one.raw
        assert (raw.upstream_scheme, raw.upstream_path, raw.method) == (
            b"https", b"/x%20y", b"PATCH",
        )  # fmt: skip
        assert raw.query == b"b=%32&c=3"
        request.set_query({"b": ["1", True], "a": 0})
        assert raw.query == b"a=0&b=1&b"
        request.set_raw_query("z=%20")
        assert one.request.get_query() == {"z": " "}

    @pytest.mark.parametrize(
        "call",
        [
            lambda r: r.set_scheme("ftp"),
            lambda r: r.set_path("x"),
            lambda r: r.set_path("/a b"),
            lambda r: r.set_path("/a?b"),
            lambda r: r.set_raw_query("a b"),
            lambda r: r.set_method("BREW"),
            lambda r: r.set_header("X", "a\r\nb"),
            lambda r: r.set_header("X Y", "a"),
        ],
    )
    def test_what_would_break_the_request_is_refused(self, call: Callable[[Any], Any]) -> None:
        with pytest.raises(ArgumentError):
            call(kong().service.request)

    def test_bodies(self) -> None:
        one = kong(headers=[(b"content-type", b"application/json")])
        one.service.request.set_body({"a": 1})
        assert one.raw.upstream_body == b'{"a":1}'
        one.service.request.set_body({"a": 1}, "application/x-www-form-urlencoded")
        assert one.raw.upstream_body == b"a=1"
        assert one.request.get_header("content-type") == "application/x-www-form-urlencoded"
        one.service.request.set_raw_body("ü")
        assert one.raw.upstream_body == "ü".encode()
        with pytest.raises(PDKError, match="content type was neither"):
            kong().service.request.set_body({})


class TestService:
    def test_where_it_goes(self) -> None:
        node = make_node(has_upstream=lambda name: name == "pool")
        one = kong(node, service={"port": 81})
        one.service.set_upstream("pool")
        assert one.raw.upstream_target == ("pool", 81)
        one.service.set_target("10.0.0.1", 8080)
        assert one.raw.upstream_target == ("10.0.0.1", 8080)
        one.service.set_retries(3)
        one.service.set_timeouts(1, 2, 3)
        one.service.set_tls_verify(True)
        one.service.set_tls_verify_depth(2)
        assert (one.raw.retries, one.raw.timeouts_ms) == (3, (1, 2, 3))
        assert one.raw.upstream_tls == {"tls_verify": True, "tls_verify_depth": 2}

    def test_an_unknown_upstream_is_an_error(self) -> None:
        with pytest.raises(PDKError, match="could not find an Upstream named 'x'"):
            kong().service.set_upstream("x")

    @pytest.mark.parametrize(
        "call",
        [
            lambda s: s.set_target("", 1),
            lambda s: s.set_target("h", 65536),
            lambda s: s.set_retries(-1),
            lambda s: s.set_timeouts(0, 1, 1),
            lambda s: s.set_timeouts(1, 1, 2**31),
            lambda s: s.set_tls_verify_depth(65),
        ],
    )
    def test_values_out_of_range_are_refused(self, call: Callable[[Any], Any]) -> None:
        with pytest.raises(ArgumentError):
            call(kong().service)

    def test_what_came_back(self) -> None:
        one = kong(
            phase="header_filter",
            upstream_status=201,
            upstream_headers=[(b"X-U", b"1"), (b"Content-Type", b"application/json")],
            response_headers=[(b"X-G", b"2")],
            upstream_response_body=b'{"a":1}',
        )
        response = one.service.response
        assert response.get_status() == 201
        assert response.get_header("x-u") == "1"
        assert response.get_header("x-g") is None
        assert response.get_headers() == {"x-u": "1", "content-type": "application/json"}
        assert response.get_raw_body() == b'{"a":1}'
        assert response.get_body() == {"a": 1}

    def test_the_body_needs_buffering(self) -> None:
        one = kong(phase="header_filter")
        with pytest.raises(PDKError, match="only available with buffered proxying"):
            one.service.response.get_raw_body()
        one.raw.phase = "access"
        one.service.request.enable_buffering()
        assert one.raw.buffered


class TestResponse:
    def test_headers_and_status(self) -> None:
        one = kong(phase="header_filter", status=200, response_headers=[(b"X-A", b"1")])
        response = one.response
        response.set_status(202)
        response.set_header("x-a", "2")
        response.add_header("X-B", ["3", "4"])
        assert response.get_status() == 202
        assert response.get_header("X_A") == "2"
        assert response.get_headers() == {"x-a": "2", "x-b": ["3", "4"]}
        response.clear_header("X-B")
        response.set_headers({"X-C": 5})
        assert one.raw.response_headers == [(b"x-a", b"2"), (b"X-C", b"5")]
        assert response.get_source() == "service"

    def test_after_they_were_sent_they_do_not_change(self) -> None:
        one = kong(phase="header_filter", headers_sent=True)
        with pytest.raises(PDKError, match="headers have already been sent"):
            one.response.set_header("X", "1")
        with pytest.raises(PDKError, match="headers have already been sent"):
            one.response.set_status(200)

    @pytest.mark.parametrize("status", [99, 600])
    def test_a_status_is_one(self, status: int) -> None:
        with pytest.raises(ArgumentError, match="must be from 100 to 599"):
            kong(phase="header_filter").response.set_status(status)
        with pytest.raises(ArgumentError, match="must be from 100 to 599"):
            kong().response.exit(status)

    @pytest.mark.parametrize(
        ("body", "raw", "headers"),
        [
            (None, b"", []),
            ("text", b"text", []),
            (
                {"message": "no"},
                b'{"message":"no"}',
                [(b"Content-Type", b"application/json; charset=utf-8")],
            ),
            ([], b"[]", [(b"Content-Type", b"application/json; charset=utf-8")]),
        ],
    )
    def test_exit(self, body: Any, raw: bytes, headers: list[tuple[bytes, bytes]]) -> None:
        one = kong()
        with pytest.raises(ShortCircuit):
            one.response.exit(403, body, {"X-A": ["1", "2"]})
        sent = [(b"X-A", b"1"), (b"X-A", b"2"), *headers]
        assert one.raw.answer == Answer(403, raw, sent)

    def test_error(self) -> None:
        one = kong()
        with pytest.raises(ShortCircuit):
            one.response.error(401, "Unauthorized", {"WWW-Authenticate": "Key"})
        assert one.raw.answer == Answer(401, b"", [(b"WWW-Authenticate", b"Key")], "Unauthorized")
        with pytest.raises(ArgumentError, match="must be from 400 to 599"):
            one.response.error(200)

    def test_a_body_is_gathered_and_replaced(self) -> None:
        one = kong(phase="body_filter", chunk=b"ab")
        assert one.response.get_raw_body() is None
        assert one.raw.chunk == b""
        one.raw.chunk, one.raw.chunk_is_last = b"cd", True
        assert one.response.get_raw_body() == b"abcd"
        assert one.raw.chunk == b"abcd"
        one.response.set_raw_body("other")
        assert (one.raw.chunk, one.raw.chunk_is_last) == (b"other", True)


class TestTheRest:
    def test_router(self) -> None:
        one = kong(route={"id": "r"}, service={"id": "s"})
        assert (one.router.get_route(), one.router.get_service()) == ({"id": "r"}, {"id": "s"})

    def test_context_is_shared_or_the_plugins_own(self) -> None:
        one = kong()
        one.row = {"name": "a", "id": "id-a"}
        one.ctx.shared["x"] = 1
        one.ctx.plugin["y"] = 2
        assert one.plugin.get_id() == "id-a"
        one.row = {"name": "b", "id": "id-b"}
        assert one.ctx.shared == {"x": 1}
        assert one.ctx.plugin == {}

    def test_node(self) -> None:
        node = make_node({"consumers": []})
        one = kong(node)
        assert one.cache is node.cache
        assert one.db is node.store
        assert one.configuration is node.configuration


WRONG_PHASES: list[tuple[str, str, Callable[[Kong], Any]]] = [
    ("init_worker", "request.get_method", lambda k: k.request.get_method()),
    ("log", "request.get_raw_body", lambda k: k.request.get_raw_body()),
    ("rewrite", "client.get_consumer", lambda k: k.client.get_consumer()),
    ("log", "client.authenticate", lambda k: k.client.authenticate(BOB, None)),
    ("header_filter", "service.set_target", lambda k: k.service.set_target("h", 1)),
    ("rewrite", "service.set_retries", lambda k: k.service.set_retries(1)),
    ("balancer", "service.request.set_method", lambda k: k.service.request.set_method("GET")),
    ("access", "service.response.get_status", lambda k: k.service.response.get_status()),
    ("access", "response.get_status", lambda k: k.response.get_status()),
    ("body_filter", "response.set_status", lambda k: k.response.set_status(200)),
    ("log", "response.exit", lambda k: k.response.exit(200)),
    ("header_filter", "response.get_raw_body", lambda k: k.response.get_raw_body()),
    ("rewrite", "router.get_route", lambda k: k.router.get_route()),
    ("access", "log.serialize", lambda k: k.log.serialize()),
]


@pytest.mark.parametrize(
    ("phase", "function", "call"), WRONG_PHASES, ids=[w[1] for w in WRONG_PHASES]
)
def test_a_function_is_refused_where_it_makes_no_sense(
    phase: str, function: str, call: Callable[[Kong], Any]
) -> None:
    with pytest.raises(
        PhaseError, match=rf"^kong\.{function} cannot be called in the {phase} phase"
    ):
        call(kong(phase=phase))
