"""response-ratelimiting by the counters of a node."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
from twisted.internet.defer import Deferred, fail

from kongtx.cache.shared import SharedMemory
from kongtx.pdk.node import Node
from kongtx.plugins.counting.stores import LocalStore
from kongtx.plugins.response_ratelimiting.handler import ResponseRateLimiting, parse_used
from kongtx.testing.node import make_node
from kongtx.testing.plugins import PluginRunner
from kongtx.testing.request import Answer, FakeRequest
from tests.plugins.consumers import BOB

START = 1_700_000_040 - 1_700_000_040 % 60


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    memory = SharedMemory(tmp_path / "shared", 64 * 1024)
    yield make_node(memory=memory)
    memory.close()


@attrs.define
class Proxy:
    """A gateway with the plugin."""

    node: Node
    limits: dict[str, Any]
    config: dict[str, Any] = attrs.Factory(dict)
    now: float = START

    def ask(self, *used: bytes, **attributes: Any) -> tuple[FakeRequest, Answer | None]:
        """A request's way; the upstream answers with these uses."""
        plugin = ResponseRateLimiting(lambda: self.now)
        runner = PluginRunner(plugin, {"limits": self.limits, **self.config}, self.node)
        request = FakeRequest(**attributes)
        answer = runner.access(request)
        if answer is None:
            request.status = 200
            request.upstream_headers = [(b"X-Kong-Limit", each) for each in used]
            request.response_headers = list(request.upstream_headers)
            answer = runner.run("header_filter", request)
        runner.run("log", request)
        return request, answer


def headers(request: FakeRequest) -> dict[str, str]:
    return {name.decode(): value.decode() for name, value in request.response_headers}


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], {}),
        ([b"video=2"], {"video": 2}),
        ([b" video = 2 , image=3,other=4"], {"video": 2, "image": 3}),
        ([b"video=2", b"image=1"], {"video": 2, "image": 1}),
        ([b"video=0,image=-1"], {}),
        ([b"video,image=x,=2,video=1=2"], {}),
        ([b"video=1.5,image=\xb2"], {}),
        ([b"video=" + b"9" * 5000, b"image=2000000000000"], {"video": 10**12, "image": 10**12}),
    ],
)
def test_what_was_used_is_read(values: list[bytes], expected: dict[str, int]) -> None:
    assert parse_used(values, ["video", "image"]) == expected


def test_what_upstreams_say_was_used_is_counted(node: Node) -> None:
    proxy = Proxy(node, {"video": {"minute": 5, "hour": 10}, "image": {"minute": 3}})
    request, _ = proxy.ask(b"video=2", b"image=1")
    assert headers(request) == {
        "X-RateLimit-Limit-video-minute": "5",
        "X-RateLimit-Remaining-video-minute": "3",
        "X-RateLimit-Limit-video-hour": "10",
        "X-RateLimit-Remaining-video-hour": "8",
        "X-RateLimit-Limit-image-minute": "3",
        "X-RateLimit-Remaining-image-minute": "2",
    }
    request, _ = proxy.ask()
    assert request.get_header(b"x-ratelimit-remaining-video") == b"3"
    assert request.get_header(b"x-ratelimit-remaining-image") == b"2"
    assert headers(request)["X-RateLimit-Remaining-video-minute"] == "3"
    proxy.now += 60
    request, _ = proxy.ask()
    assert request.get_header(b"x-ratelimit-remaining-video") == b"5"
    assert headers(request)["X-RateLimit-Remaining-video-hour"] == "8"


def test_a_response_beyond_the_limit_is_refused_and_not_counted(node: Node) -> None:
    proxy = Proxy(node, {"video": {"minute": 3}, "image": {"minute": 3}})
    assert proxy.ask(b"video=5")[1] is None
    request, answer = proxy.ask(b"image=1,video=1")
    assert answer == Answer(429, b"", [])
    assert request.get_header(b"x-ratelimit-remaining-video") == b"0"
    request, answer = proxy.ask(b"image=1")
    assert answer is None
    assert headers(request)["X-RateLimit-Remaining-image-minute"] == "2"


def test_the_first_request_beyond_the_limit_may_be_refused(node: Node) -> None:
    config = {"block_on_first_violation": True}
    proxy = Proxy(node, {"video": {"minute": 3}}, config)
    proxy.ask(b"video=4")
    _, answer = proxy.ask()
    assert (answer.status, answer.message) == (429, "API rate limit exceeded for 'video'")


def test_headers_are_hidden_and_renamed_if_so_configured(node: Node) -> None:
    config = {"hide_client_headers": True, "header_name": "X-Used"}
    request, _ = Proxy(node, {"video": {"minute": 3}}, config).ask(b"video=1")
    assert headers(request) == {"X-Kong-Limit": "video=1"}


def test_a_name_that_no_header_can_have_is_counted_all_the_same(node: Node) -> None:
    proxy = Proxy(node, {"my video": {"minute": 3}})
    request, _ = proxy.ask(b"my video=3")
    assert headers(request) == {}
    assert proxy.ask(b"my video=1")[1] == Answer(429, b"", [])


@pytest.mark.parametrize(
    ("by", "one", "same", "other"),
    [
        ("consumer", {"consumer": BOB}, {"consumer": BOB, "client_ip": "2.2.2.2"}, {}),
        (
            "credential",
            {"credential": {"id": "c"}},
            {"credential": {"id": "c"}, "client_ip": "2.2.2.2"},
            {"credential": {"id": "d"}},
        ),
        ("ip", {"consumer": BOB}, {}, {"client_ip": "2.2.2.2", "consumer": BOB}),
    ],
)
def test_whose_use_is_counted_together(
    node: Node, by: str, one: dict[str, Any], same: dict[str, Any], other: dict[str, Any]
) -> None:
    proxy = Proxy(node, {"video": {"minute": 3}}, {"limit_by": by})
    proxy.ask(b"video=1", **one)
    name = b"x-ratelimit-remaining-video"
    assert proxy.ask(**same)[0].get_header(name) == b"2"
    assert proxy.ask(**other)[0].get_header(name) == b"3"


@attrs.define
class Broken:
    """A store that is away."""

    waits: bool

    def read(self, *args: Any) -> Deferred[Any]:
        if self.waits:
            return fail(ConnectionError("away"))
        raise ConnectionError("away")


@pytest.mark.parametrize("waits", [False, True])
def test_a_fault_lets_requests_pass_or_stops_them(node: Node, waits: bool) -> None:
    node.shared[LocalStore, "responses"] = Broken(waits)
    request, answer = Proxy(node, {"video": {"minute": 3}}).ask(b"video=1")
    assert answer is None
    assert headers(request) == {"X-Kong-Limit": "video=1"}
    with pytest.raises(ConnectionError):
        Proxy(node, {"video": {"minute": 3}}, {"fault_tolerant": False}).ask()
