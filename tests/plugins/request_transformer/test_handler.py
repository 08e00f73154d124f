"""request-transformer."""

from __future__ import annotations

from typing import Any

import pytest

from kongtx.pdk.errors import ArgumentError
from kongtx.plugins.request_transformer.handler import RequestTransformer, split
from kongtx.plugins.request_transformer.template import TemplateError
from kongtx.schema.errors import SchemaViolation
from kongtx.testing.node import make_node
from kongtx.testing.plugins import PluginRunner
from kongtx.testing.request import FakeRequest

FORM = (b"content-type", b"application/x-www-form-urlencoded")


def run(request: FakeRequest, **config: Any) -> FakeRequest:
    assert PluginRunner(RequestTransformer(), config).access(request) is None
    return request


def test_pairs_are_split_at_the_first_colon() -> None:
    assert split("a:b:c") == ("a", "b:c")
    assert split("a:::b") == ("a", "b")
    assert split("a") == ("a", "")


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({}, [(b"x-a", b"1"), (b"x-b", b"2"), (b"x-b", b"3")]),
        ({"remove": {"headers": ["X-B", "none", "host"]}}, [(b"x-a", b"1")]),
        (
            {"rename": {"headers": ["x-b:X-C", "none:x-d"]}},
            [(b"x-a", b"1"), (b"X-C", b"2"), (b"X-C", b"3")],
        ),
        ({"rename": {"headers": ["x-a:X-A"]}}, [(b"x-b", b"2"), (b"x-b", b"3"), (b"X-A", b"1")]),
        ({"rename": {"headers": ["x-a:x-b"]}}, [(b"x-b", b"1")]),
        (
            {"replace": {"headers": ["x-b:9", "none:1"]}},
            [(b"x-a", b"1"), (b"x-b", b"9")],
        ),
        (
            {"add": {"headers": ["x-a:9", "x-n:1", "host:evil"]}},
            [(b"x-a", b"1"), (b"x-b", b"2"), (b"x-b", b"3"), (b"x-n", b"1")],
        ),
        (
            {"append": {"headers": ["x-a:9", "x-n:1", "host:evil"]}},
            [(b"x-a", b"1"), (b"x-b", b"2"), (b"x-b", b"3"), (b"x-a", b"9"), (b"x-n", b"1")],
        ),
        (
            {
                "remove": {"headers": ["x-b"]},
                "rename": {"headers": ["x-a:x-b"]},
                "replace": {"headers": ["x-b:r"]},
                "add": {"headers": ["x-a:a"]},
                "append": {"headers": ["x-b:z"]},
            },
            [(b"x-b", b"r"), (b"x-a", b"a"), (b"x-b", b"z")],
        ),
        ({"add": {"headers": ["x-n:"]}}, [(b"x-a", b"1"), (b"x-b", b"2"), (b"x-b", b"3")]),
    ],
)
def test_headers_are_changed(config: dict[str, Any], expected: list[tuple[bytes, bytes]]) -> None:
    request = FakeRequest(headers=[(b"x-a", b"1"), (b"x-b", b"2"), (b"x-b", b"3")])
    assert run(request, **config).headers == expected


def test_the_host_can_only_be_replaced() -> None:
    request = run(FakeRequest(), replace={"headers": ["Host:other.test"]})
    assert request.upstream_host == b"other.test"
    request = run(FakeRequest(headers=[(b"host", b"a")]), remove={"headers": ["Host"]})
    assert request.get_header(b"host") == b"a"
    assert run(FakeRequest(), add={"headers": ["Host:x"]}).upstream_host == b""


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"remove": {"querystring": ["a"]}}, b"b=2&b=3&c"),
        ({"rename": {"querystring": ["a:z"]}}, b"b=2&b=3&c&z=1"),
        ({"replace": {"querystring": ["b:x y", "n:1"]}}, b"a=1&b=x%20y&c"),
        ({"add": {"querystring": ["a:x", "n:1"]}}, b"a=1&b=2&b=3&c&n=1"),
        ({"append": {"querystring": ["a:x", "n:1"]}}, b"a=1&a=x&b=2&b=3&c&n=1"),
        ({}, b"b=2&a=1&b=3&c"),
    ],
)
def test_the_query_is_changed(config: dict[str, Any], expected: bytes) -> None:
    assert run(FakeRequest(target=b"/?b=2&a=1&b=3&c"), **config).query == expected


def test_the_body_is_changed_by_its_type() -> None:
    request = FakeRequest(b"POST", headers=[FORM], body=b"a=1")
    assert run(request, add={"body": ["b:2"]}).upstream_body == b"a=1&b=2"
    request = FakeRequest(b"POST", headers=[(b"content-type", b"text/x")], body=b"a=1")
    assert run(request, add={"body": ["b:2"]}).upstream_body is None


def test_what_another_plugin_left_of_the_body_is_changed() -> None:
    request = FakeRequest(b"POST", headers=[FORM], body=b"a=1&key=secret", upstream_body=b"a=1")
    assert run(request, add={"body": ["b:2"]}).upstream_body == b"a=1&b=2"


def test_a_header_may_say_what_the_body_is() -> None:
    config = {"add": {"headers": ["Content-Type:application/json"], "body": ["b:2"]}}
    assert run(FakeRequest(b"POST"), **config).upstream_body == b'{"b":"2"}'


def test_the_method_is_changed() -> None:
    assert run(FakeRequest(), http_method="POST").method == b"POST"
    with pytest.raises(ArgumentError):
        run(FakeRequest(), http_method="BREW")


@pytest.mark.parametrize(
    ("method", "query"),
    [("GET", b"a=1&a=3&a=4&b=2&n=5"), ("POST", b"a=1&b=2")],
)
def test_a_form_moves_into_the_query_of_methods_without_body(method: str, query: bytes) -> None:
    request = FakeRequest(b"POST", b"/?a=1&b=2", headers=[FORM], body=b"a=3&a=4&n=5")
    assert run(request, http_method=method).query == query


def test_the_path_is_replaced() -> None:
    request = FakeRequest(captures=([b"a%3Fb"], {"id": b"7"}), upstream_path=b"/service/x")
    run(request, replace={"uri": "/new/$(uri_captures.id)/$(uri_captures[1])"})
    assert request.upstream_path == b"/new/7/a%3Fb"
    request = FakeRequest(target=b"/?x=a%3fb%23", upstream_path=b"/")
    run(request, replace={"uri": "/$(query_params.x)"})
    assert request.upstream_path == b"/a%3Fb%23"
    with pytest.raises(TemplateError, match="must start with /"):
        run(FakeRequest(), replace={"uri": "$(headers.none)x"})


def test_templates_see_the_request_as_it_came() -> None:
    request = FakeRequest(
        target=b"/?q=1", headers=[(b"x-a", b"one")], shared={"who": {"name": "bob"}}
    )
    run(
        request,
        remove={"headers": ["x-a"], "querystring": ["q"]},
        add={
            "headers": ["x-b:$(headers.X_A)", "x-c:$(query_params.q or 'none')"],
            "querystring": ["r:$(query_params.q)$(headers['x-a'])", "s:$(shared.who.name)"],
        },
    )
    assert request.headers == [(b"x-b", b"one"), (b"x-c", b"1")]
    assert request.query == b"r=1one&s=bob"


def test_a_value_cannot_break_a_header() -> None:
    with pytest.raises(ValueError, match="would break the message"):
        run(FakeRequest(target=b"/?q=a%0d%0ab"), add={"headers": ["x:$(query_params.q)"]})
    with pytest.raises(ArgumentError):
        run(FakeRequest(target=b"/?q=a%0d%0ab"), replace={"headers": ["host:$(query_params.q)"]})
    with pytest.raises(ArgumentError):
        run(FakeRequest(), replace={"headers": ["host:a\r\nb: c"]})


def test_a_value_that_is_not_needed_harms_nothing() -> None:
    request = FakeRequest(target=b"/?q=a%0d%0ab", headers=[(b"x", b"1")])
    assert run(request, add={"headers": ["x:$(query_params.q)"]}).headers == [(b"x", b"1")]
    assert run(request, add={"headers": ["x:a\r\nb"]}).headers == [(b"x", b"1")]


def test_templates_can_be_switched_off() -> None:
    node = make_node(configuration={"untrusted_lua": "off"})
    plain = PluginRunner(RequestTransformer(), {"add": {"headers": ["x:1"]}}, node)
    assert plain.access(FakeRequest()) is None
    runner = PluginRunner(RequestTransformer(), {"add": {"headers": ["x:$(headers.a)"]}}, node)
    with pytest.raises(TemplateError, match="untrusted_lua"):
        runner.access(FakeRequest())


@pytest.mark.parametrize(
    "config",
    [
        {"add": {"body": ["a:$(os.exit())"]}},
        {"add": {"headers": ["a:$(f())"]}},
        {"replace": {"uri": "/$(f())"}},
    ],
)
def test_a_template_that_does_not_compile_is_refused_when_it_is_written(
    config: dict[str, Any],
) -> None:
    with pytest.raises(SchemaViolation, match="is not in supported format"):
        PluginRunner(RequestTransformer(), config)
