"""rate-limiting by the counters of a node."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from kongtx.cache.shared import SharedMemory
from kongtx.pdk.node import Node
from kongtx.plugins.rate_limiting.handler import RateLimiting
from kongtx.plugins.rate_limiting.local import LocalPolicy
from kongtx.testing.node import make_node
from kongtx.testing.plugins import PluginRunner
from kongtx.testing.request import FakeRequest
from tests.plugins.consumers import BOB, GUEST

START = 1_700_000_040 - 1_700_000_040 % 60  # the start of a minute


@attrs.define
class Time:
    """A clock that a test sets."""

    now: float = START

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    memory = SharedMemory(tmp_path / "shared", 1024 * 1024)
    yield make_node(memory=memory)
    memory.close()


def runner(node: Node, time: Time | None = None, **config: Any) -> PluginRunner:
    scope = config.pop("scope", {})
    return PluginRunner(RateLimiting(time or Time()), config, node, scope)


def headers(request: FakeRequest) -> dict[str, str]:
    return {name.decode(): value.decode() for name, value in request.response_headers}


def test_requests_pass_until_the_limit_and_again_in_the_next_window(node: Node) -> None:
    time = Time()
    one = runner(node, time, minute=2)
    assert [one.access(FakeRequest()) for _ in range(2)] == [None, None]
    answer = one.access(FakeRequest())
    assert (answer.status, answer.message) == (429, "API rate limit exceeded")
    time.now += 60
    assert one.access(FakeRequest()) is None


def test_clients_are_told_where_they_stand(node: Node) -> None:
    time = Time(START + 15.5)
    one = runner(node, time, minute=2, hour=10)
    request = FakeRequest()
    one.access(request)
    reset = str(3600 - int(time.now) % 3600)
    assert headers(request) == {
        "X-RateLimit-Limit-Minute": "2",
        "X-RateLimit-Limit-Hour": "10",
        "X-RateLimit-Remaining-Minute": "1",
        "X-RateLimit-Remaining-Hour": "9",
        "RateLimit-Limit": "2",
        "RateLimit-Remaining": "1",
        "RateLimit-Reset": "45",
    }
    assert int(reset) > 45
    one.access(FakeRequest())
    refused = FakeRequest()
    answer = one.access(refused)
    assert answer.headers == [(b"Retry-After", b"45")]
    assert headers(refused) == {
        "X-RateLimit-Limit-Minute": "2",
        "X-RateLimit-Limit-Hour": "10",
        "X-RateLimit-Remaining-Minute": "0",
        "X-RateLimit-Remaining-Hour": "8",
        "RateLimit-Limit": "2",
        "RateLimit-Remaining": "0",
        "RateLimit-Reset": "45",
    }


def test_of_equal_rests_that_of_the_longer_window_is_told(node: Node) -> None:
    request = FakeRequest()
    runner(node, minute=2, hour=2).access(request)
    assert headers(request)["RateLimit-Reset"] == str(3600 - START % 3600)


def test_headers_are_hidden_if_so_configured(node: Node) -> None:
    one = runner(node, minute=1, hide_client_headers=True, error_code=403, error_message="enough")
    one.access(FakeRequest())
    request = FakeRequest()
    answer = one.access(request)
    assert (answer.status, answer.message, answer.headers) == (403, "enough", [])
    assert request.response_headers == []


def test_refused_requests_are_not_counted(node: Node) -> None:
    one = runner(node, second=1, minute=2)
    for _ in range(5):
        one.access(FakeRequest())
    time = Time(START + 1)
    assert runner(node, time, second=1, minute=2).access(FakeRequest()) is None


def who(**attributes: Any) -> FakeRequest:
    return FakeRequest(**attributes)


@pytest.mark.parametrize(
    ("config", "one", "same", "other"),
    [
        (
            {"limit_by": "ip"},
            {"client_ip": "1.1.1.1", "consumer": BOB},
            {"client_ip": "1.1.1.1"},
            {"client_ip": "2.2.2.2"},
        ),
        (
            {},
            {"consumer": BOB, "client_ip": "1.1.1.1"},
            {"consumer": BOB, "client_ip": "2.2.2.2"},
            {"consumer": GUEST, "client_ip": "1.1.1.1"},
        ),
        ({}, {"credential": {"id": "c"}}, {"credential": {"id": "c"}}, {}),
        (
            {"limit_by": "credential"},
            {"credential": {"id": "c"}, "consumer": BOB},
            {"credential": {"id": "c"}},
            {"credential": {"id": "d"}},
        ),
        (
            {"limit_by": "service"},
            {"service": {"id": "s"}, "client_ip": "1.1.1.1"},
            {"service": {"id": "s"}, "client_ip": "2.2.2.2"},
            {"service": {"id": "t"}},
        ),
        (
            {"limit_by": "header", "header_name": "X-Who"},
            {"headers": [(b"x-who", b"a")]},
            {"headers": [(b"x-who", b"a")], "client_ip": "9.9.9.9"},
            {"headers": [(b"x-who", b"b")]},
        ),
        (
            {"limit_by": "path", "path": "/a"},
            {"target": b"/a", "client_ip": "1.1.1.1"},
            {"target": b"/a?x", "client_ip": "2.2.2.2"},
            {"target": b"/ab"},
        ),
    ],
)
def test_whose_requests_are_counted_together(
    node: Node,
    config: dict[str, Any],
    one: dict[str, Any],
    same: dict[str, Any],
    other: dict[str, Any],
) -> None:
    limiter = runner(node, minute=1, **config)
    assert limiter.access(who(**one)) is None
    assert limiter.access(who(**same)).status == 429
    assert limiter.access(who(**other)) is None


def test_each_scope_counts_for_itself(node: Node) -> None:
    route, service = BOB["id"], GUEST["id"]
    limiters = [
        runner(node, minute=1, scope=scope)
        for scope in ({}, {"route": route}, {"service": service}, {"route": service})
    ]
    assert [each.access(FakeRequest()) for each in limiters] == [None] * 4
    assert [each.access(FakeRequest()).status for each in limiters] == [429] * 4


def test_an_entity_that_moves_to_another_scope_counts_there(node: Node) -> None:
    limiter = runner(node, minute=1)
    assert limiter.access(FakeRequest()) is None
    limiter.bound.row["route"] = {"id": BOB["id"]}
    limiter.plugin.configure([])
    assert limiter.access(FakeRequest()) is None
    assert limiter.access(FakeRequest()).status == 429


class Broken:
    """A policy whose store is away."""

    def take(self, *args: Any) -> Any:
        raise ConnectionError("store is away")


def test_a_fault_lets_requests_pass_or_stops_them(node: Node) -> None:
    node.shared[LocalPolicy] = Broken()
    request = FakeRequest()
    assert runner(node, minute=1).access(request) is None
    assert request.response_headers == []
    with pytest.raises(ConnectionError):
        runner(node, minute=1, fault_tolerant=False).access(FakeRequest())
