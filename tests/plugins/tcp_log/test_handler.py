"""tcp-log, to a real collector."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import pytest_twisted
import treq
from twisted.internet import reactor, ssl, task
from twisted.internet.protocol import Factory, Protocol
from twisted.logger import capturedLogs

from kongtx.plugins.tcp_log.handler import TCPLog
from kongtx.testing.node import make_node
from kongtx.testing.plugins import PluginRunner
from kongtx.testing.request import FakeRequest


class Collector(Factory):
    """Keeps the lines that it is sent."""

    def __init__(self) -> None:
        self.data = b""
        self.connections = 0
        self.ended = 0
        self.protocols: list[Protocol] = []

    def buildProtocol(self, addr: Any) -> Protocol:
        self.connections += 1
        protocol = Protocol()
        protocol.dataReceived = self._received  # type: ignore[method-assign]
        protocol.connectionLost = self._lost  # type: ignore[method-assign]
        self.protocols.append(protocol)
        return protocol

    def _received(self, data: bytes) -> None:
        self.data += data

    def _lost(self, reason: Any = None) -> None:
        self.ended += 1

    @property
    def statuses(self) -> list[int]:
        return [json.loads(line)["response"]["status"] for line in self.data.splitlines()]


async def until(true: Callable[[], Any]) -> None:
    for _ in range(1500):
        if true():
            return
        await task.deferLater(reactor, 0.01, lambda: None)
    raise AssertionError("it does not become true")


@pytest.mark.parametrize("tls", [False, True])
@pytest_twisted.ensureDeferred
async def test_entries_are_lines_on_one_connection(tls: bool) -> None:
    collector = Collector()
    if tls:
        import trustme  # noqa: PLC0415

        issued = trustme.CA().issue_cert("collector.test")
        key = ssl.PrivateCertificate.loadPEM(
            issued.private_key_pem.bytes() + issued.cert_chain_pems[0].bytes()
        )
        port = reactor.listenSSL(0, collector, key.options(), interface="127.0.0.1")
    else:
        port = reactor.listenTCP(0, collector, interface="127.0.0.1")
    config = {"host": "127.0.0.1", "port": port.getHost().port, "tls": tls}
    one = PluginRunner(TCPLog(), config, make_node(clock=reactor, reactor=reactor))
    for status in (200, 404):
        one.run("log", FakeRequest(phase="log", status=status))
    await until(lambda: len(collector.statuses) == 2)
    one.run("log", FakeRequest(phase="log", status=500))
    await until(lambda: len(collector.statuses) == 3)
    assert (collector.statuses, collector.connections) == ([200, 404, 500], 1)
    collector.protocols[0].transport.loseConnection()
    await until(lambda: collector.ended == 1)
    one.run("log", FakeRequest(phase="log", status=201))
    await until(lambda: len(collector.statuses) == 4)
    assert collector.connections == 2
    for close in one.node.closing:
        await close()
    await port.stopListening()


@pytest_twisted.ensureDeferred
async def test_a_collector_that_is_away_costs_the_entries_alone() -> None:
    port = reactor.listenTCP(0, Collector(), interface="127.0.0.1")
    number = port.getHost().port
    await port.stopListening()
    one = PluginRunner(
        TCPLog(), {"host": "127.0.0.1", "port": number}, make_node(clock=reactor, reactor=reactor)
    )
    with capturedLogs() as captured:
        for _ in range(3):
            one.run("log", FakeRequest(phase="log", status=200))
        await until(lambda: [event for event in captured if "count" in event])
    (told,) = [event for event in captured if "count" in event]
    assert (told["name"], told["count"]) == (f"127.0.0.1:{number}", 3)


@pytest_twisted.ensureDeferred
async def test_proxied_requests_are_logged(make_gateway: Any, upstream: Any) -> None:
    collector = Collector()
    port = reactor.listenTCP(0, collector, interface="127.0.0.1")
    config = {"host": "127.0.0.1", "port": port.getHost().port}
    gateway = await make_gateway(
        {
            "services": [{"name": "s", "url": upstream.url, "routes": [{"paths": ["/r"]}]}],
            "plugins": [{"name": "tcp-log", "config": config}],
        }
    )
    await treq.content(await treq.get(f"{gateway.url}/r"))
    await until(lambda: collector.statuses == [200])
    await gateway.stop()
    await port.stopListening()
