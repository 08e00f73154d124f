"""http-log, to a real collector."""

from __future__ import annotations

import json
from typing import Any

import pytest_twisted
import treq
from twisted.internet import reactor, task
from twisted.logger import capturedLogs
from twisted.web.client import Agent

from kongtx.plugins.http_log.handler import HTTPLog
from kongtx.testing.node import make_node
from kongtx.testing.plugins import PluginRunner
from kongtx.testing.request import FakeRequest
from kongtx.testing.upstream import Received, Reply, Upstream


def runner(collector: Upstream, **config: Any) -> PluginRunner:
    endpoint = config.pop("http_endpoint", f"{collector.url}/logs?dropped=1")
    node = make_node(clock=reactor, reactor=reactor)
    return PluginRunner(HTTPLog(), {"http_endpoint": endpoint, **config}, node)


async def close(one: PluginRunner) -> None:
    for each in one.node.closing:
        await each()


def logged(**attributes: Any) -> FakeRequest:
    return FakeRequest(phase="log", status=200, **attributes)


async def arrivals(collector: Upstream, count: int) -> list[Received]:
    for _ in range(1500):
        if len(collector.received) >= count:
            return collector.received
        await task.deferLater(reactor, 0.01, lambda: None)
    raise AssertionError(f"{len(collector.received)} of {count} have arrived")


@pytest_twisted.ensureDeferred
async def test_an_entry_is_one_object(upstream: Upstream) -> None:
    one = runner(upstream, headers={"X-Key": "k"}, method="PUT")
    one.run("log", logged(target=b"/a?b=1"))
    (received,) = await arrivals(upstream, 1)
    await close(one)
    assert (received.method, received.target) == ("PUT", "/logs")
    assert received.header("content-type") == "application/json"
    assert received.header("x-key") == "k"
    assert json.loads(received.body)["request"]["uri"] == "/a?b=1"


@pytest_twisted.ensureDeferred
async def test_larger_batches_are_arrays_and_are_sent_when_the_worker_stops(
    upstream: Upstream,
) -> None:
    one = runner(upstream, queue={"max_batch_size": 10, "max_coalescing_delay": 60})
    for _ in range(3):
        one.run("log", logged())
    await close(one)
    (received,) = await arrivals(upstream, 1)
    assert [entry["response"]["status"] for entry in json.loads(received.body)] == [200] * 3


@pytest_twisted.ensureDeferred
async def test_user_and_password_of_the_address_are_sent_and_never_logged(
    upstream: Upstream,
) -> None:
    upstream.answer = lambda received: Reply(500)
    endpoint = upstream.url.replace("http://", "http://user:pa%40ss@") + "/"
    queue = {"initial_retry_delay": 0.01, "max_retry_time": 0.02}
    one = runner(upstream, http_endpoint=endpoint, queue=queue)
    with capturedLogs() as captured:
        one.run("log", logged())
        received = await arrivals(upstream, 1)
        await close(one)
    assert received[0].header("authorization") == "Basic dXNlcjpwYUBzcw=="
    assert captured
    assert not any("pa%40ss" in str(event) or "pa@ss" in str(event) for event in captured)
    assert any("returned status code 500" in str(event.get("error")) for event in captured)


@pytest_twisted.ensureDeferred
async def test_a_batch_that_was_refused_is_sent_again(upstream: Upstream) -> None:
    replies = [Reply(503), Reply(200)]
    upstream.answer = lambda received: replies.pop(0)
    one = runner(upstream)
    one.run("log", logged())
    first, second = await arrivals(upstream, 2)
    await close(one)
    assert first.body == second.body


@pytest_twisted.ensureDeferred
async def test_the_old_fields_for_batches_still_count(upstream: Upstream) -> None:
    one = runner(upstream, queue_size=2, flush_timeout=60)
    one.run("log", logged())
    one.run("log", logged())
    (received,) = await arrivals(upstream, 1)
    await close(one)
    assert len(json.loads(received.body)) == 2


@pytest_twisted.ensureDeferred
async def test_a_collector_that_sends_elsewhere_has_not_taken_a_batch(upstream: Upstream) -> None:
    replies = [Reply(303, headers=[("Location", f"{upstream.url}/elsewhere")]), Reply(200)]
    upstream.answer = lambda received: replies.pop(0)
    one = runner(upstream)
    one.run("log", logged())
    first, second = await arrivals(upstream, 2)
    await close(one)
    assert (first.method, first.target) == (second.method, second.target) == ("POST", "/logs")


@pytest_twisted.ensureDeferred
async def test_an_idle_connection_is_kept_as_long_as_configured(upstream: Upstream) -> None:
    one = runner(upstream, keepalive=5000)
    one.run("log", logged())
    await arrivals(upstream, 1)
    (agent,) = (value for key, value in one.node.shared.items() if isinstance(value, Agent))
    await close(one)
    assert agent._pool.cachedConnectionTimeout == 5


@pytest_twisted.ensureDeferred
async def test_proxied_requests_are_logged(make_gateway: Any, make_upstream: Any) -> None:
    service, collector = await make_upstream(), await make_upstream()
    fields = {"custom_fields_by_lua": {"mine": "return kong.request.get_header('x-mine')"}}
    log = {"name": "http-log", "config": {"http_endpoint": f"{collector.url}/", **fields}}
    gateway = await make_gateway(
        {
            "services": [
                {"name": "s", "url": service.url, "routes": [{"name": "r", "paths": ["/r"]}]}
            ],
            "plugins": [log],
        }
    )
    await treq.content(await treq.get(f"{gateway.url}/r", headers={"x-mine": "m"}))
    await treq.content(await treq.get(f"{gateway.url}/none"))
    entries = [json.loads(each.body) for each in await arrivals(collector, 2)]
    by_status = {entry["response"]["status"]: entry for entry in entries}
    proxied, missing = by_status[200], by_status[404]
    assert (proxied["route"]["name"], proxied["service"]["name"]) == ("r", "s")
    assert (proxied["source"], proxied["mine"]) == ("upstream", "m")
    assert proxied["tries"][0]["port"] == int(service.url.rpartition(":")[2])
    assert missing["source"] == "kong"
    assert "route" not in missing
