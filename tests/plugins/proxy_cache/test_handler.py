"""proxy-cache."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from kongtx.cache.shared import SharedMemory
from kongtx.pdk.node import Node
from kongtx.plugins.proxy_cache.handler import ProxyCache
from kongtx.plugins.proxy_cache.memory import VERSION, Kept, MemoryStrategy
from kongtx.testing.node import make_node
from kongtx.testing.plugins import PluginRunner
from kongtx.testing.request import Answer, FakeRequest
from tests.plugins.consumers import BOB

TEXT = (b"Content-Type", b"text/plain")


@attrs.define
class Time:
    """A clock that a test sets."""

    now: float = 1_700_000_000.5

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    memory = SharedMemory(tmp_path / "shared", 64 * 1024)
    yield make_node(memory=memory)
    memory.close()


@attrs.define
class Proxy:
    """A gateway with the plugin and an upstream that always answers the same."""

    node: Node
    config: dict[str, Any] = attrs.Factory(dict)
    time: Time = attrs.Factory(Time)
    headers: list[tuple[bytes, bytes]] = attrs.Factory(lambda: [TEXT])
    pieces: tuple[bytes, ...] = (b"hel", b"lo")
    status: int = 200

    def ask(self, request: FakeRequest | None = None) -> tuple[FakeRequest, Answer | None]:
        """A request's way; its answer if the plugin gave one."""
        request = request or FakeRequest()
        runner = PluginRunner(
            ProxyCache(self.time), {"strategy": "memory", **self.config}, self.node
        )
        answer = runner.access(request)
        if answer is not None:
            return request, answer
        request.status = self.status
        request.response_headers = [*self.headers, *request.response_headers]
        runner.run("header_filter", request)
        if request.raw_method != b"HEAD":
            for index, piece in enumerate(self.pieces):
                request.chunk, request.chunk_is_last = piece, index == len(self.pieces) - 1
                runner.run("body_filter", request)
                assert request.chunk == piece
        return request, None

    def status_of(self, request: FakeRequest | None = None) -> str | None:
        """What X-Cache-Status says."""
        request, answer = self.ask(request)
        headers = request.response_headers if answer is None else answer.headers
        values = [value.decode() for name, value in headers if name == b"X-Cache-Status"]
        assert len(values) <= 1
        return values[0] if values else None


def test_the_second_request_is_answered_from_memory(node: Node) -> None:
    proxy = Proxy(node)
    first, answer = proxy.ask()
    assert answer is None
    shown = dict(first.response_headers)
    assert shown[b"X-Cache-Status"] == b"Miss"
    assert len(shown[b"X-Cache-Key"]) == 64
    proxy.time.now += 7
    request, answer = proxy.ask()
    assert answer is not None
    assert (answer.status, answer.body) == (200, b"hello")
    assert answer.headers == [
        TEXT,
        (b"age", b"7"),
        (b"X-Cache-Status", b"Hit"),
        (b"X-Cache-Key", shown[b"X-Cache-Key"]),
    ]
    assert request.upstream_latency_ms == 0
    assert request.shared["proxy_cache_hit"]["res"].body == b"hello"


def test_after_its_time_it_is_fetched_again(node: Node) -> None:
    proxy = Proxy(node, {"cache_ttl": 10})
    assert proxy.status_of() == "Miss"
    proxy.time.now += 9
    assert proxy.status_of() == "Hit"
    proxy.time.now += 1
    assert proxy.status_of() == "Miss"
    kept_longer = Proxy(node, {"cache_ttl": 10, "storage_ttl": 100}, proxy.time)
    assert kept_longer.status_of(FakeRequest(target=b"/x")) == "Miss"
    proxy.time.now += 11
    assert kept_longer.status_of(FakeRequest(target=b"/x")) == "Refresh"
    assert kept_longer.status_of(FakeRequest(target=b"/x")) == "Hit"


@pytest.mark.parametrize(
    ("config", "one", "other", "same"),
    [
        ({}, {"target": b"/a"}, {"target": b"/b"}, False),
        ({}, {"target": b"/a"}, {"target": b"/A"}, False),
        ({"ignore_uri_case": True}, {"target": b"/a"}, {"target": b"/A"}, True),
        ({}, {"target": b"/a?x=1&y=2"}, {"target": b"/a?y=2&x=1"}, True),
        ({}, {"target": b"/a?x=1&x=2"}, {"target": b"/a?x=2&x=1"}, True),
        ({}, {"target": b"/a?x=1"}, {"target": b"/a?x=2"}, False),
        ({}, {"target": b"/a?x"}, {"target": b"/a?x="}, False),
        ({}, {"target": b"/a?x=1:y=2"}, {"target": b"/a?x=1&y=2"}, False),
        (
            {"vary_query_params": ["x"]},
            {"target": b"/a?x=1&y=2"},
            {"target": b"/a?x=1&y=3"},
            True,
        ),
        ({"vary_query_params": ["x"]}, {"target": b"/a?x=1"}, {"target": b"/a?x=2"}, False),
        ({}, {"headers": [(b"x-a", b"1")]}, {"headers": [(b"x-a", b"2")]}, True),
        (
            {"vary_headers": ["X-A"]},
            {"headers": [(b"x-a", b"1")]},
            {"headers": [(b"x-a", b"2")]},
            False,
        ),
        ({}, {"consumer": BOB}, {}, False),
        ({}, {"route": {"id": "a"}}, {"route": {"id": "b"}}, False),
        ({"request_method": ["GET", "POST"]}, {}, {"method": b"POST"}, False),
    ],
)
def test_which_requests_are_the_same(
    node: Node, config: dict[str, Any], one: dict[str, Any], other: dict[str, Any], same: bool
) -> None:
    proxy = Proxy(node, config)
    assert proxy.status_of(FakeRequest(**one)) == "Miss"
    assert proxy.status_of(FakeRequest(**one)) == "Hit"
    assert proxy.status_of(FakeRequest(**other)) == ("Hit" if same else "Miss")


def test_other_methods_pass_by(node: Node) -> None:
    proxy = Proxy(node)
    assert [proxy.status_of(FakeRequest(b"PUT")) for _ in range(2)] == ["Bypass"] * 2


@pytest.mark.parametrize(
    "different",
    [{"status": 500}, {"headers": []}, {"headers": [(b"Content-Type", b"text/html")]}],
)
def test_other_responses_pass_by(node: Node, different: dict[str, Any]) -> None:
    proxy = Proxy(node, **different)
    assert [proxy.status_of() for _ in range(2)] == ["Bypass"] * 2


def test_a_head_is_kept_for_itself(node: Node) -> None:
    proxy = Proxy(node)
    assert proxy.status_of(FakeRequest(b"HEAD")) == "Miss"
    _, answer = proxy.ask(FakeRequest(b"HEAD"))
    assert answer is not None
    assert answer.body == b""
    assert proxy.status_of() == "Miss"


def test_a_client_may_want_what_is_kept_or_nothing(node: Node) -> None:
    only = FakeRequest(headers=[(b"cache-control", b"only-if-cached")])
    assert Proxy(node).status_of(only) == "Miss"
    heeding = Proxy(node, {"cache_control": True})
    _, answer = heeding.ask(FakeRequest(target=b"/other", headers=only.headers))
    assert answer is not None
    assert (answer.status, answer.body) == (504, b"")


def test_responses_may_tell_their_lifetime(node: Node) -> None:
    proxy = Proxy(node, {"cache_control": True}, headers=[TEXT, (b"Cache-Control", b"max-age=5")])
    assert proxy.status_of() == "Miss"
    proxy.time.now += 4
    assert proxy.status_of() == "Hit"
    fresh = FakeRequest(headers=[(b"cache-control", b"min-fresh=3")])
    assert proxy.status_of(fresh) == "Refresh"
    proxy.time.now += 5
    assert proxy.status_of() == "Miss"


def test_headers_are_shown_as_configured_or_for_debugging(node: Node) -> None:
    quiet = {"age": False, "X-Cache-Status": False, "X-Cache-Key": False}
    proxy = Proxy(node, {"response_headers": quiet})
    request, _ = proxy.ask()
    assert request.response_headers == [TEXT]
    _, answer = proxy.ask()
    assert answer is not None
    assert answer.headers == [TEXT]
    _, answer = proxy.ask(FakeRequest(headers=[(b"kong-debug", b"1")]))
    assert answer is not None
    assert [name for name, _ in answer.headers[1:]] == [b"age", b"X-Cache-Status", b"X-Cache-Key"]


def test_what_does_not_fit_is_not_kept(node: Node) -> None:
    proxy = Proxy(node, pieces=(b"x" * 4096, b"x" * 4097))
    assert [proxy.status_of() for _ in range(2)] == ["Miss"] * 2
    proxy = Proxy(node, pieces=(b"x" * 4096, b"x" * 4096))
    assert [proxy.status_of() for _ in range(2)] == ["Miss", "Hit"]
    proxy = Proxy(node, headers=[TEXT, (b"X", b"x" * 70_000)])
    assert [proxy.status_of(FakeRequest(target=b"/x")) for _ in range(2)] == ["Miss"] * 2


def test_an_entry_of_another_version_is_forgotten(node: Node) -> None:
    proxy = Proxy(node)
    request, _ = proxy.ask()
    key = dict(request.response_headers)[b"X-Cache-Key"].decode()
    strategy = MemoryStrategy(node.memory, "kong_db_cache")
    kept = Kept(VERSION + 1, 200, [], b"old", int(proxy.time.now), 300, b"")
    strategy.store(key, kept, 300, proxy.time.now)
    assert proxy.status_of() == "Bypass"
    assert proxy.status_of() == "Hit"


def test_configurations_with_another_dictionary_do_not_share(node: Node) -> None:
    assert Proxy(node).status_of() == "Miss"
    assert Proxy(node).status_of() == "Hit"
    other = Proxy(node, {"memory": {"dictionary_name": "other"}})
    assert other.status_of() == "Miss"


def test_expired_entries_are_swept_now_and_then(node: Node) -> None:
    strategy = MemoryStrategy(node.memory, "d")
    kept = Kept(VERSION, 200, [], b"", 0, 1, b"")
    for number in range(255):
        strategy.store(f"k{number}", kept, 1, 0.0)
    assert node.memory.statistics()["entries"] > 100
    strategy.store("last", kept, 1, 2.0)
    assert node.memory.statistics()["entries"] == 1
