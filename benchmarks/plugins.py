"""What plugins cost a request, without sockets: `python -m benchmarks.plugins`.

A whole gateway runs in this process. Requests come as bytes into a server channel, answers of the
upstream into a client channel; what both write is thrown away. So all is measured but the kernel
and the loop, and little disturbs it: the best of several rounds is steady to about two percent.
"""

from __future__ import annotations

import argparse
import cProfile
import gc
import sys
import time
from collections.abc import Callable
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import ensureDeferred
from twisted.internet.task import deferLater

from benchmarks.chains import CHAINS, CONSUMERS, routes
from kongtx.proxy.pools.pool import UpstreamPool

RESPONSE = (
    b"HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Mon, 16 Nov 2026 10:00:00 GMT\r\n"
    b"Content-Type: text/plain\r\nContent-Length: 110\r\n"
    b"Last-Modified: Mon, 16 Nov 2026 09:00:00 GMT\r\nConnection: keep-alive\r\n"
    b'ETag: "6a0c2f00-6e"\r\nAccept-Ranges: bytes\r\n\r\n' + b"x" * 110
)
REQUEST = b"GET %b HTTP/1.1\r\nHost: 127.0.0.1:8000\r\napikey: secret\r\n\r\n"


def declared() -> dict[str, Any]:
    """The configuration of the gateway."""
    return {
        "services": [{"name": "files", "url": "http://127.0.0.1:1", "routes": routes()}],
        "consumers": list(CONSUMERS),
    }


class NoTransport:
    """Takes what is written, and forgets it."""

    disconnecting = False

    def __init__(self) -> None:
        self.written = b""

    def write(self, data: bytes) -> None:
        self.written = data

    def getPeer(self) -> IPv4Address:
        return IPv4Address("TCP", "127.0.0.1", 50000)

    def getHost(self) -> IPv4Address:
        return IPv4Address("TCP", "127.0.0.1", 8000)

    def _nothing(self, *_: object) -> None:
        pass

    registerProducer = unregisterProducer = setTcpNoDelay = _nothing
    pauseProducing = resumeProducing = loseConnection = abortConnection = _nothing


class NoUpstream(UpstreamPool):
    """A pool with one connection, which leads nowhere."""

    def __init__(self, reactor: Any) -> None:
        super().__init__(reactor, max_requests=0, idle_timeout=60)
        self.channel = self.new_channel(("127.0.0.1", 1, None))
        self.channel.makeConnection(NoTransport())
        self.release(self.channel)

    def busy(self) -> bool:
        """Whether a request waits for an answer."""
        return self.idle_count() == 0


async def asker(reactor: Any, gateway: Any, pool: NoUpstream, path: str) -> Callable[[], None]:
    """A client of its own connection: each call is one request and its answer."""
    client = gateway.listener_factory().buildProtocol(None)
    transport = NoTransport()
    client.makeConnection(transport)
    request = REQUEST % f"/{path}/small".encode()
    client.dataReceived(request)
    # What is not in the cache yet has to be waited for.
    while not pool.busy() and not transport.written:
        await deferLater(reactor, 0.01)
    upstream = pool.channel
    upstream.dataReceived(RESPONSE)
    if not transport.written.startswith(b"HTTP/1.1 200"):
        sys.exit(f"benchmark: {path}: {transport.written!r}")

    def ask() -> None:
        client.dataReceived(request)
        upstream.dataReceived(RESPONSE)

    return ask


def measure(ask: Callable[[], None], count: int) -> float:
    """CPU time of one of so many requests, in microseconds."""
    begun = time.process_time()
    for _ in range(count):
        ask()
    return (time.process_time() - begun) / count * 1e6


async def run(reactor: Any, options: argparse.Namespace) -> None:
    """Measure what is asked for."""
    from kongtx.testing.gateway import GatewayUnderTest  # noqa: PLC0415 - after the reactor

    gateway = await GatewayUnderTest.start(
        reactor, declared(), nginx_http_keepalive_requests="1000000000"
    )
    core = gateway.node.gateway
    core.pool = pool = NoUpstream(reactor)
    names = [name for name in CHAINS if options.only in name]
    askers = {}
    for name in names:
        askers[name] = await asker(reactor, core, pool, name)
    gc.disable()
    best = dict.fromkeys(names, float("inf"))
    for _ in range(options.rounds):
        for name, ask in askers.items():
            best[name] = min(best[name], measure(ask, options.count))
    for name, cost in best.items():
        print(f"{name:16}{cost:8.2f} µs")
    if options.profile:
        profiler = cProfile.Profile()
        ask = askers[names[-1]]
        profiler.enable()
        for _ in range(options.count):
            ask()
        profiler.disable()
        profiler.dump_stats(options.profile)
    await gateway.stop()


def main() -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=5000, help="requests in a round")
    parser.add_argument("--rounds", type=int, default=15, help="of which the cheapest counts")
    parser.add_argument("--only", default="", help="chains whose names contain this")
    parser.add_argument("--profile", default="", help="write cProfile's figures of the last here")
    options = parser.parse_args()

    from kongtx.net.reactor import install  # noqa: PLC0415

    install()
    from twisted.internet import reactor  # noqa: PLC0415

    def begin() -> None:
        done = ensureDeferred(run(reactor, options))
        done.addErrback(lambda failure: failure.printTraceback(sys.stderr))
        done.addBoth(lambda _: reactor.stop())  # type: ignore[attr-defined]

    reactor.callWhenRunning(begin)  # type: ignore[attr-defined]
    reactor.run()  # type: ignore[attr-defined]


if __name__ == "__main__":
    main()
