"""Load for proxies: wrk, h2load, WebSocket messages, idle connections."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import attrs

from benchmarks.harness import cpu_seconds, program


@attrs.frozen
class Figure:
    """What a load has cost.

    @ivar cpu_us: CPU time of the proxy for one request, in microseconds.
    @ivar rate: requests a second.
    """

    cpu_us: float
    rate: float


def _run(command: list[str], pid: int) -> tuple[str, float]:
    before = cpu_seconds(pid)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    spent = cpu_seconds(pid) - before
    if done.returncode:
        sys.exit(f"benchmark: {' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    return done.stdout, spent


def by_wrk(
    url: str, pid: int, seconds: float, script: str = "", headers: tuple[str, ...] = ()
) -> Figure:
    """HTTP/1.1 over 32 kept connections."""
    duration = max(1, round(seconds))
    command = [program("wrk"), "-t1", "-c32", f"-d{duration}s", "--timeout", "10s"]
    for header in headers:
        command += ["-H", header]
    if script:
        command += ["-s", script]
    output, spent = _run([*command, url], pid)
    count = re.search(r"(\d+) requests in ([\d.]+)(ms|s)", output)
    if count is None or "Non-2xx" in output:
        sys.exit(f"benchmark: bad run of wrk on {url}:\n{output}")
    rate = re.search(r"Requests/sec:\s*([\d.]+)", output)
    assert rate is not None
    return Figure(spent / max(int(count[1]), 1) * 1e6, float(rate[1]))


def by_s_time(port: int, file: str, pid: int, seconds: float, clients: int = 4) -> Figure:
    """Full TLS handshakes, each for one request on a connection of its own.

    wrk takes its session up again with each new connection; C{openssl s_time -new} has none.
    """
    command = [program("openssl"), "s_time", "-connect", f"127.0.0.1:{port}", "-new"]
    command += ["-time", f"{max(1, round(seconds))}", "-www", file]
    before, began = cpu_seconds(pid), time.monotonic()
    running = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for _ in range(clients)
    ]
    outputs = [each.communicate()[0] for each in running]
    spent, took = cpu_seconds(pid) - before, time.monotonic() - began
    # An answer without a body would be shorter.
    pattern = r"(\d+) connections in \d+ real seconds, [1-9]\d{2,} bytes read per connection"
    found = [re.search(pattern, output) for output in outputs]
    count = sum(int(each[1]) for each in found if each)
    if not all(found) or not count:
        sys.exit(f"benchmark: bad run of {' '.join(command)}:\n{outputs[0]}")
    return Figure(spent / count * 1e6, count / took)


def by_h2load(
    url: str, pid: int, seconds: float, options: tuple[str, ...] = (), streams: int = 4
) -> Figure:
    """HTTP/2 over 8 connections, with so many streams at a time on each."""
    command = [program("h2load"), "-c8", f"-m{streams}", "-D", f"{max(1, round(seconds))}"]
    output, spent = _run([*command, *options, url], pid)
    done = re.search(r"(\d+) done, (\d+) succeeded, (\d+) failed", output)
    rate = re.search(r"([\d.]+) req/s", output)
    if done is None or rate is None or int(done[2]) < int(done[1]):
        sys.exit(f"benchmark: bad run of {command} on {url} (pid {pid}):\n{output}")
    return Figure(spent / max(int(done[2]), 1) * 1e6, float(rate[1]))


def latencies_ms(url: str, rate: float, seconds: float, log: Path) -> list[float]:
    """Times to the end of the responses at a steady rate over 16 connections, sorted."""
    log.unlink(missing_ok=True)
    command = [program("h2load"), "--h1", "-c16", "-m1", "-D", f"{max(1, round(seconds))}"]
    command += [f"--rps={max(1, round(rate / 16))}", f"--log-file={log}", url]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"benchmark: {' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    rows = [line.split("\t") for line in log.read_text().splitlines()]
    return sorted(int(row[2]) / 1000 for row in rows if row[1] == "200")


def percentile(values: list[float], part: float) -> float:
    """A percentile of sorted values."""
    return values[min(len(values) - 1, int(len(values) * part))] if values else float("nan")


class _Client(asyncio.Protocol):
    """Sends a WebSocket message, waits for its echo, and so on until time is up."""

    MESSAGE = b"\x82\xfe\x00\x80\x01\x02\x03\x04" + bytes(128)

    def __init__(self, state: dict[str, int], port: int) -> None:
        self._state = state
        self._port = port
        self._open = False
        self._received = 0

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        transport.write(
            b"GET /ws HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nConnection: Upgrade\r\n"
            b"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n" % self._port
        )

    def data_received(self, data: bytes) -> None:
        if not self._open:
            if not data.startswith(b"HTTP/1.1 101"):
                sys.exit(f"benchmark: no WebSocket: {data!r}")
            self._open = True
            self._transport.write(self.MESSAGE)
            return
        self._received += len(data)
        if self._received >= len(self.MESSAGE):
            self._received -= len(self.MESSAGE)
            self._state["messages"] += 1
            if self._state["go"]:
                self._transport.write(self.MESSAGE)


def by_websocket(port: int, pid: int, seconds: float) -> Figure:
    """Messages of 128 bytes and their echoes over 32 connections, each in its turn."""

    async def load() -> int:
        loop = asyncio.get_running_loop()
        state = {"messages": 0, "go": 1}
        made = [
            await loop.create_connection(lambda: _Client(state, port), "127.0.0.1", port)
            for _ in range(32)
        ]
        await asyncio.sleep(seconds)
        state["go"] = 0
        await asyncio.sleep(0.1)
        for transport, _ in made:
            transport.close()
        return state["messages"]

    before = cpu_seconds(pid)
    messages = _in_loop(load())
    spent = cpu_seconds(pid) - before
    return Figure(spent / max(messages, 1) * 1e6, messages / seconds)


async def _idle(port: int, count: int) -> list[asyncio.StreamWriter]:
    writers: list[asyncio.StreamWriter] = []

    async def one() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /small HTTP/1.1\r\nHost: x\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: (\d+)", head)
        await reader.readexactly(int(length[1]) if length else 0)
        writers.append(writer)

    for start in range(0, count, 100):
        await asyncio.gather(*(one() for _ in range(min(100, count - start))))
    return writers


def idle_connections(port: int, count: int, measure: object) -> object:
    """Hold so many connections that have asked once; return what C{measure()} says meanwhile."""

    async def hold() -> object:
        writers = await _idle(port, count)
        measured = measure()  # type: ignore[operator]
        for writer in writers:
            writer.transport.abort()
        await asyncio.sleep(0.2)
        return measured

    return _in_loop(hold())


def _in_loop(coroutine: object) -> object:
    import uvloop  # noqa: PLC0415 - only here

    return uvloop.run(coroutine)  # type: ignore[arg-type]


class _Echo(asyncio.Protocol):
    """Switches to WebSocket, and sends back what comes."""

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._open = False

    def data_received(self, data: bytes) -> None:
        if self._open:
            self._transport.write(data)
        else:
            self._open = True
            self._transport.write(
                b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n"
                b"Upgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
            )


async def _serve_echo(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(_Echo, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    _in_loop(_serve_echo(int(sys.argv[1])))
