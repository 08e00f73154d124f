"""request-size-limiting."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred

from kongtx.plugins.request_size_limiting.handler import RequestSizeLimiting
from kongtx.proxy.interfaces import BodyTooLarge
from kongtx.testing.plugins import PluginRunner
from kongtx.testing.request import Answer, FakeRequest

TOO_LARGE = Answer(413, b"", [], "Request size limit exceeded")


def runner(limit: int = 10, unit: str = "bytes", **config: Any) -> PluginRunner:
    config = {"allowed_payload_size": limit, "size_unit": unit, **config}
    return PluginRunner(RequestSizeLimiting(), config)


def announced(length: int, *more: tuple[bytes, bytes]) -> FakeRequest:
    return FakeRequest(b"POST", headers=[(b"content-length", b"%d" % length), *more])


@pytest.mark.parametrize(
    ("unit", "factor"), [("bytes", 1), ("kilobytes", 1024), ("megabytes", 1024 * 1024)]
)
def test_the_announced_length_is_compared(unit: str, factor: int) -> None:
    assert runner(2, unit).access(announced(2 * factor)) is None
    assert runner(2, unit).access(announced(2 * factor + 1)) == TOO_LARGE


def test_who_waits_to_be_told_to_go_on_is_told_otherwise() -> None:
    answer = runner().access(announced(11, (b"expect", b"100-Continue")))
    assert (answer.status, answer.message) == (417, "Request size limit exceeded")


@pytest.mark.parametrize(("body", "answer"), [(b"x" * 10, None), (b"x" * 11, TOO_LARGE)])
def test_else_the_body_is_measured(body: bytes, answer: Answer | None) -> None:
    chunked = [(b"transfer-encoding", b"chunked")]
    assert runner().access(FakeRequest(body=body, headers=chunked)) == answer


def test_nothing_may_be_allowed() -> None:
    assert runner(0).access(FakeRequest(body=b"")) is None
    assert runner(0).access(FakeRequest(body=b"x")) == TOO_LARGE


def test_a_body_is_waited_for() -> None:
    body: Deferred[bytes] = Deferred()
    answers: list[Answer | None] = []
    runner().start("access", FakeRequest(body=body)).addCallback(answers.append)
    assert answers == []
    body.callback(b"x" * 11)
    assert answers == [TOO_LARGE]


def test_a_body_that_outgrows_the_limit_is_refused_at_once() -> None:
    body: Deferred[bytes] = Deferred()
    answers: list[Answer | None] = []
    runner().start("access", FakeRequest(body=body)).addCallback(answers.append)
    body.errback(BodyTooLarge("more than 10 bytes"))
    assert answers == [TOO_LARGE]


def test_a_length_may_be_demanded() -> None:
    one = runner(require_content_length=True)
    answer = one.access(FakeRequest(b"POST"))
    assert (answer.status, answer.message) == (411, "A valid Content-Length header is required")
    chunked = [(b"transfer-encoding", b"chunked")]
    assert one.access(FakeRequest(body=b"x" * 11, headers=chunked)) == TOO_LARGE
    assert one.access(announced(3)) is None
