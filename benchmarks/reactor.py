"""CPU time a request of Twisted's epoll reactor, of uvloop under Twisted, and of kongtx's reactor.

C{python -m benchmarks.reactor [requests]} starts one small server after the other, sends the same
requests over 32 kept connections, and prints the server's own CPU time a request (from the kernel)
and ratios within the run, which say more than the figures on a shared machine.
"""

from __future__ import annotations

import asyncio
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import trustme

CONNECTIONS = 32
REQUEST = b"GET /some/path HTTP/1.1\r\nHost: example.com\r\nUser-Agent: bench\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 110\r\n\r\n" + b"x" * 110
ASK = b"cpu?"

REACTORS = ("epoll", "uvloop", "kongtx")
#: How a server listens: plainly, by pyOpenSSL, or by uvloop's TLS.
KINDS = {
    "plain": REACTORS,
    "tls (listenSSL)": REACTORS,
    "tls (listen_tls)": ("kongtx",),
}


def install(name: str) -> None:
    """Install a reactor by name."""
    if name == "epoll":
        from twisted.internet import epollreactor  # noqa: PLC0415

        epollreactor.install()
    elif name == "uvloop":
        import uvloop  # noqa: PLC0415
        from twisted.internet import asyncioreactor  # noqa: PLC0415

        asyncioreactor.install(uvloop.new_event_loop())
    else:
        from kongtx.net import reactor  # noqa: PLC0415

        reactor.install()


def serve(name: str, kind: str, pem: str) -> None:
    """Serve on an ephemeral port, which is printed, until killed."""
    install(name)
    from twisted.internet import protocol, reactor  # noqa: PLC0415
    from twisted.internet.ssl import PrivateCertificate  # noqa: PLC0415

    class Answer(protocol.Protocol):
        def dataReceived(self, data: bytes) -> None:
            if data == ASK:
                self.transport.write(f"{time.process_time()}\n".encode())
            else:
                self.transport.write(ANSWER)

    factory = protocol.Factory.forProtocol(Answer)
    where: dict[str, Any] = {"interface": "127.0.0.1", "backlog": 128}
    if kind == "plain":
        port = reactor.listenTCP(0, factory, **where)
    elif kind == "tls (listenSSL)":
        options = PrivateCertificate.loadPEM(Path(pem).read_text()).options()
        port = reactor.listenSSL(0, factory, options, **where)
    else:
        from kongtx.net.listeners import listen_tls  # noqa: PLC0415

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem)
        port = listen_tls(reactor, 0, factory, context, **where)
    print(port.getHost().port, flush=True)
    reactor.run()


class Client(asyncio.Protocol):
    """Sends one request after the other until none is left."""

    def __init__(self, left: list[int], done: asyncio.Future[None]) -> None:
        self.left = left
        self.done = done
        self.received = 0

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.ask()

    def ask(self) -> None:
        if self.left[0] > 0:
            self.left[0] -= 1
            self.transport.write(REQUEST)
        else:
            self.transport.close()
            if not self.done.done():
                self.done.set_result(None)

    def data_received(self, data: bytes) -> None:
        self.received += len(data)
        if self.received >= len(ANSWER):
            self.received -= len(ANSWER)
            self.ask()


async def cpu_seconds(port: int, tls: ssl.SSLContext | None) -> float:
    """Ask a server for its own CPU time."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls)
    writer.write(ASK)
    answer = await reader.readline()
    writer.close()
    return float(answer)


async def load(port: int, requests: int, tls: ssl.SSLContext | None) -> None:
    """Send requests over kept connections."""
    loop = asyncio.get_running_loop()
    left = [requests]
    done = [loop.create_future() for _ in range(CONNECTIONS)]
    for future in done:
        await loop.create_connection(lambda f=future: Client(left, f), "127.0.0.1", port, ssl=tls)
    await asyncio.gather(*done)


async def measure(port: int, requests: int, tls: ssl.SSLContext | None) -> float:
    """Return the server's CPU microseconds a request."""
    await load(port, requests // 10, tls)
    before = await cpu_seconds(port, tls)
    await load(port, requests, tls)
    return (await cpu_seconds(port, tls) - before) / requests * 1e6


def client_context() -> ssl.SSLContext:
    """A context that trusts anybody: only the cost is of interest."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def run_one(name: str, kind: str, pem: str, requests: int, run: Callable[..., Any]) -> float:
    """Start a server, measure it, and stop it."""
    command = [sys.executable, "-m", "benchmarks.reactor", "serve", name, kind, pem]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            port = int(server.stdout.readline())
            tls = None if kind == "plain" else client_context()
            return float(run(measure(port, requests, tls)))
        finally:
            server.kill()


def main(requests: int = 30_000) -> None:
    """Print the table."""
    import uvloop  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as directory:
        pem = Path(directory, "server.pem")
        trustme.CA().issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(pem)
        print(f"{'':18}{'reactor':>9}{'CPU µs a request':>18}{'of epoll':>10}")
        for kind, names in KINDS.items():
            for name in names:
                figure = run_one(name, kind, str(pem), requests, uvloop.run)
                if name == "epoll":
                    base = figure
                print(f"{kind:18}{name:>9}{figure:18.1f}{figure / base:10.2f}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        serve(*sys.argv[2:])
    else:
        main(*map(int, sys.argv[1:]))
