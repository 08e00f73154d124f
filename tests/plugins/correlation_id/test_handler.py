"""correlation-id."""

from __future__ import annotations

import os
import re
from typing import Any

import pytest

from kongtx.plugins.correlation_id.handler import CorrelationID
from kongtx.testing.plugins import PluginRunner
from kongtx.testing.request import FakeConnection, FakeRequest

UUID = "[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"


def run(request: FakeRequest, plugin: CorrelationID | None = None, **config: Any) -> FakeRequest:
    runner = PluginRunner(plugin or CorrelationID(lambda: 1.5), config)
    runner.access(request)
    runner.run("header_filter", request)
    return request


def test_requests_are_counted() -> None:
    plugin = CorrelationID()
    texts = [
        run(FakeRequest(), plugin).get_header(b"Kong-Request-ID".lower()).decode() for _ in range(2)
    ]
    first, second = (re.fullmatch(rf"({UUID})#(\d+)", text).groups() for text in texts)
    assert first[0] == second[0]
    assert (first[1], second[1]) == ("1", "2")


def test_each_may_have_a_uuid() -> None:
    one, other = (run(FakeRequest(), generator="uuid", header_name="X-Id") for _ in range(2))
    assert re.fullmatch(UUID, one.get_header(b"x-id").decode())
    assert one.get_header(b"x-id") != other.get_header(b"x-id")


def test_it_may_tell_where_the_request_came_in() -> None:
    request = FakeRequest(connection=FakeConnection(local=("10.0.0.1", 80), serial=7, requests=3))
    run(request, generator="tracker")
    expected = f"10.0.0.1-80-{os.getpid()}-7-3-1.500"
    assert request.get_header(b"kong-request-id") == expected.encode()


def test_one_that_is_there_is_kept_unless_it_is_empty() -> None:
    request = run(FakeRequest(headers=[(b"kong-request-id", b"mine")]))
    assert request.get_headers(b"kong-request-id") == [b"mine"]
    request = run(FakeRequest(headers=[(b"kong-request-id", b"")]), generator="tracker")
    (made,) = request.get_headers(b"kong-request-id")
    assert made.endswith(b"-1.500")


def test_the_client_is_told_if_so_configured() -> None:
    assert run(FakeRequest()).response_headers == []
    request = FakeRequest(response_headers=[(b"x-id", b"of the upstream"), (b"Y", b"1")])
    run(request, header_name="X-Id", echo_downstream=True)
    assert request.response_headers == [(b"Y", b"1"), (b"X-Id", request.get_header(b"x-id"))]


@pytest.mark.parametrize(
    ("brought", "expected"), [([(b"kong-request-id", b"a")], b"a"), ([], None)]
)
def test_the_client_is_told_where_access_did_not_run(brought: Any, expected: bytes | None) -> None:
    request = FakeRequest(headers=brought)
    runner = PluginRunner(CorrelationID(lambda: 1.5), {"echo_downstream": True})
    runner.run("header_filter", request)
    ((name, value),) = request.response_headers
    assert name == b"Kong-Request-ID"
    assert value == expected or (expected is None and value.endswith(b"#1"))


def test_the_log_has_it() -> None:
    request = FakeRequest(headers=[(b"kong-request-id", b"mine")])
    run(request)
    request.phase = "log"
    assert request.pdk.log.serialize()["correlation_id"] == "mine"
