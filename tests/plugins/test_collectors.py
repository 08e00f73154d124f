"""Log plugins whose collector is gone or does not read: no request is slower, memory is bounded.

Requests go one after another to one gateway, by turns in rounds to a route whose collector fails
and to one whose plugin only makes the entry. Each pair of neighbouring rounds gives a ratio, of CPU
time and of the latencies' median and ninth decile; the machine's other work meets both rounds
alike. What counts is the median of the ratios, and of that the lower confidence limit (99.9 %) by
order statistics, L{slower_by}: where the true slowdown is 5 %, one test in a thousand fails by
chance, and far fewer where there is none. What happens now and then does not show in these: so
there must not be more requests that took long on one side, by a sign test at the same level. Rounds
are as long as several attempts to send; between them the queue runs empty, so that none of its work
falls on the other side. The controls show what is seen.
"""

from __future__ import annotations

import gc
import socket
import sys
import time
from collections.abc import Sequence
from itertools import count
from math import comb
from statistics import quantiles
from typing import Any

import attrs
import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred, ensureDeferred, maybeDeferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint, connectProtocol
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import deferLater

from kongtx.plugins.base import Plugin
from kongtx.plugins.logging import LogPlugin, to_json
from kongtx.plugins.queue import Queue, Queues
from kongtx.plugins.tcp_log.connection import CollectorConnection
from kongtx.schema import Subschema, number, record
from kongtx.testing.gateway import GatewayUnderTest

pytestmark = pytest.mark.long

ROUNDS = 20
#: In a round. A collector of tcp-log that is gone is noticed after 0.3 s.
REQUESTS = {"http-log": 1000, "tcp-log": 4000, "blocks": 500}
#: By how much requests may be slower.
MOST = 0.05
#: A request that takes more seconds has met something.
STALL = 0.05
#: The chance of a test to fail where all is as it just may be.
CHANCE = 0.001
#: Entries that a queue may hold: few, so that it is full before the first round ends.
ENTRIES = 20
REPLY = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nDate: x\r\n\r\nok"


class Answers(Protocol):
    """An upstream: each piece of bytes is a request."""

    def dataReceived(self, data: bytes) -> None:
        self.transport.write(REPLY)  # type: ignore[union-attr]


class Client(Protocol):
    """One connection, on which requests are made one after another."""

    def dataReceived(self, data: bytes) -> None:
        answered, self.answered = self.answered, None
        answered.callback(data)

    async def round(self, path: bytes, count: int) -> Figures:
        """The figures of some requests."""
        request = b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n" % path
        latencies = []
        begun = time.process_time()
        for _ in range(count):
            started = time.perf_counter()
            self.answered: Any = Deferred()
            self.transport.write(request)  # type: ignore[union-attr]
            answer = await self.answered
            latencies.append(time.perf_counter() - started)
            assert answer.startswith(b"HTTP/1.1 200"), answer
        cpu = (time.process_time() - begun) / count
        deciles = quantiles(latencies, n=10)
        stalls = sum(each > STALL for each in latencies)
        return Figures(cpu, deciles[4], deciles[8], stalls)


@attrs.frozen
class Figures:
    """Seconds for a request in one round.

    @ivar stalls: how many took long.
    """

    cpu: float
    median: float
    ninth_decile: float
    stalls: int


class Blocks(Plugin):
    """What no log plugin may do."""

    name = "blocks"
    priority = 1
    subschema = Subschema(
        {"config": record({"seconds": number(default=0), "every": number(default=1)})}
    )

    def __init__(self) -> None:
        self._numbers = count(1)

    def log(self, config: Any, kong: Any) -> None:
        if next(self._numbers) % config["every"] == 0:
            end = time.perf_counter() + config["seconds"]
            while time.perf_counter() < end:
                pass


class OnlyMakes(LogPlugin):
    """What log plugins have in common: it makes the entry, and sends it nowhere."""

    name = "only-makes"
    priority = 1
    subschema = Subschema({"config": record({})})

    def send(self, entry: Any, config: Any, kong: Any) -> None:
        to_json(entry)


def slower_by(ratios: Sequence[float]) -> float:
    """The lower confidence limit of the ratios' median, less one."""
    below, order = 0.0, 0
    while below + comb(len(ratios), order) / 2 ** len(ratios) <= CHANCE:
        below += comb(len(ratios), order) / 2 ** len(ratios)
        order += 1
    return sorted(ratios)[order - 1] - 1


def by_chance(one: int, other: int) -> float:
    """How likely one side has so many of all stalls, or more, where both have them alike."""
    both = one + other
    return sum(comb(both, each) for each in range(one, both + 1)) / 2**both


async def compared(setup: Setup, requests: int) -> set[str]:
    """The figures by which requests are slower on the one route than on the other."""
    pairs = []
    for turn in range(ROUNDS + 2):
        pair: dict[bytes, Figures] = {}
        for path in (b"/one", b"/other") if turn % 2 else (b"/other", b"/one"):
            pair[path] = await setup.client.round(path, requests)
            await setup.emptied()
        if turn >= 2:
            pairs.append((pair[b"/one"], pair[b"/other"]))
    slower = {
        name: slower_by([getattr(a, name) / getattr(b, name) for a, b in pairs])
        for name in ("cpu", "median", "ninth_decile")
    }
    stalls = [sum(each.stalls for each in side) for side in zip(*pairs, strict=True)]
    print(slower, "stalls:", stalls)  # noqa: T201 - for who looks why it failed
    found = {name for name, by in slower.items() if by > MOST}
    return found | {"stalls"} if by_chance(*stalls) < CHANCE else found


QUEUE = {
    "max_entries": ENTRIES,
    "max_batch_size": ENTRIES,
    "max_coalescing_delay": 0,
    "max_retry_time": 0.5,
    "initial_retry_delay": 0.4,
}


def plugin(name: str, port: int) -> dict[str, Any]:
    """A log plugin with a collector on a port."""
    if name == "http-log":
        endpoint = f"http://127.0.0.1:{port}/"
        config: dict[str, Any] = {"http_endpoint": endpoint, "timeout": 200, "queue": QUEUE}
    else:
        config = {"host": "127.0.0.1", "port": port, "timeout": 100}
    return {"name": name, "config": config}


@attrs.define
class Setup:
    """A gateway, its client, and where there are collectors of each kind."""

    gateway: GatewayUnderTest
    client: Client
    ports: dict[str, int]

    async def add(self, **plugins: dict[str, Any]) -> None:
        """Routes, by the name of their path, each with a plugin."""
        routes = [
            {"name": name, "paths": [f"/{name}"], "plugins": [each]}
            for name, each in plugins.items()
        ]
        url = f"http://127.0.0.1:{self.ports['upstream']}"
        await self.gateway.add({"services": [{"name": "s", "url": url, "routes": routes}]})

    def queues(self) -> list[Queue]:
        """Those that have entries, or are sending some."""
        queues = self.gateway.node.plugin_node.shared.get(Queues)
        return [] if queues is None else list(queues._queues.values())

    def connections(self) -> list[CollectorConnection]:
        """Those of tcp-log."""
        shared = self.gateway.node.plugin_node.shared
        return [each for each in shared.values() if isinstance(each, CollectorConnection)]

    async def emptied(self) -> None:
        """Wait until nothing is sent any more, nor is tried to be."""
        for _ in range(500):
            if not self.queues() and not any(each._connecting for each in self.connections()):
                return
            await deferLater(reactor, 0.01)
        raise AssertionError("the queue does not run empty")


@pytest.fixture
def setup() -> Any:
    gone, hanging = socket.socket(), socket.socket()
    for each in (gone, hanging):
        each.bind(("127.0.0.1", 0))
    hanging.listen(512)

    async def start() -> tuple[Setup, Any]:
        server = TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1")
        upstream = await server.listen(Factory.forProtocol(Answers))
        gateway = await GatewayUnderTest.start(
            reactor, plugins=[Blocks, OnlyMakes], nginx_http_keepalive_requests="1000000"
        )
        host, port = gateway.url.removeprefix("http://").split(":")
        endpoint = TCP4ClientEndpoint(reactor, host, int(port))
        client = await connectProtocol(endpoint, Client())
        numbers = {
            "upstream": upstream.getHost().port,
            "gone": gone.getsockname()[1],
            "hanging": hanging.getsockname()[1],
        }
        return Setup(gateway, client, numbers), upstream

    made, upstream = pytest_twisted.blockon(ensureDeferred(start()))
    yield made
    made.client.transport.abortConnection()
    pytest_twisted.blockon(ensureDeferred(made.gateway.stop()))
    pytest_twisted.blockon(maybeDeferred(upstream.stopListening))
    gone.close()
    hanging.close()


@pytest.mark.parametrize("collector", ["gone", "hanging"])
@pytest.mark.parametrize("name", ["http-log", "tcp-log"])
@pytest_twisted.ensureDeferred
async def test_a_collector_that_fails_slows_no_request(
    setup: Setup, name: str, collector: str
) -> None:
    await setup.add(one=plugin(name, setup.ports[collector]), other={"name": "only-makes"})
    assert await compared(setup, REQUESTS[name]) == set()


@pytest.mark.parametrize(
    ("config", "figures"),
    [
        ({"seconds": 0.00002}, {"cpu", "median"}),
        # The slowest tenth varies with all else that the machine does.
        ({"seconds": 0.0002}, {"cpu", "median", "ninth_decile"}),
        ({"seconds": 0.06, "every": 500}, {"stalls"}),
    ],
    ids=["a little", "often", "long"],
)
@pytest_twisted.ensureDeferred
async def test_a_plugin_that_blocks_is_seen(
    setup: Setup, config: dict[str, float], figures: set[str]
) -> None:
    await setup.add(one={"name": "blocks", "config": config}, other={"name": "blocks"})
    assert await compared(setup, REQUESTS["blocks"]) >= figures


def waiting_lines(setup: Setup) -> int:
    """How many entries wait to be written to a connection."""
    return sum(len(each._waiting) for each in setup.connections())


def blocks_beside(setup: Setup) -> int:
    """Blocks of memory in use, without those of waiting entries, whose number rises and falls."""
    gc.collect()
    return sys.getallocatedblocks() - waiting_lines(setup)


@pytest.mark.parametrize("collector", ["gone", "hanging"])
@pytest.mark.parametrize("name", ["http-log", "tcp-log"])
@pytest_twisted.ensureDeferred
async def test_what_waits_for_a_collector_that_fails_is_bounded(
    setup: Setup, name: str, collector: str
) -> None:
    await setup.add(failing=plugin(name, setup.ports[collector]))
    most = ENTRIES if name == "http-log" else 10_000
    await setup.client.round(b"/failing", most + 5000)
    before = blocks_beside(setup)
    await setup.client.round(b"/failing", 3000)
    assert blocks_beside(setup) - before < 1000
    assert sum(map(len, setup.queues())) <= ENTRIES
    assert waiting_lines(setup) <= most
