"""response-transformer."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.logger import LogLevel, globalLogPublisher

from kongtx.plugins.response_transformer.handler import ResponseTransformer
from kongtx.testing.plugins import PluginRunner
from kongtx.testing.request import FakeRequest

JSON = (b"Content-Type", b"application/json")


def headers(before: list[tuple[bytes, bytes]], **config: Any) -> list[tuple[bytes, bytes]]:
    request = FakeRequest(response_headers=before)
    PluginRunner(ResponseTransformer(), config).run("header_filter", request)
    return request.response_headers


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({}, [(b"X-A", b"1"), (b"x-b", b"2"), (b"x-b", b"3")]),
        ({"remove": {"headers": ["x-B", "none"]}}, [(b"X-A", b"1")]),
        (
            {"rename": {"headers": ["X-B:Y", "none:Z"]}},
            [(b"X-A", b"1"), (b"Y", b"2"), (b"Y", b"3")],
        ),
        ({"rename": {"headers": ["X-B:x-a"]}}, [(b"x-a", b"2"), (b"x-a", b"3")]),
        ({"rename": {"headers": ["x-a:x-a"]}}, [(b"x-b", b"2"), (b"x-b", b"3"), (b"x-a", b"1")]),
        ({"replace": {"headers": ["x-b:9", "none:1"]}}, [(b"X-A", b"1"), (b"x-b", b"9")]),
        (
            {"add": {"headers": ["x-a:9", "Y:a:b", "z:"]}},
            [(b"X-A", b"1"), (b"x-b", b"2"), (b"x-b", b"3"), (b"Y", b"a:b")],
        ),
        (
            {"append": {"headers": ["x-a:9", "Y:1"]}},
            [(b"X-A", b"1"), (b"x-b", b"2"), (b"x-b", b"3"), (b"x-a", b"9"), (b"Y", b"1")],
        ),
    ],
)
def test_headers_are_changed(config: dict[str, Any], expected: list[tuple[bytes, bytes]]) -> None:
    assert headers([(b"X-A", b"1"), (b"x-b", b"2"), (b"x-b", b"3")], **config) == expected


def test_presence_is_judged_by_how_it_was_before() -> None:
    before = [(b"a", b"1"), (b"b", b"2")]
    assert headers(before, remove={"headers": ["a"]}, add={"headers": ["a:9"]}) == [(b"b", b"2")]
    assert headers(before, remove={"headers": ["a"]}, replace={"headers": ["a:9"]}) == [
        (b"b", b"2"),
        (b"a", b"9"),
    ]


def test_a_length_goes_with_the_body_it_told_of() -> None:
    before = [JSON, (b"content-length", b"2")]
    assert headers(before, add={"json": ["a:1"]}) == [JSON]
    assert headers(before, add={"headers": ["a:1"]}) == [*before, (b"a", b"1")]
    other = [(b"Content-Type", b"text/plain"), (b"content-length", b"2")]
    assert headers(other, add={"json": ["a:1"]}) == other


def body(*chunks: bytes, content_type: bytes = JSON[1], **config: Any) -> list[bytes]:
    """What becomes of each piece of a body."""
    runner = PluginRunner(ResponseTransformer(), config)
    request = FakeRequest(response_headers=[(b"Content-Type", content_type)])
    sent = []
    for index, chunk in enumerate(chunks):
        request.chunk, request.chunk_is_last = chunk, index == len(chunks) - 1
        runner.run("body_filter", request)
        sent.append(request.chunk)
    return sent


def test_a_body_is_changed_once_it_is_whole() -> None:
    assert body(b'{"a"', b":1", b"}", add={"json": ["b:2"]}) == [b"", b"", b'{"a":1,"b":"2"}']


def test_other_bodies_pass_piece_by_piece() -> None:
    pieces = [b'{"a"', b":1}"]
    assert body(*pieces, content_type=b"text/plain", add={"json": ["b:2"]}) == pieces
    assert body(*pieces, add={"headers": ["b:2"]}) == pieces


def test_a_body_that_is_no_json_stays_with_a_warning() -> None:
    events: list[Any] = []
    globalLogPublisher.addObserver(events.append)
    try:
        assert body(b"{", b"x", add={"json": ["b:2"]}) == [b"", b"{x"]
    finally:
        globalLogPublisher.removeObserver(events.append)
    (event,) = [each for each in events if each["log_namespace"] == "response-transformer"]
    assert event["log_level"] == LogLevel.warn


@pytest.mark.parametrize(
    ("config", "filters"),
    [({"add": {"headers": ["a:b"]}}, False), ({"add": {"json": ["a:b"]}}, True)],
)
def test_bodies_are_filtered_only_where_they_are_changed(
    config: dict[str, Any], filters: bool
) -> None:
    bound = PluginRunner(ResponseTransformer(), config).bound
    assert (bound.body_filter is not None, bound.header_filter is not None) == (filters, True)
