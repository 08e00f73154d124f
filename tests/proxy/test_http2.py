"""HTTP/2 clients before a gateway on real sockets: curl, httpx and the conformance suite h2spec."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.internet.utils import getProcessOutputAndValue

from kongtx.conf.syntax.listen import Listen
from kongtx.http.limits import Limits
from kongtx.proxy.gateway import GatewaySettings
from tests.proxy.kit import Handler, Plugins, Step, answering

LISTEN = Listen("127.0.0.1", 0, http2=True)

#: What h2spec finds and we mean: a listener that speaks HTTP/1.1 too answers in it what is no
#: HTTP/2 preface.
MEANT = {"3.5: Sends invalid connection preface"}


async def curl(url: str, *options: str) -> tuple[str, bytes]:
    """The head and the body that curl gets."""
    out, err, code = await getProcessOutputAndValue(
        "curl",
        ["-sS", "-i", "--http2-prior-knowledge", "--max-time", "20", *options, url],
        os.environ,
    )
    assert code == 0, err
    head, _, body = out.partition(b"\r\n\r\n")
    return head.decode(), body


def fields(head: str) -> dict[str, str]:
    return dict(line.split(": ", 1) for line in head.split("\r\n")[1:])


@pytest_twisted.ensureDeferred
async def test_curl_gets_an_answer_over_http2(made: Any) -> None:
    upstream = made.upstream()
    gateway = made.gateway(upstream, listen=LISTEN)
    head, body = await curl(f"http://127.0.0.1:{gateway.number}/api/x?y=1", "-H", "X-Mine: 1")
    assert head.startswith("HTTP/2 200")
    assert body == b"ok"
    got = fields(head)
    assert got["content-length"] == "2"
    assert got["via"] == "1.1 kong/3.9.1"
    assert "connection" not in got
    assert upstream.received.startswith(b"GET /x?y=1 HTTP/1.1\r\nHost: upstream.test")
    assert b"Via: 2 kong/3.9.1\r\n" in upstream.received
    assert b"\r\nx-mine: 1\r\n" in upstream.received
    await gateway.log.wait()
    (request,) = gateway.log.requests
    assert (request.http_version, request.status) == (b"2", 200)
    assert request.request_size > 0


@pytest_twisted.ensureDeferred
async def test_http1_goes_on_on_the_same_listener(made: Any) -> None:
    gateway = made.gateway(made.upstream(), listen=LISTEN)
    client = await gateway.connect()
    client.transport.write(b"GET /api HTTP/1.1\r\nHost: a\r\n\r\n")
    assert (await client.until(b"ok")).startswith(b"HTTP/1.1 200 OK\r\n")


@pytest_twisted.ensureDeferred
async def test_a_listener_without_http2_refuses_it(made: Any) -> None:
    gateway = made.gateway(made.upstream())
    client = await gateway.connect()
    client.transport.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
    assert (await client.until(b"request_id")).startswith(b"HTTP/1.1 400 ")


@pytest_twisted.ensureDeferred
async def test_large_bodies_pass_both_ways(made: Any, tmp_path: Path) -> None:
    size = 3_000_000

    def swallow(connection: Any, data: bytes) -> None:
        got = connection.data.partition(b"\r\n\r\n")[2]
        if len(got) == size:
            connection.transport.write(
                b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (size, got)
            )

    gateway = made.gateway(made.upstream(swallow), listen=LISTEN)
    file = tmp_path / "body"
    file.write_bytes(os.urandom(size))
    _, body = await curl(f"http://127.0.0.1:{gateway.number}/api", "--data-binary", f"@{file}")
    assert body == file.read_bytes()


@pytest_twisted.ensureDeferred
async def test_plugins_run_and_answer_as_over_http1(made: Any) -> None:
    seen: list[str] = []

    def access(request: Any) -> None:
        seen.append(request.get_header(b"host").decode())
        request.error(401, "No")

    handler = Handler("mine", access=access, log=lambda request: seen.append("log"))
    gateway = made.gateway(made.upstream(), listen=LISTEN, plugins=Plugins([Step(handler)]))
    head, body = await curl(f"http://127.0.0.1:{gateway.number}/api")
    assert head.startswith("HTTP/2 401")
    assert json.loads(body)["message"] == "No"
    assert seen == [f"127.0.0.1:{gateway.number}", "log"]


@pytest_twisted.ensureDeferred
async def test_no_route_is_404_and_a_malformed_host_400(made: Any) -> None:
    gateway = made.gateway(made.upstream(), listen=LISTEN)
    url = f"http://127.0.0.1:{gateway.number}"
    head, body = await curl(f"{url}/other")
    assert head.startswith("HTTP/2 404")
    assert b"no Route matched" in body
    head, _ = await curl(f"{url}/api", "-H", "Host: b:d")
    assert head.startswith("HTTP/2 400")


@pytest_twisted.ensureDeferred
async def test_an_upstream_that_fails_midway_resets_the_stream(made: Any) -> None:
    def cut(connection: Any, data: bytes) -> None:
        connection.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        connection.transport.loseConnection()

    gateway = made.gateway(made.upstream(cut), listen=LISTEN)
    _, err, code = await getProcessOutputAndValue(
        "curl",
        ["-sS", "--http2-prior-knowledge", f"http://127.0.0.1:{gateway.number}/api"],
        os.environ,
    )
    assert code == 92  # stream error in the HTTP/2 framing layer
    assert b"INTERNAL_ERROR" in err


def many_requests(url: str, count: int) -> list[tuple[str, int]]:
    """Ask at the same time over one connection, by httpx."""

    async def ask() -> list[tuple[str, int]]:
        limits = httpx.Limits(max_connections=1)
        async with httpx.AsyncClient(http1=False, http2=True, limits=limits) as client:
            answers = await asyncio.gather(
                *(client.post(url, content=b"x" * 5000, timeout=10) for _ in range(count))
            )
        return [(answer.http_version, answer.status_code) for answer in answers]

    return asyncio.run(ask())


@pytest_twisted.ensureDeferred
async def test_httpx_multiplexes_many_requests(made: Any) -> None:
    gateway = made.gateway(made.upstream(), listen=LISTEN)
    url = f"http://127.0.0.1:{gateway.number}/api"
    assert await deferToThread(many_requests, url, 60) == [("HTTP/2", 200)] * 60
    assert gateway.factory.accepted == 1


@pytest_twisted.ensureDeferred
async def test_a_slow_client_is_not_read_for(made: Any) -> None:
    """An endless response to a client that takes nothing stays in bounded memory."""
    sent = 0

    def endless(connection: Any, data: bytes) -> None:
        nonlocal sent
        connection.transport.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")

        class Producer:
            def resumeProducing(self) -> None:
                nonlocal sent
                sent += 16384
                connection.transport.write(b"4000\r\n" + bytes(16384) + b"\r\n")

            def stopProducing(self) -> None:
                pass

        connection.transport.registerProducer(Producer(), False)

    gateway = made.gateway(
        made.upstream(endless), listen=LISTEN, route={"response_buffering": False}
    )
    client = await gateway.connect()
    block = b"\x82\x86\x01\x01a\x04\x04/api"
    client.transport.write(
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))
        + bytes((0, 0, len(block), 1, 5, 0, 0, 0, 1)) + block
    )  # fmt: skip
    await client.until(lambda data: len(data) > 65535)
    pause: Deferred[None] = Deferred()
    reactor.callLater(0.3, pause.callback, None)
    await pause
    assert len(client.data) < 70_000
    (connection,) = gateway.gateway._listeners[0].channels
    assert sum(map(len, connection.streams[1]._queue)) < 1 << 20
    # The rest is in the kernel's buffers of one connection.
    assert sent < 16 << 20


def h2spec() -> str:
    """The path of h2spec, built with Go once and kept outside the tree."""
    found = shutil.which("h2spec")
    if found:
        return found
    kept = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "kongtx-tests"
    program = kept / "h2spec"
    if program.exists():
        return str(program)
    go = shutil.which("go")
    if go is None:
        pytest.skip("HTTP/2 conformance was not tested: there is neither h2spec nor go")
    kept.mkdir(parents=True, exist_ok=True)
    built = subprocess.run(
        [go, "install", "github.com/summerwind/h2spec/cmd/h2spec@latest"],
        env={**os.environ, "GOBIN": str(kept)},
        capture_output=True,
        text=True,
        check=False,
    )
    if built.returncode:
        pytest.skip(f"HTTP/2 conformance was not tested: h2spec cannot be built: {built.stderr}")
    return str(program)


def failures(report: str) -> set[str]:
    """Section and title of what h2spec reports as failed."""
    section = ""
    found: set[str] = set()
    for line in report.partition("Failures:")[2].splitlines():
        heading = re.match(r"\s+(\d+(?:\.\d+)*)\. ", line)
        if heading:
            section = heading[1]
        failed = re.match(r"\s+× \d+: (.*)", line)
        if failed:
            found.add(f"{section}: {failed[1]}")
    return found


@pytest.mark.long
@pytest_twisted.ensureDeferred
async def test_the_conformance_suite_passes(made: Any) -> None:
    program = await deferToThread(h2spec)
    settings = GatewaySettings(limits=Limits(resets=100_000))
    gateway = made.gateway(
        made.upstream(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")),
        listen=LISTEN,
        settings=settings,
    )
    out, _, _ = await getProcessOutputAndValue(
        program,
        ["-h", "127.0.0.1", "-p", str(gateway.number), "-P", "/api", "-o", "10"],
        os.environ,
    )
    report = out.decode()
    assert "145 tests" in report
    assert failures(report) == MEANT
