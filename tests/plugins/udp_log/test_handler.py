"""udp-log, to a real collector."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest
import pytest_twisted
import treq
from twisted.internet import reactor, task
from twisted.internet.threads import deferToThread
from twisted.logger import capturedLogs

from kongtx.plugins.udp_log.handler import UDPLog
from kongtx.testing.node import make_node
from kongtx.testing.plugins import PluginRunner
from kongtx.testing.request import FakeRequest


@pytest.fixture
def collector() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as opened:
        opened.bind(("127.0.0.1", 0))
        opened.settimeout(2)
        yield opened


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
@pytest_twisted.ensureDeferred
async def test_each_entry_is_a_datagram(collector: socket.socket, host: str) -> None:
    config = {"host": host, "port": collector.getsockname()[1]}
    one = PluginRunner(UDPLog(), config, make_node(clock=reactor, reactor=reactor))
    statuses = []
    for status in (200, 404):
        one.run("log", FakeRequest(phase="log", status=status))
        entry = json.loads(await deferToThread(collector.recv, 65536))
        statuses.append(entry["response"]["status"])
    assert statuses == [200, 404]
    for close in one.node.closing:
        await close()


@pytest_twisted.ensureDeferred
async def test_a_name_that_is_unknown_is_told_and_slows_nobody() -> None:
    node = make_node(clock=reactor, reactor=reactor)
    one = PluginRunner(UDPLog(), {"host": "no-such-host.invalid", "port": 1}, node)
    with capturedLogs() as captured:
        for _ in range(2):
            one.run("log", FakeRequest(phase="log", status=200))
        for _ in range(1500):
            if any("could not resolve" in event["log_format"] for event in captured):
                break
            await task.deferLater(reactor, 0.01, lambda: None)
    assert [e["host"] for e in captured if "host" in e] == ["no-such-host.invalid"]
    for close in node.closing:
        await close()


@pytest_twisted.ensureDeferred
async def test_proxied_requests_are_logged(
    make_gateway: Any, upstream: Any, collector: socket.socket
) -> None:
    config = {"host": "127.0.0.1", "port": collector.getsockname()[1]}
    gateway = await make_gateway(
        {
            "services": [{"name": "s", "url": upstream.url, "routes": [{"paths": ["/r"]}]}],
            "plugins": [{"name": "udp-log", "config": config}],
        }
    )
    await treq.content(await treq.get(f"{gateway.url}/r"))
    entry = json.loads(await deferToThread(collector.recv, 65536))
    assert entry["response"]["status"] == 200
