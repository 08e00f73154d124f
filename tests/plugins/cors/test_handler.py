"""cors."""

from __future__ import annotations

from typing import Any

import pytest

from kongtx.plugins.cors.handler import CORS
from kongtx.testing.plugins import PluginRunner
from kongtx.testing.request import Answer, FakeRequest

ALL_METHODS = b"GET,HEAD,PUT,PATCH,POST,DELETE,OPTIONS,TRACE,CONNECT"
ASKS = [(b"origin", b"http://a.test"), (b"access-control-request-method", b"GET")]


def preflight(*more: tuple[bytes, bytes], **config: Any) -> Answer | None:
    request = FakeRequest(b"OPTIONS", headers=[*ASKS, *more])
    return PluginRunner(CORS(), config).access(request)


def response(
    request: FakeRequest | None = None, before: Any = (), **config: Any
) -> list[tuple[bytes, bytes]]:
    request = request or FakeRequest(headers=ASKS[:1])
    request.response_headers = list(before)
    runner = PluginRunner(CORS(), config)
    runner.access(request)
    runner.run("header_filter", request)
    return sorted(request.response_headers)


def test_a_preflight_is_answered() -> None:
    answer = preflight()
    assert (answer.status, answer.body) == (200, b"")
    assert sorted(answer.headers) == [
        (b"Access-Control-Allow-Methods", ALL_METHODS),
        (b"Access-Control-Allow-Origin", b"*"),
    ]


def test_a_preflight_is_told_all_that_is_configured() -> None:
    answer = preflight(
        (b"access-control-request-headers", b"x-a,x-b"),
        (b"access-control-request-private-network", b"true"),
        origins=["http://a.test", "http://b.test"],
        methods=["GET", "PUT"],
        headers=["x-c", "x-d"],
        max_age=23,
        credentials=True,
        private_network=True,
    )
    assert sorted(answer.headers) == [
        (b"Access-Control-Allow-Credentials", b"true"),
        (b"Access-Control-Allow-Headers", b"x-c,x-d"),
        (b"Access-Control-Allow-Methods", b"GET,PUT"),
        (b"Access-Control-Allow-Origin", b"http://a.test"),
        (b"Access-Control-Allow-Private-Network", b"true"),
        (b"Access-Control-Max-Age", b"23"),
        (b"Vary", b"Origin"),
    ]


def test_without_configured_headers_those_asked_for_are_allowed() -> None:
    answer = preflight((b"access-control-request-headers", b"x-a, x-b"))
    assert (b"Access-Control-Allow-Headers", b"x-a, x-b") in answer.headers


def test_the_private_network_is_allowed_only_where_it_is_asked_for() -> None:
    names = [name for name, _ in preflight(private_network=True).headers]
    assert b"Access-Control-Allow-Private-Network" not in names


@pytest.mark.parametrize(
    "request_",
    [
        FakeRequest(b"GET", headers=list(ASKS)),
        FakeRequest(b"OPTIONS", headers=ASKS[:1]),
        FakeRequest(b"OPTIONS", headers=ASKS[1:]),
    ],
)
def test_what_is_no_preflight_goes_on(request_: FakeRequest) -> None:
    runner = PluginRunner(CORS())
    assert runner.access(request_) is None
    runner.run("header_filter", request_)
    assert request_.response_headers == [(b"Access-Control-Allow-Origin", b"*")]


def test_the_upstream_may_answer_preflights() -> None:
    request = FakeRequest(b"OPTIONS", headers=list(ASKS))
    runner = PluginRunner(CORS(), {"preflight_continue": True, "origins": ["http://x.test"]})
    assert runner.access(request) is None
    request.response_headers = [(b"Access-Control-Allow-Origin", b"http://its.own")]
    runner.run("header_filter", request)
    assert request.response_headers == [(b"Access-Control-Allow-Origin", b"http://its.own")]


def test_a_response_is_shared_and_the_upstreams_word_is_replaced() -> None:
    assert response(
        before=[
            (b"access-control-allow-origin", b"http://its.own"),
            (b"Vary", b"Accept"),
            (b"X", b"1"),
        ],
        origins=["http://a.test", "http://b.test"],
        exposed_headers=["x-a", "x-b"],
    ) == [
        (b"Access-Control-Allow-Origin", b"http://a.test"),
        (b"Access-Control-Expose-Headers", b"x-a,x-b"),
        (b"Vary", b"Accept"),
        (b"Vary", b"Origin"),
        (b"X", b"1"),
    ]


def test_an_origin_that_does_not_match_is_not_shared_with() -> None:
    assert response(
        before=[(b"Access-Control-Allow-Origin", b"*")],
        origins=["http://c.test", "http://b.test"],
        credentials=True,
    ) == [(b"Access-Control-Allow-Credentials", b"true"), (b"Vary", b"Origin")]


def test_credentials_and_everyone_go_together_by_the_origins_name() -> None:
    assert response(credentials=True) == [
        (b"Access-Control-Allow-Credentials", b"true"),
        (b"Access-Control-Allow-Origin", b"http://a.test"),
        (b"Vary", b"Origin"),
    ]
    assert response(FakeRequest(), credentials=True) == [(b"Access-Control-Allow-Origin", b"*")]
