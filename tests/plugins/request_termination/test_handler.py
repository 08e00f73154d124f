"""request-termination."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest

from kongtx.plugins.request_termination.handler import RequestTermination
from kongtx.testing.plugins import PluginRunner
from kongtx.testing.request import Answer, FakeRequest

JSON = [(b"Content-Type", b"application/json; charset=utf-8")]


def access(request: FakeRequest | None = None, **config: Any) -> Answer | None:
    return PluginRunner(RequestTermination(), config).access(request or FakeRequest())


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({}, Answer(503, b'{"message":"Service unavailable"}', JSON)),
        ({"status_code": 404}, Answer(404, b'{"message":"Not found"}', JSON)),
        ({"status_code": 401}, Answer(401, b'{"message":"Unauthorized"}', JSON)),
        ({"status_code": 405}, Answer(405, b'{"message":"Method not allowed"}', JSON)),
        ({"status_code": 500}, Answer(500, b'{"message":"An unexpected error occurred"}', JSON)),
        ({"status_code": 502}, Answer(502, b'{"message":"Bad Gateway"}', JSON)),
        ({"status_code": 204}, Answer(204, b"", [])),
        ({"status_code": 418}, Answer(418, b"", [])),
        ({"status_code": 418, "message": "short"}, Answer(418, b'{"message":"short"}', JSON)),
        ({"body": "<p>"}, Answer(503, b"<p>", [])),
        (
            {"body": "<p>", "content_type": "text/html"},
            Answer(503, b"<p>", [(b"Content-Type", b"text/html")]),
        ),
    ],
)
def test_what_is_answered(config: dict[str, Any], expected: Answer) -> None:
    assert access(**config) == expected


def test_a_trigger_decides() -> None:
    assert access(trigger="X-Stop") is None
    assert access(FakeRequest(headers=[(b"x-stop", b"")]), trigger="X-Stop").status == 503
    assert access(FakeRequest(target=b"/?X-Stop"), trigger="X-Stop").status == 503
    assert access(FakeRequest(target=b"/?other=1"), trigger="X-Stop") is None


def test_what_was_asked_is_told() -> None:
    request = FakeRequest(
        b"POST",
        b"/a\xff?q=1&q=2&r",
        headers=[(b"content-type", b"application/json"), (b"x", b"\xe4")],
        body=b'{"k":1}',
        captures=([b"one"], {"name": b"one"}),
        route={"id": "r", "name": None},
    )
    answer = access(request, echo=True, status_code=200)
    assert (answer.status, answer.headers) == (200, JSON)
    node = PluginRunner(RequestTermination()).node
    assert json.loads(answer.body) == {
        "kong": {"node_id": node.node_id, "worker_pid": os.getpid(), "hostname": node.hostname},
        "request": {
            "scheme": "http",
            "host": "example.com",
            "port": 8000,
            "headers": {"content-type": "application/json", "x": "\xe4"},
            "query": {"q": ["1", "2"], "r": True},
            "body": {"k": 1},
            "raw_body": '{"k":1}',
            "method": "POST",
            "path": "/a\N{REPLACEMENT CHARACTER}",
            "uri_captures": {"named": {"name": "one"}, "unnamed": ["one"]},
        },
        "matched_route": {"id": "r"},
    }


def test_a_body_that_is_no_json_is_told_raw() -> None:
    request = FakeRequest(body=b"hello")
    told = json.loads(access(request, echo=True, message="m").body)
    assert told["message"] == "m"
    assert told["request"]["raw_body"] == "hello"
    assert "body" not in told["request"]
