"""redirect."""

from __future__ import annotations

from typing import Any

import pytest

from kongtx.plugins.redirect.handler import Redirect
from kongtx.testing.plugins import PluginRunner
from kongtx.testing.request import Answer, FakeRequest


def location(target: bytes = b"/", **config: Any) -> bytes:
    answer = PluginRunner(Redirect(), config).access(FakeRequest(target=target))
    ((name, value),) = answer.headers
    assert name == b"Location"
    return value


def test_a_client_is_sent_elsewhere() -> None:
    answer = PluginRunner(Redirect(), {"location": "https://a.test/x?y#z"}).access(FakeRequest())
    assert answer == Answer(301, b"redirecting", [(b"Location", b"https://a.test/x?y#z")])


def test_the_status_can_be_chosen() -> None:
    config = {"location": "https://a.test", "status_code": 308}
    assert PluginRunner(Redirect(), config).access(FakeRequest()).status == 308


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (b"/", b"https://a.test:1/"),
        (b"/p/q?a=1&b", b"https://a.test:1/p/q?a=1&b"),
        (b"/a b", b"https://a.test:1/a%20b"),
        (b"/\xff", b"https://a.test:1/%FF"),
    ],
)
def test_the_path_that_was_asked_for_may_be_kept(target: bytes, expected: bytes) -> None:
    config = {"location": "https://a.test:1/x?y", "keep_incoming_path": True}
    assert location(target, **config) == expected
    assert location(target, **{**config, "location": "https://a.test:1#f"}) == expected + b"#f"
